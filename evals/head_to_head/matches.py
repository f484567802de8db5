"""What a judge's verdicts on two answers make: win, tie, loss or failure; and on the whole.

    own answer first    own answer second    outcome
    own better          own better           win    1
    own better          other better         tie    0.5   the judge prefers a position
    tie                 own better           tie    0.5
    unreadable          anything             failed       counted, in no share

That is how Yuan et al. 2024 (Fig. 3) count. `net_win` is the share of wins minus that of losses.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.records import Failure, Metric, Outcome, Score
from harness.statistics.intervals import net_win, share

WIN, TIE, LOSS = 1.0, 0.5, 0.0


@dataclass(frozen=True)
class Match:
    """Two answers to one prompt, and what the judge said of them, seen from the model's side."""

    verdicts: tuple[Outcome, ...]
    """1 where the own answer is better, 0.5, or 0: with it shown first, then second; a single one
    where the judge was asked in one order."""
    unasked: Outcome | None = None
    """The outcome where the judge was not asked at all."""

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
    wins, ties, losses = tally(matches)
    n = wins + ties + losses
    failed = len(matches) - n
    yield share(wins, n).metric("win", failed, opponent)
    yield share(ties, n).metric("tie", failed, opponent)
    yield share(losses, n).metric("loss", failed, opponent)
    yield net_win(wins, ties, losses).metric("net_win", failed, opponent)


def tally(matches: Sequence[Match]) -> tuple[int, int, int]:
    """Count wins, ties and losses."""
    values = [one.outcome.value for one in matches if isinstance(one.outcome, Score)]
    return values.count(WIN), values.count(TIE), values.count(LOSS)


def position_consistency(matches: Sequence[Match], opponent: str) -> Metric:
    """Compute the share of matches asked in both orders for which both said the same."""
    asked = [one for one in matches if len(one.verdicts) == 2]
    read = [one.consistent for one in asked if one.consistent is not None]
    failed = len(asked) - len(read)
    return share(sum(read), len(read)).metric("position_consistency", failed, opponent)
