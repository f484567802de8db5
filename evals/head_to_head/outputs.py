"""Answers from elsewhere, to compare a model's answers with.

    AlpacaEval    {"instruction": ..., "output": ..., "generator": "gpt4_1106_preview"}
    FastChat      {"question_id": 81, "model_id": "gpt-4", "choices": [{"turns": ["...", "..."]}]}
    Vicuna blog   {"question_id": 1, "model_id": "bard:20230327", "text": "..."}
    plain         {"prompt": ..., "response": ...}   or   {"id": ..., "response": ...}

They are joined to the prompts by text where a row has one, up to letter case and white space, and
by id otherwise. A prompt without an answer there fails as `opponent_failed`; an answer without a
prompt is not needed. The opponent goes by the name in the rows, or by the file's. A model of the
run may have the same name (M2 of another run, say), so such a name is told apart by the file.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.protocol import protocol
from harness.data.examples import PromptRow
from harness.data.files import Table, read_table
from harness.data.overlap import key
from harness.errors import DataError

_NAME = ("generator", "model_id", "model")
_PROMPT = ("instruction", "prompt", "question")
_ANSWER = ("output", "response", "completion", "answer", "text")
_ID = ("id", "prompt_id", "question_id")
_OF_A_RUN = re.compile(r"M\d+|SFT|previous|all")
_ENDINGS = (".json", ".jsonl", ".gz", ".csv", ".parquet")


@dataclass(frozen=True)
class Outputs:
    """Somebody's answers, by prompt id."""

    name: str
    answers: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """A hash of who answered what."""
        return protocol(self.name, *(text for pair in self.answers.items() for text in pair))

    @classmethod
    def read(cls, file: str, prompts: Sequence[PromptRow]) -> "Outputs":
        """Read the answers that a file has to these prompts.

        Raises:
            DataError: the file is not there, holds no answers, none to these prompts, or two
                different ones to the same.
        """
        table = read_table(file)
        if not table.rows:
            raise DataError(f"{file} is empty; wanted a model's answers")
        given: dict[str, str] = {}
        for index, row in enumerate(table.rows):
            prompt, answer = _asked(row), _answer(row)
            if prompt is None or answer is None:
                continue
            if given.setdefault(prompt, answer) != answer:
                raise DataError(f"{table.where(index)}: a second answer to the same prompt")
        answers = {}
        for prompt_row in prompts:
            found = given.get(_by_text(prompt_row.prompt), given.get(_by_id(prompt_row.id)))
            if found is not None:
                answers[prompt_row.id] = found
        if not answers:
            raise DataError(
                f"{file} has {len(given)} answers, and none to any of the {len(prompts)} prompts; "
                "name answers to the same prompts (the same instruction, prompt or question_id)"
            )
        return cls(_name(table), answers)


def is_file(name: str) -> bool:
    """Tell the name of a file from that of a model: by its ending, or because it is there."""
    return name.endswith(_ENDINGS) or Path(name).is_file()


def _name(table: Table) -> str:
    given = next((table.rows[0][name] for name in _NAME if table.rows[0].get(name)), None)
    stem = Path(table.source).name.split(".json")[0]
    name = str(given or stem)
    return f"{name} of {stem}" if _OF_A_RUN.fullmatch(name) else name


def _asked(row: Mapping[str, Any]) -> str | None:
    """Name the prompt of a row: by its text, else by its id."""
    text = next((row[name] for name in _PROMPT if isinstance(row.get(name), str)), None)
    if text is not None:
        given = row.get("input")
        return _by_text(f"{text}\n\n{given}" if isinstance(given, str) and given.strip() else text)
    id = next((row[name] for name in _ID if row.get(name) is not None), None)
    return None if id is None else _by_id(str(id))


def _by_text(text: str) -> str:
    return f"text {key(text)}"


def _by_id(id: str) -> str:
    return f"id {id}"


def _answer(row: Mapping[str, Any]) -> str | None:
    """Read the answer; of a conversation, the first one. An empty one is an answer too."""
    choices = row.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        turns = choices[0].get("turns")
        return turns[0] if isinstance(turns, list) and turns and _is_text(turns[0]) else None
    return next((row[name] for name in _ANSWER if _is_text(row.get(name))), None)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
