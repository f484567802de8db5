"""Pair mode: every answer is compared with another model's, in both orders.

own answer as A    own answer as B    outcome
A                  B                  win    1
A                  A, or a tie        tie    0.5   FastChat's rule: both orders must agree
a tie              anything           tie    0.5
unreadable         anything           failed       in no rate, and counted
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from evals.mt_bench.answering import Answers
from evals.mt_bench.judging import Panel, conversation
from evals.mt_bench.prompts import Asked, JudgePrompts
from evals.mt_bench.questions import TURNS, Turns, item_id
from evals.mt_bench.scoring import TIE, Judged
from harness.records import Failure, ItemResult, Outcome, Score
from harness.rows import RowLog
from harness.verdicts import OWN_FIRST, OWN_SECOND, swapped, written


@dataclass(frozen=True)
class Game:
    """Two models' answers to one turn."""

    own: Answers
    turn: int
    opponent: str
    others: tuple[str | None, ...]
    """By turn, the opponent's answers; None where it failed to give one."""
    orders: tuple[Asked, Asked] | None
    """What to ask the judge, with the own answer as A and as B; None where one is missing."""

    @property
    def id(self) -> str:
        """The item's."""
        return item_id(self.own.question.id, self.turn)

    @property
    def wanted(self) -> list[tuple[str, Asked]]:
        """What to ask the judge, by item."""
        return [(self.id, asked) for asked in self.orders or ()]

    def judged(self, panel: Panel, log: RowLog) -> Judged:
        """Read how it went, as often as it was played."""
        question = self.own.question
        return Judged(question.id, self.turn, question.category, tuple(self._played(panel, log)))

    def _played(self, panel: Panel, log: RowLog) -> Iterator[Outcome]:
        if failure := self.own.failure(self.turn):
            yield failure
        elif self.orders is None:
            yield Failure(reason="opponent_failed", detail=f"{self.opponent} has no answer")
        else:
            said = (panel.said(self.id, asked, log) for asked in self.orders)
            for first, second in zip(*said, strict=True):
                yield together(first.outcome, swapped(second.outcome))

    def _verdicts(
        self, orders: tuple[Asked, Asked], panel: Panel, log: RowLog
    ) -> Iterator[dict[str, JsonValue]]:
        """Lay out what was said with the own answer as A, then as B."""
        as_a, as_b = (panel.said(self.id, asked, log) for asked in orders)
        for reading in as_a:
            yield written(reading.text, reading.outcome, OWN_FIRST)
        for reading in as_b:
            yield written(reading.text, swapped(reading.outcome), OWN_SECOND)

    def item(self, panel: Panel, log: RowLog) -> ItemResult:
        """Lay the game out for a reader."""
        row = self.judged(panel, log)
        details = conversation(self.own, self.turn) | {
            "judge": panel.judge.ref.name,
            "opponent_answers": list(self.others),
        }
        if self.orders:
            details |= {
                "judge_prompt": self.orders[0].name,
                "user_prompts": [asked.text for asked in self.orders],
                "verdicts": list(self._verdicts(self.orders, panel, log)),
            }
        return ItemResult(
            id=row.id,
            answer=self.own.turns[self.turn - 1].text,
            outcome=row.outcome,
            against=self.opponent,
            category=row.category,
            cluster=row.id.rpartition("/")[0],
            details=details,
        )


def games(
    given: Sequence[Answers],
    opponent: str,
    others: Mapping[str, str],
    references: Mapping[str, Turns],
    prompts: JudgePrompts,
) -> Iterator[Game]:
    """Match every answer with the opponent's.

    Args:
        given: The model's answers.
        opponent: The other model's name.
        others: The other model's answers, by item; what it failed to answer is not there.
        references: By question id.
        prompts: To be filled with both answers, in both orders.
    """
    for own in given:
        theirs = tuple(others.get(item_id(own.question.id, turn)) for turn in TURNS)
        reference = references.get(own.question.id)
        for turn in TURNS:
            there = [text.strip() for text in theirs[:turn] if text is not None]
            orders = None
            if own.failure(turn) is None and len(there) == turn:
                orders = (
                    prompts.pair(own.question, (own.texts, there), turn, reference),
                    prompts.pair(own.question, (there, own.texts), turn, reference),
                )
            yield Game(own, turn, opponent, theirs, orders)


def together(first: Outcome, second: Outcome) -> Outcome:
    """Join both orders, each read for the same model: where they disagree, it is a tie."""
    match first, second:
        case Failure(), _:
            return first
        case _, Failure():
            return second
    return first if first == second else Score(value=TIE)
