"""A setting against the first one: its M1 against that M1, its M2 against that M2.

    positives - micro (3 seeds), seed 0    M1 +0.00    M2 -0.18 [-0.27, -0.10]    M3 ...

Runs are compared where they were measured by the same protocol, item by item. Of settings with
seeds in common those runs are compared; of others, all. An item's score is its mean over the seeds,
so that an item counts once however many seeds there are, and interval and p cover which items were
asked, not which seeds were trained. What the seeds say stands beside it. All contrasts are one
family of tests (see `reports.changes`); models that settings share, M0 say, are not tested.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from harness.records import EvalResult, Score
from harness.statistics.intervals import Estimate
from harness.statistics.repeats import Repeats, over_repeats
from harness.statistics.significance import holm
from reports.changes import difference, p_of_items
from reports.comparison.settings import Setting, seed
from reports.evidence import Evidence, evidence
from reports.series import Series, evaluations

_OURS, _THEIRS = "ours", "theirs"
_NOTHING = Estimate(None, None, None, 0)


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
    p: float | None
    """Of this contrast alone; None where not an item differs."""
    asked: int
    """How many items all runs were asked."""
    over_seeds: Repeats
    """Over the seeds that both have."""
    refused: str = ""
    """Why they are not compared."""
    corrected: float | None = None
    """p, for how many contrasts there are."""

    @property
    def evidence(self) -> Evidence:
        """What it shows, by the one rule."""
        return evidence(self.estimate.low, self.estimate.high, self.estimate.n, self.corrected)


def contrasts(settings: Sequence[Setting]) -> tuple[Contrast, ...]:
    """Compare every setting with the first, in whatever both measured item by item."""
    found = tuple(_contrasts(settings))
    corrected = iter(holm([one.p for one in found if one.p is not None]))
    return tuple(
        replace(one, corrected=next(corrected)) if one.p is not None else one for one in found
    )


def _contrasts(settings: Sequence[Setting]) -> Iterator[Contrast]:
    first, *others = settings
    theirs, metrics = results_by_seed(first), _metrics(first)
    for setting in others:
        for (evaluation, model), results in results_by_seed(setting).items():
            if (evaluation, model) in theirs:
                yield _contrast(
                    evaluation,
                    metrics[evaluation],
                    (setting, results),
                    (first, theirs[evaluation, model]),
                )


_Side = tuple[Setting, dict[str, EvalResult]]
"""A setting, and by seed what it measured of one model."""


def _contrast(evaluation: str, metric: str, ours: _Side, theirs: _Side) -> Contrast:
    setting, ours_by_seed = ours
    first, theirs_by_seed = theirs
    seeds = tuple(one for one in ours_by_seed if one in theirs_by_seed)
    left = [ours_by_seed[one] for one in seeds or ours_by_seed]
    right = [theirs_by_seed[one] for one in seeds or theirs_by_seed]
    asked = set.intersection(*({item.id for item in result.items} for result in left + right))
    refused = _refused(left, right) or ("" if asked else "no items in common")
    whole = _beside(evaluation, left, right)
    estimate = _NOTHING if refused else difference(whole, _OURS, _THEIRS)
    each = [] if refused or len(seeds) < 2 else zip(left, right, strict=True)
    beside = [_beside(evaluation, [one], [other]) for one, other in each]
    changes = [difference(one, _OURS, _THEIRS).value for one in beside]
    return Contrast(
        evaluation=evaluation,
        metric=metric,
        setting=setting,
        first=first,
        model=left[0].model,
        seeds=seeds,
        estimate=estimate,
        p=p_of_items(whole, _OURS, _THEIRS) if estimate.n else None,
        asked=len(asked),
        over_seeds=over_repeats([change for change in changes if change is not None]),
        refused=refused,
    )


def _refused(left: Sequence[EvalResult], right: Sequence[EvalResult]) -> str:
    """Say why results cannot be compared: nothing where they can."""
    if len({result.protocol for result in (*left, *right)}) == 1:
        return ""
    ours, theirs = (sorted({result.judge for result in side}) for side in (left, right))
    if ours != theirs and all(ours) and all(theirs):
        return f"judged by {', '.join(ours)}, not by {', '.join(theirs)}"
    return "measured by another protocol"


def _beside(evaluation: str, left: Sequence[EvalResult], right: Sequence[EvalResult]) -> Series:
    return Series(evaluation, {_OURS: _averaged(left), _THEIRS: _averaged(right)})


def _averaged(results: Sequence[EvalResult]) -> EvalResult:
    if len(results) == 1:
        return results[0]
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


def results_by_seed(setting: Setting) -> dict[tuple[str, str], dict[str, EvalResult]]:
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
