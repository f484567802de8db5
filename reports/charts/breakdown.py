"""Where the gain lies: the chain's first and last model, part by part."""

from collections.abc import Iterator, Mapping

from harness.records import RunRecord
from harness.statistics.intervals import mean, paired_difference
from reports.blocks import Chart
from reports.charts import svg
from reports.charts.estimates import written
from reports.charts.ink import inks
from reports.charts.measures import called, in_words, key, names
from reports.charts.rows import Dot, Group, Row, rows
from reports.evidence import evidence
from reports.series import Series, chain, evaluations, plugin
from reports.tables import NO_SCORE, label

MOST_PARTS = 25
_DRAWN_ELSEWHERE = ("mt_bench", "nlp_benchmarks")


def by_category(record: RunRecord, *, width: float = svg.WIDTH) -> Iterator[Chart]:
    """Draw every evaluation whose items have categories and that has no drawing of its own."""
    for k, series in enumerate(evaluations(record)):
        if plugin(record, series.name) in _DRAWN_ELSEWHERE:
            continue
        parts = {
            item.id: item.category.replace("_", " ")
            for result in series.results.values()
            for item in result.items
            if item.category and item.against is None
        }
        drawn = by_part(
            record, series, parts, name=f"by-category-{k + 1}", what="category", width=width
        )
        if drawn is not None:
            yield drawn


def by_part(
    record: RunRecord,
    series: Series,
    parts: Mapping[str, str],
    *,
    name: str,
    what: str,
    order: tuple[str, ...] = (),
    width: float = svg.WIDTH,
) -> Chart | None:
    """Draw the mean item score of the chain's first and last measured model, a row a part.

    Args:
        record: The run.
        series: The evaluation.
        parts: By item id, which part it belongs to.
        name: Of the drawing's file.
        what: What the parts are: `category`, `difficulty`.
        order: Of the parts; without, by how much was gained.
        width: Of the drawing.
    """
    measured = [model for model in chain(record) if series.scores(model)]
    if len(measured) < 2 or len(set(parts.values())) < 2:
        return None
    ends = (measured[0], measured[-1])
    found = {
        part: _row(record, series, ends, parts, part) for part in dict.fromkeys(parts.values())
    }
    ranked = order or sorted(found, key=lambda part: (-found[part][0], part))
    group = Group(tuple(found[part][1] for part in ranked if part in found)[:MOST_PARTS])
    left = len(found) - len(group.rows)
    metric = label(series.item_metric() or "mean item score")
    return rows(
        name,
        f"{called(series)} by {what}: {ends[0]} and {ends[1]}",
        [group],
        alt=in_words([group]),
        key=key(record, ends),
        note=f"Marks are {metric}, figures the difference item by item, with 95 % intervals."
        + (f" {left} more are not shown." if left else ""),
        width=width,
    )


def _row(
    record: RunRecord,
    series: Series,
    ends: tuple[str, str],
    parts: Mapping[str, str],
    part: str,
) -> tuple[float, Row]:
    """Lay a part out, and say what was gained on it."""
    ink = inks(names(record))
    scores = {
        model: {id: value for id, value in series.scores(model).items() if parts.get(id) == part}
        for model in ends
    }
    dots = []
    for model in ends:
        found = mean(list(scores[model].values()))
        title = f"{model}: {written(found.value, found.low, found.high, found.n)}"
        dots.append(Dot(model, found.value, ink[model], found.low, found.high, title, NO_SCORE))
    first, last = ends
    change = paired_difference(scores[last], scores[first])
    figure = written(change.value, change.low, change.high, change.n, signed=True)
    shown = evidence(change.low, change.high, change.n)
    tone = shown if shown in ("better", "worse") else "muted"
    row = Row(part, tuple(dots), figure, tone, joined=True)
    return change.value or 0.0, row
