"""Single mode: every answer is rated by itself.

81/1   "Vivid, and it keeps to the subject. Rating: [[9]]"
121/2  the same, with a reference answer shown to the judge
"""

from collections.abc import Mapping, Sequence

from evals.mt_bench.answering import Answers
from evals.mt_bench.judging import Panel, conversation
from evals.mt_bench.prompts import Asked, JudgePrompts
from evals.mt_bench.questions import TURNS, Turns, item_id
from evals.mt_bench.scoring import Judged
from harness.records import ItemResult, Outcome
from harness.rows import RowLog

Wanted = Mapping[str, Asked]
"""By item, what to ask the judge; an answer that failed is not among them."""


def wanted(
    given: Sequence[Answers], references: Mapping[str, Turns], prompts: JudgePrompts
) -> Wanted:
    """Fill the judge's prompt for every answer there is."""
    return {
        item_id(one.question.id, turn): prompts.single(
            one.question, one.texts, turn, references.get(one.question.id)
        )
        for one in given
        for turn in TURNS
        if one.failure(turn) is None
    }


def judged(given: Sequence[Answers], asked: Wanted, panel: Panel, log: RowLog) -> list[Judged]:
    """Read what every answer was found to be worth."""
    return [
        Judged(
            one.question.id, turn, one.question.category, _outcomes(one, turn, asked, panel, log)
        )
        for one in given
        for turn in TURNS
    ]


def _outcomes(
    one: Answers, turn: int, asked: Wanted, panel: Panel, log: RowLog
) -> tuple[Outcome, ...]:
    if failure := one.failure(turn):
        return (failure,)
    id = item_id(one.question.id, turn)
    return tuple(reading.outcome for reading in panel.said(id, asked[id], log))


def item(
    row: Judged, answers: Answers, asked: Mapping[str, Wanted], panel: Panel, log: RowLog
) -> ItemResult:
    """Lay a rated answer out for a reader.

    Args:
        row: What it was found to be worth.
        answers: Of the question.
        asked: What the judge was asked, by what its verdicts are called in the details; the first
            of them is what the item is worth.
        panel: Who was asked.
        log: Where the verdicts are.
    """
    details = conversation(answers, row.turn) | {"judge": panel.judge.ref.name}
    for name, wanted in asked.items():
        if prompt := wanted.get(row.id):
            details.setdefault("judge_prompt", prompt.name)
            details.setdefault("user_prompt", prompt.text)
            details[name] = [reading.written() for reading in panel.said(row.id, prompt, log)]
    return ItemResult(
        id=row.id,
        answer=answers.turns[row.turn - 1].text,
        outcome=row.outcome,
        category=row.category,
        cluster=row.id.rpartition("/")[0],
        details=details,
    )
