"""What changed from model to model, item by item, and whether that could be chance.

    examiner      M2 - M1   +0.39 [+0.28, +0.50]   300 items   p < .001, corrected .002   better
    mt_bench      M2 - M1   -0.21 [-0.61, +0.16]    80 items   p .28, corrected 1    no clear change
    head_to_head  M3 - M2   +0.12 [+0.05, +0.20]   300 games   p .001, corrected .024   better

Every comparison here is one of a family, all evaluations together, and p is corrected (Holm) for
how many the family has: of 28 comparisons of equal models, one or two would look like a change.
Where not a single item differs nothing is tested, and the family is smaller by one (Tarone 1990).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from harness.records import RunRecord
from harness.statistics.intervals import (
    Estimate,
    mean_of_means,
    paired_changes,
    paired_difference,
    sign_test,
)
from harness.statistics.significance import holm, sign_flip_test
from reports.evidence import Evidence, evidence
from reports.series import Series, chain, evaluations, models

AVERAGED = "mean"
"""The metric that is the mean of the categories' means, so that a difference must be one too."""
NET_WIN = "net_win"

Step = tuple[str, str]
"""Two models: the later one, and the one that it is compared with."""


@dataclass(frozen=True)
class Change:
    """How much better one model did than another, in one evaluation."""

    evaluation: str
    later: str
    earlier: str
    metric: str
    """Of what it is the difference; `net_win` where the two played against each other."""
    estimate: Estimate
    """Nothing (n = 0) where no item has a score of both, or their protocols differ."""
    failed: int
    """How many more items both were asked."""
    p: float | None = None
    """Of this comparison alone: a sign-flip test of the items' changes, where any changed."""
    corrected: float | None = None
    """For all comparisons of the family (`harness.statistics.significance.holm`)."""

    @property
    def step(self) -> Step:
        """The two models."""
        return (self.later, self.earlier)

    @property
    def evidence(self) -> Evidence:
        """What it shows, by the one rule."""
        return evidence(self.estimate.low, self.estimate.high, self.estimate.n, self.corrected)

    @property
    def least_visible(self) -> float | None:
        """About the least that so many items would have shown, uncorrected: half the interval."""
        low, high = self.estimate.low, self.estimate.high
        return None if low is None or high is None else (high - low) / 2


@dataclass(frozen=True)
class Changes:
    """Every comparison that a report makes of two models: one family of tests."""

    steps: tuple[Step, ...]
    """Each model and the one before it, then the whole loop. Games are found for all played."""
    loop: Step | None
    """The last model measured and the one that the loop began with; None before a first round."""
    rounds: tuple[Step, ...]
    """The steps that the loop consists of, each model and the one that it was trained from."""
    found: tuple[Change, ...]

    @property
    def tested(self) -> int:
        """How many comparisons p is corrected for."""
        return sum(one.p is not None for one in self.found)

    def of(self, evaluation: str, step: Step) -> Change | None:
        """Find a comparison that has something to compare, or None."""
        found = (one for one in self.found if one.evaluation == evaluation and one.step == step)
        return next((one for one in found if one.estimate.n), None)

    def over_loop(self, evaluation: str) -> tuple[Change, ...]:
        """Find what the loop changed: last against first, or where not compared, each round."""
        whole = self.of(evaluation, self.loop) if self.loop else None
        rounds = (self.of(evaluation, step) for step in self.rounds)
        return (whole,) if whole else tuple(one for one in rounds if one)


def changes(record: RunRecord) -> Changes:
    """Compare every model with the one before it, and the last of the loop with its first."""
    measured = evaluations(record)
    looped = _looped(record, measured)
    loop = (looped[-1], looped[0]) if len(looped) > 1 else None
    # A baseline that came with a later model stands between it and its parent.
    pairs = (*pairwise(model.name for model in models(record)), *pairwise(looped))
    steps = tuple(dict.fromkeys((*((b, a) for a, b in pairs), *([loop] if loop else []))))
    found = [change for series in measured for change in _changes(series, steps)]
    corrected = iter(holm([one.p for one in found if one.p is not None]))
    return Changes(
        steps=steps,
        loop=loop,
        rounds=tuple((later, earlier) for earlier, later in pairwise(looped)),
        found=tuple(
            replace(one, corrected=next(corrected)) if one.p is not None else one for one in found
        ),
    )


