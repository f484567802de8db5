"""A setting against the first one: its M1 against that M1, its M2 against that M2.

    positives - micro (3 seeds), seed 0    M1 +0.00    M2 -0.18 [-0.27, -0.10]    M3 ...

Runs are compared where they were measured by the same protocol, item by item. Of settings with
seeds in common those runs are compared; of others, all. An item's score is its mean over the seeds,
so that an item counts once however many seeds there are, and the interval covers which items were
asked, not which seeds were trained. What the seeds say stands beside it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from harness.records import EvalResult, Score
from harness.statistics.intervals import Estimate
from harness.statistics.repeats import Repeats, over_repeats
from reports.comparison.settings import Setting, seed
from reports.series import Series, evaluations
from reports.tables import difference

OTHER_PROTOCOL = "other protocol"
NO_COMMON_ITEMS = "no common items"
_OURS, _THEIRS = "ours", "theirs"


@dataclass(frozen=True)
class Contrast:
    """How much better a model of a setting does than the model of that name of the first."""

    evaluation: str
    metric: str
    setting: Setting
    first: Setting
    model: str
    seeds: tuple[str, ...]
    """The seeds that both have: those were compared. Without any, all of both were."""
    estimate: Estimate
    """Over items."""
    asked: int
    """How many items all runs were asked."""
    over_seeds: Repeats
    """Over the seeds that both have."""
    refused: str = ""
    """Why they are not compared."""


def contrasts(settings: Sequence[Setting]) -> Iterator[Contrast]:
    """Compare every setting with the first, in whatever both measured item by item."""
    first, *others = settings
    theirs = measured(first)
    metrics = _metrics(first)
    for setting in others:
        for (evaluation, model), results in measured(setting).items():
            if (evaluation, model) in theirs:
                yield contrast(
                    evaluation,
                    metrics[evaluation],
                    (setting, results),
                    (first, theirs[evaluation, model]),
                )


Side = tuple[Setting, dict[str, EvalResult]]
"""A setting, and by seed what it measured of one model."""


def contrast(evaluation: str, metric: str, ours: Side, theirs: Side) -> Contrast:
    """Compare one model of two settings."""
    setting, ours_by_seed = ours
    first, theirs_by_seed = theirs
    seeds = tuple(one for one in ours_by_seed if one in theirs_by_seed)
    left = [ours_by_seed[one] for one in seeds or ours_by_seed]
    right = [theirs_by_seed[one] for one in seeds or theirs_by_seed]
    asked = set.intersection(*({item.id for item in result.items} for result in left + right))
    refused = ""
    if len({result.protocol for result in left + right}) > 1:
        refused = OTHER_PROTOCOL
    elif not asked:
        refused = NO_COMMON_ITEMS
    pairs = [(left, right), *(([one], [other]) for one, other in zip(left, right, strict=False))]
    whole, *single = (
        Estimate(None, None, None, 0) if refused else _difference(evaluation, *pair)
        for pair in (pairs if seeds else pairs[:1])
    )
    changes = [one.value for one in single if one.value is not None]
    return Contrast(
        evaluation, metric, setting, first, ours_by_seed[next(iter(ours_by_seed))].model, seeds,
        whole, len(asked), over_repeats(changes), refused,
    )  # fmt: skip


def _difference(
    evaluation: str, left: Sequence[EvalResult], right: Sequence[EvalResult]
) -> Estimate:
    series = Series(evaluation, {_OURS: _averaged(left), _THEIRS: _averaged(right)})
    return difference(series, _OURS, _THEIRS)


def _averaged(results: Sequence[EvalResult]) -> EvalResult:
    scores = item_scores(results)
    items = tuple(
        item.model_copy(update={"outcome": Score(value=scores[item.id])})
        for item in results[0].items
        if item.against is None and item.id in scores
    )
    return results[0].model_copy(update={"items": items})


def item_scores(results: Sequence[EvalResult]) -> dict[str, float]:
    """Give every item that all results scored the mean of its scores."""
    scores = [Series("", {result.model: result}).scores(result.model) for result in results]
    shared = set.intersection(*map(set, scores))
    return {id: fmean(one[id] for one in scores) for id in sorted(shared)}


def measured(setting: Setting) -> dict[tuple[str, str], dict[str, EvalResult]]:
    """Gather what was measured of each model alone, item by item: by evaluation, model and seed."""
    found: dict[tuple[str, str], dict[str, EvalResult]] = {}
    for run in setting.runs:
        for series in evaluations(run.record):
            for model, result in series.results.items():
                if any(item.against is None for item in result.items):
                    found.setdefault((series.name, model), {})[seed(run.record)] = result
    return found


def _metrics(setting: Setting) -> dict[str, str]:
    """Name, by evaluation, the metric that the item scores are of."""
    return {
        series.name: series.item_metric() or "mean item score"
        for run in reversed(setting.runs)
        for series in evaluations(run.record)
    }
