"""A model's answers out of a file, found by what was asked.

    AlpacaEval    {"instruction": ..., "output": ..., "generator": "gpt4_1106_preview"}
    FastChat      {"question_id": 81, "model_id": "gpt-4", "choices": [{"turns": ["...", "..."]}]}
    Vicuna blog   {"question_id": 1, "model_id": "bard:20230327", "text": "..."}
    plain         {"prompt": ..., "response": ...}   or   {"id": ..., "response": ...}

An answer is found by the text of its prompt where its row has one, up to letter case and white
space, and by its id otherwise. Where FastChat noted an error in its place, there is none.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.data.files import read_table
from harness.data.overlap import key
from harness.errors import DataError

_MODEL = ("generator", "model_id", "model")
_PROMPT = ("instruction", "prompt", "question")
_ANSWER = ("output", "response", "completion", "answer", "text")
_ID = ("id", "prompt_id", "question_id")
_ERRORS = ("ERROR", "$ERROR$")
"""What FastChat writes in place of an answer that failed."""


@dataclass(frozen=True)
class Outputs:
    """Somebody's answers."""

    source: str
    model: str | None
    """Whose they are, where the rows say so."""
    by_text: Mapping[str, Sequence[str | None]]
    """By the prompt's text, the answer to each turn; None where one failed."""
    by_id: Mapping[str, Sequence[str | None]]
    """By the prompt's id, for rows without the text."""

    def __len__(self) -> int:
        return len(self.by_text) + len(self.by_id)

    @property
    def name(self) -> str:
        """What to call the model: its own name, or the file's."""
        return self.model or Path(self.source).name.split(".json")[0]

    @cached_property
    def fingerprint(self) -> str:
        """A hash of who answered what."""
        content = json.dumps([self.name, self.by_text, self.by_id], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def find(self, id: str, asked: Sequence[str]) -> str | None:
        """Find the answer to the last of a conversation's turns.

        Args:
            id: The prompt's; that of a turn may end in its number, `81/2`.
            asked: What the user said in every turn so far.
        """
        turn = len(asked)
        conversation = id.removesuffix(f"/{turn}")
        for answers in (
            self.by_text.get(key(asked[0])),
            self.by_id.get(id),
            self.by_id.get(conversation),
        ):
            if answers is not None and turn <= len(answers):
                return answers[turn - 1]
        return None


def read(source: str) -> Outputs:
    """Read a model's answers.

    Raises:
        DataError: the file is not there, holds no answers, or two different ones to one prompt.
    """
    table = read_table(source)
    by_text: dict[str, tuple[str | None, ...]] = {}
    by_id: dict[str, tuple[str | None, ...]] = {}
    for index, row in enumerate(table.rows):
        text, id, answers = _text(row), _id(row), _answers(row)
        known, prompt = (by_id, id) if text is None else (by_text, text)
        if prompt is not None and answers and known.setdefault(prompt, answers) != answers:
            raise DataError(
                f"{table.where(index)}: a second answer to the same prompt; keep one, of one model"
            )
    if not by_text and not by_id:
        raise DataError(
            f"{source} holds no answers; wanted a model_outputs.json of AlpacaEval, a model_answer "
            "file of FastChat, or rows of prompt (or id) and response"
        )
    model = next((str(table.rows[0][name]) for name in _MODEL if table.rows[0].get(name)), None)
    return Outputs(source, model, by_text, by_id)


def _text(row: Mapping[str, Any]) -> str | None:
    text = next((row[name] for name in _PROMPT if isinstance(row.get(name), str)), None)
    if text is None:
        return None
    given = row.get("input")
    return key(f"{text}\n\n{given}" if isinstance(given, str) and given.strip() else text)


def _id(row: Mapping[str, Any]) -> str | None:
    return next((str(row[name]) for name in _ID if row.get(name) is not None), None)


def _answers(row: Mapping[str, Any]) -> tuple[str | None, ...]:
    """Read the answer to every turn; an empty one is an answer too."""
    choices = row.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        turns = choices[0].get("turns")
        said = turns if isinstance(turns, list) else []
        return tuple(one if isinstance(one, str) and one not in _ERRORS else None for one in said)
    answer = next((row[name] for name in _ANSWER if isinstance(row.get(name), str)), None)
    return () if answer is None else (answer,)
