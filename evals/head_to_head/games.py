"""Two models' answers to the same prompt, shown to the judge in both orders.

    verdict/M1/p7/own_first     the own answer is output 1
    verdict/M1/p7/own_second    the own answer is output 2

Identical answers tie without being asked about.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evals.answers import Answer
from evals.head_to_head.matches import TIE, Match, position_consistency, shares
from harness import verdicts
from harness.data.examples import PromptRow
from harness.records import Failure, ItemResult, Metric, Score
from harness.rows import RowLog
from harness.statistics.intervals import share
from harness.verdicts import OWN_FIRST, OWN_SECOND, Reading, swapped, written


@dataclass(frozen=True)
class Game:
    """Two answers to one prompt."""

    prompt: PromptRow
    own: Answer
    opponent: str
    other: str | None
    """The opponent's answer; None where it failed to give one."""

    @property
    def identical(self) -> bool:
        """Whether both models answered the same, so that there is nothing to ask."""
        return self.own.failure is None and self.own.text == self.other

    @property
    def rows(self) -> list[tuple[str, Mapping[str, str]]]:
        """What to ask the judge: both orders, or nothing."""
        if self.own.failure or self.other is None or self.identical:
            return []
        own, other = self.own.text, self.other
        pairs = {"own_first": (own, other), "own_second": (other, own)}
        return [
            (
                f"verdict/{self.opponent}/{self.prompt.id}/{order}",
                {"instruction": self.prompt.prompt, "output_1": first, "output_2": second},
            )
            for order, (first, second) in pairs.items()
        ]

    def read(self, log: RowLog) -> "Played":
        """Read the judge's verdicts from the log."""
        return Played(self, tuple(verdicts.read(key, log)[0] for key, _ in self.rows))


@dataclass(frozen=True)
class Played:
    """A game and what the judge said."""

    game: Game
    readings: tuple[Reading, ...]
    """With the own answer first, then second; none where the judge was not asked."""

    @property
    def match(self) -> Match:
        """See the verdicts from the model's side."""
        if self.game.own.failure:
            return Match((), self.game.own.failure)
        if self.game.other is None:
            detail = f"{self.game.opponent} has no answer"
            return Match((), Failure(reason="opponent_failed", detail=detail))
        if self.game.identical:
            return Match((), Score(value=TIE))
        first, second = (reading.outcome for reading in self.readings)
        return Match((first, swapped(second)))

    @property
    def item(self) -> ItemResult:
        """Lay the game out for a reader."""
        game = self.game
        return ItemResult(
            id=game.prompt.id,
            answer=game.own.text,
            outcome=self.match.outcome,
            against=game.opponent,
            category=game.prompt.category,
            details={
                "prompt": game.prompt.prompt,
                "opponent_answer": game.other,
                "verdicts": [
                    written(reading.text, outcome, order)
                    for reading, outcome, order in zip(
                        self.readings, self.match.verdicts, (OWN_FIRST, OWN_SECOND), strict=False
                    )
                ],
                "identical": game.identical,
                "tokens": game.own.tokens,
                "truncated": game.own.truncated,
            },
        )


def metrics(played: Sequence[Played]) -> Iterator[Metric]:
    """Summarise the games against each opponent."""
    for opponent in dict.fromkeys(one.game.opponent for one in played):
        games = [one for one in played if one.game.opponent == opponent]
        matches = [one.match for one in games]
        scored = sum(isinstance(one.outcome, Score) for one in matches)
        identical = sum(one.game.identical for one in games)
        yield from shares(matches, opponent)
        yield position_consistency(matches, opponent)
        yield share(identical, scored).metric("identical", len(games) - scored, opponent)