def difference(series: Series, later: str, earlier: str) -> Estimate:
    """Estimate how much better a model does than another on the items that both have."""
    if not series.comparable(later, earlier):
        return Estimate(None, None, None, 0)
    left, right = series.scores(later), series.scores(earlier)
    if AVERAGED not in series.metrics:
        return paired_difference(left, right, _clusters(series, later))
    return mean_of_means(list(by_category(series, later, earlier).values()))


def by_category(series: Series, later: str, earlier: str) -> dict[str, list[float]]:
    """List how much better a model does than another on each item that both have, by category."""
    left, right = series.scores(later), series.scores(earlier)
    shared = left.keys() & right.keys()
    groups: dict[str, list[float]] = {}
    for item in series.results[later].items:
        if item.id in shared:
            groups.setdefault(item.category or "", []).append(left[item.id] - right[item.id])
    return groups


def asked(series: Series, later: str, earlier: str) -> int:
    """Count the items that both models were asked."""
    ids = [{item.id for item in series.results[model].items} for model in (later, earlier)]
    return len(set.intersection(*ids))


def _changes(series: Series, steps: Sequence[Step]) -> Iterator[Change]:
    """Compare the models of every step that were both measured; of games, all that were played."""
    if NET_WIN in series.comparison_metrics:
        for later, earlier in series.comparisons:
            net = series.metric(later, NET_WIN, earlier)
            if net is not None:
                p = _p_of_games(series, later, earlier)
                estimate = Estimate(net.value, net.low, net.high, net.n)
                yield Change(series.name, later, earlier, NET_WIN, estimate, net.failed, p)
        return
    metric = series.item_metric() or "mean item score"
    for later, earlier in steps:
        if series.results.keys() >= {later, earlier}:
            estimate = difference(series, later, earlier)
            p = p_of_items(series, later, earlier) if estimate.n else None
            failed = asked(series, later, earlier) - estimate.n
            yield Change(series.name, later, earlier, metric, estimate, failed, p)


def _p_of_games(series: Series, later: str, earlier: str) -> float | None:
    """Test wins against losses; a net win that comes without their shares is not tested."""
    won, lost = (series.metric(later, name, earlier) for name in ("win", "loss"))
    if won is None or lost is None or won.value is None or lost.value is None:
        return None
    if not (0 <= won.value <= 1 and 0 <= lost.value <= 1):
        return None
    return sign_test(round(won.value * won.n), round(lost.value * lost.n))


def p_of_items(series: Series, later: str, earlier: str) -> float | None:
    """Compute how often chance alone would change the items of two models so much.

    None where no item changed: there is nothing to test, and nothing to correct others for.
    """
    if AVERAGED in series.metrics:
        groups = by_category(series, later, earlier).values()
        changes = [one / len(group) for group in groups for one in group]
    else:
        left, right = series.scores(later), series.scores(earlier)
        together = paired_changes(left, right, _clusters(series, later))
        changes = [sum(cluster) for cluster in together]
    return sign_flip_test(changes) if any(changes) else None


def _clusters(series: Series, model: str) -> dict[str, str]:
    return {item.id: item.cluster or item.id for item in series.results[model].items}


def _looped(record: RunRecord, measured: tuple[Series, ...]) -> tuple[str, ...]:
    """Name the models of the loop, from the one that it began with to the last that was measured.

    A model that a baseline came with, or whose trainer reports seeds, was trained on human data:
    the loop begins with it. Else it begins with M0.
    """
    names = chain(record)
    first = [result for result in record.stages if result.model.name in names[1:2]]
    seeded = any(result.comparators or "seeds" in result.metrics for result in first)
    looped = names[1:] if seeded else names
    there = [name for name in looped if any(name in series.results for series in measured)]
    return looped[: looped.index(there[-1]) + 1] if there else ()
