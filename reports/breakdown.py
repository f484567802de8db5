"""Where a model is good: its scores by category, by difficulty and by how long an answer should be.

    alpaca_eval by expected length          M0                  M1                  M2
    reference of up to 412 characters       3.1 [1.0, 5.2]      41.0 [33.8, 48.1]   ...
    413 to 980                              ...
    over 980                                ...

A category is what the items say of themselves. Difficulty is a number that the evaluation gives, or
else how the models of this run did on the item. The expected length is that of the reference's
answer. Numbers are cut into thirds of the items, equal ones together; there are none where few
items are left, or where most are equal (right or wrong is no difficulty).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from harness.records import ItemResult, Metric
from harness.statistics.intervals import Estimate, ratio
from reports.blocks import Table
from reports.evidence import LEAST_ITEMS
from reports.figures import plain, visible
from reports.names import label
from reports.series import Series
from reports.tables import metric_row

LEAST_PER_THIRD = LEAST_ITEMS
"""Fewer items than three times this are not cut into thirds."""
_REFERENCE = "reference_output"
_DIFFICULTY = "difficulty"


@dataclass(frozen=True)
class Bucket:
    """Items that are alike, and what each model scored on them."""

    label: str
    metrics: Mapping[str, Metric]
    """By model, in the order of the run; n and failed add up to the items of the bucket."""


@dataclass(frozen=True)
class Breakdown:
    """An evaluation's scores, cut up by something about its items."""

    evaluation: str
    by: str
    """`category`, `difficulty` or `expected length`."""
    buckets: tuple[Bucket, ...]
    """At least two."""
    note: str = ""


def by_category(series: Series) -> Breakdown | None:
    """Cut an evaluation up by the category of its items, in order of appearance."""
    groups: dict[str, list[str]] = {}
    for id, item in _items(series).items():
        groups.setdefault(item.category or "", []).append(id)
    named = {visible(name, longest=60): ids for name, ids in groups.items() if name}
    return _breakdown(series, "category", named)


def by_difficulty(series: Series) -> Breakdown | None:
    """Cut an evaluation up by the difficulty that it gives its items, or that this run found."""
    given = _numbers(series, lambda item: item.details.get(_DIFFICULTY))
    if given:
        note = "Difficulty as the evaluation gives it."
        return _breakdown(series, "difficulty", _thirds(given), note)
    scores = [found for model in series.results if (found := series.scores(model))]
    if len(scores) < 2:
        return None
    shared = set.intersection(*(set(found) for found in scores))
    means = {id: sum(found[id] for found in scores) / len(scores) for id in sorted(shared)}
    note = "Difficulty as found in this run: an item's mean score over the models, low is hard."
    return _breakdown(series, "difficulty", _thirds(means, "mean score "), note)


def by_expected_length(series: Series) -> Breakdown | None:
    """Cut an evaluation up by the length of the reference's answers, in characters."""
    lengths = _numbers(series, lambda item: _length(item.details.get(_REFERENCE)))
    note = "Expected length: that of the reference's answer, in characters."
    return _breakdown(series, "expected length", _thirds(lengths), note)


@lru_cache(maxsize=32)
def breakdowns(series: Series) -> tuple[Breakdown, ...]:
    """Cut an evaluation up in every way that its items allow; once for tables and drawings."""
    cuts = (by_category(series), by_difficulty(series), by_expected_length(series))
    return tuple(found for found in cuts if found is not None)


def tables(series: Series) -> Iterator[Table]:
    """Tabulate the breakdowns, except by categories that have metrics of their own."""
    for found in breakdowns(series):
        if found.by == "category" and _has_metrics(series, found):
            continue
        yield Table(
            title=f"{label(series.name)} by {found.by}",
            columns=tuple(series.results),
            rows=tuple(metric_row(one.label, list(one.metrics.values())) for one in found.buckets),
            note=found.note,
        )


def _breakdown(
    series: Series, by: str, groups: Mapping[str, list[str]], note: str = ""
) -> Breakdown | None:
    """Estimate every model's mean in every group; nothing where there are not two groups."""
    if len(groups) < 2:
        return None
    name = series.item_metric() or "mean item score"
    scores = {model: series.scores(model) for model in series.results}
    clusters = {id: item.cluster or id for id, item in _items(series).items()}
    buckets = tuple(
        Bucket(
            title,
            {
                model: (mean := _mean(ids, found, clusters)).metric(name, len(ids) - mean.n)
                for model, found in scores.items()
            },
        )
        for title, ids in groups.items()
    )
    return Breakdown(series.name, by, buckets, note)


def _mean(ids: Sequence[str], scores: Mapping[str, float], clusters: Mapping[str, str]) -> Estimate:
    """Estimate the mean of some items, resampling what belongs together as a whole."""
    together: dict[str, list[float]] = {}
    for id in ids:
        if id in scores:
            together.setdefault(clusters[id], []).append(scores[id])
    return ratio([sum(one) for one in together.values()], [len(one) for one in together.values()])


def _items(series: Series) -> dict[str, ItemResult]:
    """Find an item of every id that is scored alone; what it is asked is the same in all models."""
    found: dict[str, ItemResult] = {}
    for result in series.results.values():
        for item in result.items:
            if item.against is None:
                found.setdefault(item.id, item)
    return found


def _numbers(series: Series, number: Callable[[ItemResult], object]) -> dict[str, float]:
    """Read a number of every item; nothing unless all have one."""
    found = {id: number(item) for id, item in _items(series).items()}
    numbers = {
        id: float(value)
        for id, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    return numbers if len(numbers) == len(found) else {}


def _length(text: object) -> int | None:
    return len(text) if isinstance(text, str) and text else None


def _thirds(numbers: Mapping[str, float], what: str = "") -> dict[str, list[str]]:
    """Cut items into thirds by their numbers, with the bounds as labels."""
    if len(numbers) < 3 * LEAST_PER_THIRD:
        return {}
    ordered = sorted(numbers.values())
    low, high = ordered[(len(ordered) - 1) // 3], ordered[2 * (len(ordered) - 1) // 3]
    cut = {
        f"{what}up to {plain(low)}": [id for id, value in numbers.items() if value <= low],
        f"{what}over {plain(low)}, up to {plain(high)}": [
            id for id, value in numbers.items() if low < value <= high
        ],
        f"{what}over {plain(high)}": [id for id, value in numbers.items() if value > high],
    }
    return cut if all(cut.values()) else {}


def _has_metrics(series: Series, found: Breakdown) -> bool:
    """Say whether every category has a metric: `score/math`, `score_math` or `math`."""
    named = {metric.rpartition("/")[2].removeprefix("score_") for metric in series.metrics}
    return named >= {one.label for one in found.buckets}
