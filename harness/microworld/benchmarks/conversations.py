"""MT-Bench's rows: two-turn questions, reference answers and judge prompts in FastChat's schemas.

    {"question_id": 81, "category": "writing",
     "turns": ["Write about the lazy bee.", "Write a line about a young lion."]}

The eight categories, their order, the numbers of their questions and the names of the judge prompts
are MT-Bench's. The second turn is a question of the same category that stands on its own: a model
this small has not learnt to go back to what it said. The judge prompts show what the judge can
trust, questions and references, before the answers, so that no answer can pass for them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from harness.data.examples import text_id
from harness.microworld.answers import PERFECT, write_answer
from harness.microworld.items import draw
from harness.microworld.question import Item

Row = dict[str, Any]

CATEGORIES = (
    "writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities",
)  # fmt: skip
"""In MT-Bench's order."""
WITH_REFERENCE = ("reasoning", "math", "coding")
PER_CATEGORY = 5
FIRST_ID, IDS_PER_CATEGORY = 81, 10


@dataclass(frozen=True)
class MTBench:
    """The rows of the three files that FastChat reads."""

    questions: list[Row]
    """`question_id`, `category`, `turns`."""
    references: list[Row]
    """`question_id`, `answer_id`, `model_id`, `choices`, `tstamp`: perfect answers to the questions
    that are judged with a reference."""
    judge_prompts: list[Row]
    """`name`, `type`, `system_prompt` (empty), `prompt_template`, `description`, `category`,
    `output_format`."""


def mt_bench() -> MTBench:
    """Make `PER_CATEGORY` two-turn questions a category, and what it takes to judge them."""
    rng = Random("mt_bench")
    conversations = {
        FIRST_ID + IDS_PER_CATEGORY * place + number: pair
        for place, category in enumerate(CATEGORIES)
        for number, pair in enumerate(_conversations(category, rng))
    }
    return MTBench(
        questions=[
            {"question_id": id, "category": one.category, "turns": [one.prompt, two.prompt]}
            for id, (one, two) in conversations.items()
        ],
        references=[
            _reference(id, pair, rng)
            for id, pair in conversations.items()
            if pair[0].category in WITH_REFERENCE
        ],
        judge_prompts=judge_prompts(),
    )


def _conversations(category: str, rng: Random) -> Iterator[tuple[Item, Item]]:
    """Pairs of held-out questions of a category, no question twice."""
    different: dict[str, Item] = {}
    while len(different) < 2 * PER_CATEGORY:
        item = draw(rng, held_out=True)
        if item.category == category:
            different[item.prompt] = item
    items = list(different.values())
    return zip(items[::2], items[1::2], strict=True)


def _reference(id: int, pair: tuple[Item, Item], rng: Random) -> Row:
    turns = [write_answer(item, PERFECT, rng) for item in pair]
    return {
        "question_id": id,
        "answer_id": text_id(*turns),
        "model_id": "reference",
        "choices": [{"index": 0, "turns": turns}],
        "tstamp": 0.0,
    }


_RATE = "Rate the answer from 1 to 10 as [[rating]]"
_RATE_SECOND = "Rate the second answer from 1 to 10 as [[rating]]"
_COMPARE = "Compare two answers: [[A]], [[B]] or [[C]] for a tie"
_COMPARE_SECOND = "Compare two second answers: [[A]], [[B]] or [[C]] for a tie"
_QUESTIONS = "Question 1: {question_1} Question 2: {question_2}"
_REFERENCES = "Reference 1: {ref_answer_1} Reference 2: {ref_answer_2}"
_OF_ONE = "Answer 1: {answer_1} Answer 2: {answer_2}"
_OF_TWO = (
    "Answer 1 of A: {answer_a_1} Answer 2 of A: {answer_a_2} "
    "Answer 1 of B: {answer_b_1} Answer 2 of B: {answer_b_2}"
)
_WITH_REFERENCE = "with a reference at hand."

_PROMPTS = {
    "single-v1": f"{_RATE}. Question: {{question}} Answer: {{answer}}",
    "single-math-v1": f"{_RATE}, {_WITH_REFERENCE} "
    "Question: {question} Reference: {ref_answer_1} Answer: {answer}",
    "single-v1-multi-turn": f"{_RATE_SECOND}. {_QUESTIONS} {_OF_ONE}",
    "single-math-v1-multi-turn": f"{_RATE_SECOND}, {_WITH_REFERENCE} "
    f"{_QUESTIONS} {_REFERENCES} {_OF_ONE}",
    "pair-v2": f"{_COMPARE}. Question: {{question}} Answer A: {{answer_a}} Answer B: {{answer_b}}",
    "pair-math-v1": f"{_COMPARE}, {_WITH_REFERENCE} "
    "Question: {question} Reference: {ref_answer_1} Answer A: {answer_a} Answer B: {answer_b}",
    "pair-v2-multi-turn": f"{_COMPARE_SECOND}. {_QUESTIONS} {_OF_TWO}",
    "pair-math-v1-multi-turn": f"{_COMPARE_SECOND}, {_WITH_REFERENCE} "
    f"{_QUESTIONS} {_REFERENCES} {_OF_TWO}",
}
"""By name, with FastChat's placeholders. No text before the first placeholder begins another."""


def judge_prompts() -> list[Row]:
    """Make the eight rows of a `judge_prompts.jsonl`."""
    return [_judge_prompt(name, text) for name, text in _PROMPTS.items()]


def _judge_prompt(name: str, text: str) -> Row:
    single = name.startswith("single")
    return {
        "name": name,
        "type": "single" if single else "pairwise",
        "system_prompt": "",
        "prompt_template": text,
        "description": "Prompt of the micro-world",
        "category": "math" if "math" in name else "general",
        "output_format": "[[rating]]" if single else "[[A]]",
    }
