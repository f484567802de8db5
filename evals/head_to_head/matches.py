"""What a judge's verdicts on two answers make: win, tie, loss or failure; and on the whole.

    own answer first    own answer second    outcome
    own better          own better           win    1
    own better          other better         tie    0.5   the judge prefers a position
    tie                 own better           tie    0.5
    unreadable          anything             failed       counted, in no share

That is how Yuan et al. 2024 (Fig. 3) count. `net_win` is the share of wins minus that of losses.
Matches that share a cluster (the turns of a question, say) are not independent: where there are
such, intervals come from resampling whole clusters.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.records import Failure, Metric, Outcome, Score
from harness.statistics.agreement import gatherer
from harness.statistics.intervals import Estimate, net_win, ratio, share

WIN, TIE, LOSS = 1.0, 0.5, 0.0


@dataclass(frozen=True)
class Match:
    """Two answers to one prompt, and what the judge said of them, seen from the model's side."""

    verdicts: tuple[Outcome, ...]
    """1 where the own answer is better, 0.5, or 0: with it shown first, then second; a single one
    where the judge was asked in one order."""
    unasked: Outcome | None = None
    """The outcome where the judge was not asked at all."""
    cluster: str | None = None
    """What it shares with others, so that they are not independent; nothing where None."""

    @property
    def consistent(self) -> bool | None:
        """Whether both orders said the same; None where either cannot be read or was not asked."""
        match self.verdicts:
            case (Score(value=first), Score(value=second)):
                return first == second
        return None

    @property
    def outcome(self) -> Outcome:
        """Win, tie or loss of the model, or why there is none."""
        if self.unasked is not None:
            return self.unasked
        failed = next((one for one in self.verdicts if isinstance(one, Failure)), None)
        if failed is not None:
            return failed
        return self.verdicts[0] if self.consistent is not False else Score(value=TIE)


def shares(matches: Sequence[Match], opponent: str) -> Iterator[Metric]:
    """Count wins, ties and losses against an opponent, as shares of what could be scored."""
    counts = tally(matches)
    failed = len(matches) - sum(counts)
    scored = [(one, one.outcome.value) for one in matches if isinstance(one.outcome, Score)]
    for name, worth in (("win", WIN), ("tie", TIE), ("loss", LOSS)):
        yield _share([(one, value == worth) for one, value in scored]).metric(
            name, failed, opponent
        )
    net = _clustered([(one, 2 * value - 1) for one, value in scored]) or net_win(*counts)
    yield net.metric("net_win", failed, opponent)


def tally(matches: Sequence[Match]) -> tuple[int, int, int]:
    """Count wins, ties and losses."""
    values = [one.outcome.value for one in matches if isinstance(one.outcome, Score)]
    return values.count(WIN), values.count(TIE), values.count(LOSS)


def position_consistency(matches: Sequence[Match], opponent: str) -> Metric:
    """Compute the share of matches asked in both orders for which both said the same."""
    asked = [one for one in matches if len(one.verdicts) == 2]
    read = [(one, one.consistent) for one in asked if one.consistent is not None]
    return _share(read).metric("position_consistency", len(asked) - len(read), opponent)


def _share(matches: Sequence[tuple[Match, bool]]) -> Estimate:
    clustered = _clustered(matches)
    if clustered is None:
        return share(sum(is_so for _, is_so in matches), len(matches))
    if clustered.value not in (0, 1):
        return clustered
    # Where all say the same, a bootstrap sees no spread; as many clusters may still hide some.
    clusters = len({one.cluster for one, _ in matches})
    return share(int(clustered.value) * clusters, clusters)._replace(n=len(matches))


def _clustered(matches: Sequence[tuple[Match, float]]) -> Estimate | None:
    """Estimate the mean of what matches are worth; None where all of them are independent."""
    clusters = [one.cluster or f"match {place}" for place, (one, _) in enumerate(matches)]
    if len(set(clusters)) == len(clusters):
        return None
    gathered = gatherer(clusters)
    return ratio(gathered([worth for _, worth in matches]), gathered([1.0] * len(matches)))
