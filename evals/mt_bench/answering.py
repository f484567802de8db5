"""A model's two answers to each question, each in the row log as soon as it is there.

    answer/81/1  {"text": "Aloha from Hawaii! ...", "finish_reason": "stop", "failure": null, ...}
    answer/81/2  {"text": "Aloha again! ...", ...}     with the first question and answer before it

Where the first answer failed there is nothing to go on from, and the second one has failed too:
FastChat writes the text ERROR there, goes on, and has it judged like any other answer.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evals.answers import Answer, keep_chat_template
from evals.mt_bench.questions import TURNS, Question, item_id
from harness.protocols import LoadedModel, Message, Request, Sampling
from harness.records import Failure
from harness.rows import RowLog


@dataclass(frozen=True)
class Answers:
    """What a model said in both turns of a question."""

    question: Question
    turns: tuple[Answer, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """By turn, without the spaces around it, as FastChat keeps it."""
        return tuple(turn.text.strip() for turn in self.turns)

    def failure(self, turn: int) -> Failure | None:
        """Say why there is nothing to judge about a turn."""
        return self.turns[turn - 1].failure


def ask(
    model: LoadedModel,
    questions: Sequence[Question],
    sampling: Mapping[str, Sampling],
    log: RowLog,
) -> None:
    """Have the model answer every turn that the log holds no answer to.

    Args:
        model: Who answers.
        questions: What is asked.
        sampling: By category, how answers are drawn.
        log: Where answers go, one turn at a time.
    """
    keep_chat_template(model, log)
    _complete(model, (_first(one, sampling) for one in _missing(questions, 1, log)), log)
    second = []
    for question in _missing(questions, 2, log):
        before = _read(question, 1, log)
        if before.failure is None:
            second.append(_second(question, before.text.strip(), sampling))
            continue
        cause = f"{before.failure.reason}: {before.failure.detail}".removesuffix(": ")
        failure = Failure(reason="turn_1_failed", detail=cause)
        lost = Answer(text="", tokens=None, finish_reason="failed", failure=failure)
        log.append(_key(item_id(question.id, 2)), lost.model_dump(mode="json"))
    _complete(model, second, log)


def read(questions: Sequence[Question], log: RowLog) -> list[Answers]:
    """Read all answers back."""
    return [
        Answers(question, tuple(_read(question, turn, log) for turn in TURNS))
        for question in questions
    ]


def _missing(questions: Sequence[Question], turn: int, log: RowLog) -> list[Question]:
    return [one for one in questions if _key(item_id(one.id, turn)) not in log]


def _first(question: Question, sampling: Mapping[str, Sampling]) -> Request:
    asked = (Message("user", question.turns[0]),)
    return Request(item_id(question.id, 1), asked, sampling[question.category])


def _second(question: Question, answer: str, sampling: Mapping[str, Sampling]) -> Request:
    asked = (
        Message("user", question.turns[0]),
        Message("assistant", answer),
        Message("user", question.turns[1]),
    )
    return Request(item_id(question.id, 2), asked, sampling[question.category])


def _complete(model: LoadedModel, requests: Iterable[Request], log: RowLog) -> None:
    for completion in model.generate(requests):
        answer = Answer(
            text=completion.text,
            tokens=len(completion.token_ids) or None,
            finish_reason=completion.finish_reason,
            failure=completion.failure,
        )
        log.append(_key(completion.id), answer.model_dump(mode="json"))


def _key(item: str) -> str:
    return f"answer/{item}"


def _read(question: Question, turn: int, log: RowLog) -> Answer:
    return Answer.model_validate(log[_key(item_id(question.id, turn))])
