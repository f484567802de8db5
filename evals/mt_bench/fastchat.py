"""Write results as FastChat's files, for its own scripts and for who reads its layout.

    model_answer/<model>.jsonl            {"question_id": 81, "choices": [{"turns": [...]}], ...}
    model_judgment/<judge>_single.jsonl   {"question_id": 81, "turn": 1, "score": 9.0, ...}
    model_judgment/<judge>_pair.jsonl     {"question_id": 81, "turn": 1, "g1_winner": "tie", ...}
    question.jsonl                        {"question_id": 81, "category": "writing", "turns": [...]}
    reference_answer/<judge>.jsonl        what the judge was shown, which FastChat looks up by judge

Only here is a failure written as FastChat writes it: score -1, winner `error`. What was judged
several times is as many rows, as reruns of FastChat leave them, each a second later.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from evals.mt_bench.questions import TURNS, Questions, item_id
from harness.records import EvalResult, ItemResult

Row = dict[str, Any]

FAILED = -1
"""The score of what could not be scored."""

UNDATED = 0.0
"""The time stamp of rows of which no time is known, so that a result is always the same bytes."""


def files(result: EvalResult, questions: Questions) -> Iterator[tuple[str, str]]:
    """Write a run's result out in FastChat's layout: names and contents of files.

    Time stamps begin at 0, of which FastChat makes nothing. A result without items, as of a first
    model that has nobody to be compared with, has answers only. Verdicts with corrected references
    are in no file: FastChat knows one reference a question.
    """
    answered = model_answers(result, UNDATED)
    yield "question.jsonl", _lines(_questions(questions))
    yield f"model_answer/{_file_name(result.model)}.jsonl", _lines(answered)
    if result.items:
        first = result.items[0]
        judge = _file_name(str(first.details["judge"]))
        if first.against is None:
            rows, mode = single_judgments(result, UNDATED), "single"
        else:
            rows, mode = pair_judgments(result, UNDATED), "pair"
        yield f"model_judgment/{judge}_{mode}.jsonl", _lines(rows)
        if questions.references:
            shown = reference_answers(questions, UNDATED)
            yield f"reference_answer/{judge}.jsonl", _lines(shown)


def model_answers(result: EvalResult, written_at: float) -> Iterator[Row]:
    """Make the rows of a `model_answer` file.

    A question whose answer failed in either turn is left out: the format knows no failure.

    Args:
        result: Of a run.
        written_at: The time stamp of every row, in seconds since 1970.
    """
    for question in dict.fromkeys(id.rpartition("/")[0] for id in result.answers):
        turns = [result.answers.get(item_id(question, turn)) for turn in TURNS]
        if None in turns:
            continue
        yield _answer(question, result.model, list(map(str, turns)), written_at)


def reference_answers(questions: Questions, written_at: float) -> Iterator[Row]:
    """Make the rows of a `reference_answer` file."""
    author = PurePath(questions.answered_by or "reference").stem
    for question, turns in questions.references.items():
        yield _answer(question, author, list(turns), written_at)


def _questions(questions: Questions) -> Iterator[Row]:
    for row in questions.rows:
        yield {
            "question_id": _number(row.id),
            "category": row.category,
            "turns": list(row.turns),
        }


def _answer(question: str, model: str, turns: list[str], written_at: float) -> Row:
    content = "\0".join((model, question, *turns))
    return {
        "question_id": _number(question),
        "answer_id": hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:22],
        "model_id": model,
        "choices": [{"index": 0, "turns": turns}],
        "tstamp": written_at,
    }


def single_judgments(result: EvalResult, written_at: float) -> Iterator[Row]:
    """Make the rows of a `model_judgment/<judge>_single.jsonl` file."""
    for item in result.items:
        question, turn = _place(item)
        details: Mapping[str, Any] = item.details
        for repeat, said in enumerate(details.get("verdicts", [{}])):
            yield {
                "question_id": question,
                "model": result.model,
                "judge": [details["judge"], details.get("judge_prompt")],
                "user_prompt": details.get("user_prompt", ""),
                "judgment": said.get("text", ""),
                "score": said.get("value", FAILED),
                "turn": turn,
                "tstamp": written_at + repeat,
            }


def pair_judgments(result: EvalResult, written_at: float) -> Iterator[Row]:
    """Make the rows of a `model_judgment/<judge>_pair.jsonl` file."""
    for item in result.items:
        question, turn = _place(item)
        details: Mapping[str, Any] = item.details
        prompts = details.get("user_prompts", ["", ""])
        said = details.get("verdicts", [{}, {}])
        first_order, second_order = said[: len(said) // 2], said[len(said) // 2 :]
        for repeat, games in enumerate(zip(first_order, second_order, strict=True)):
            first, second = games
            yield {
                "question_id": question,
                "model_1": result.model,
                "model_2": item.against,
                "g1_winner": _winner(first, "model_1", "model_2"),
                "g2_winner": _winner(second, "model_1", "model_2"),
                "judge": [details["judge"], details.get("judge_prompt")],
                "g1_user_prompt": prompts[0],
                "g1_judgment": first.get("text", ""),
                "g2_user_prompt": prompts[1],
                "g2_judgment": second.get("text", ""),
                "turn": turn,
                "tstamp": written_at + repeat,
            }


def _lines(rows: Iterable[Row]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def _file_name(name: str) -> str:
    """Write a model's name so that it names a file: `org/model` is `org_model`."""
    return re.sub(r"[^\w.@-]+", "_", name)


def _place(item: ItemResult) -> tuple[int | str, int]:
    question, _, turn = item.id.rpartition("/")
    return _number(question), int(turn)


def _number(question: str) -> int | str:
    """Write an official question's id as the number it is."""
    return int(question) if question.isdecimal() else question


def _winner(said: Mapping[str, Any], a: str, b: str) -> str:
    return {1.0: a, 0.0: b, 0.5: "tie"}.get(said.get("value", FAILED), "error")
