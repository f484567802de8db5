"""The questions of MT-Bench, and the reference answers that some of them are judged against.

    {"question_id": 81, "category": "writing", "turns": ["Compose ...", "Rewrite ..."]}

A question says how warm its answers are drawn and whether the judge sees a reference by its
category alone. The `reference` field of the official file is not what the judge sees; that is a
file of answers by GPT-4, here looked up by its place and not by the judge's name.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.data import folder
from harness.data.files import Table, read_table
from harness.errors import DataError
from harness.microworld import benchmarks

Turns = tuple[str, str]

MICROWORLD = "microworld"
PULLED = "mt_bench"
"""The official questions, where `harness data pull` put them."""

CATEGORIES = (
    "writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities",
)  # fmt: skip
"""In the order of the official file, which has ten questions of each."""
WITH_REFERENCE = ("math", "reasoning", "coding")

TEMPERATURES: Mapping[str, float] = MappingProxyType(
    {
        "writing": 0.7,
        "roleplay": 0.7,
        "extraction": 0.0,
        "math": 0.0,
        "coding": 0.0,
        "reasoning": 0.0,
        "stem": 0.1,
        "humanities": 0.1,
    }
)
"""FastChat's, by category."""
TEMPERATURE = 0.7
"""FastChat's of any other category."""

OFFICIAL: Mapping[str, str] = MappingProxyType(
    {str(id): CATEGORIES[(id - 81) // 10] for id in range(81, 161)}
)
"""The category of every official question, by its id."""

PUBLISHED = "ae3a3de4e7b33f2e"
"""The fingerprint of FastChat's questions with its reference answers by GPT-4."""

_ERRORS = ("ERROR", "$ERROR$")
"""What FastChat writes in place of an answer that failed."""

_REFERENCES = ("reference_answer/gpt-4.jsonl", "reference_answer_gpt-4.jsonl")
"""Where the official reference answers lie beside the questions."""


TURNS = (1, 2)


def item_id(question: str, turn: int) -> str:
    """Name a turn of a question, the same in every model and every run: `81/1`."""
    return f"{question}/{turn}"


@dataclass(frozen=True)
class Question:
    """What is asked in two turns."""

    id: str
    category: str
    turns: Turns

    @property
    def needs_reference(self) -> bool:
        """Whether the judge is shown a reference answer."""
        return self.category in WITH_REFERENCE


@dataclass(frozen=True)
class Questions:
    """All questions, and the reference answers to those that are judged against one."""

    source: str
    rows: tuple[Question, ...]
    references: Mapping[str, Turns]
    """By question id."""
    answered_by: str | None
    """Where the references are from."""

    @cached_property
    def fingerprint(self) -> str:
        """A hash of questions and references."""
        asked = [[row.id, row.category, *row.turns] for row in self.rows]
        shown = sorted([id, *turns] for id, turns in self.references.items())
        return hashlib.sha256(json.dumps([asked, shown]).encode()).hexdigest()[:16]

    @property
    def note(self) -> str:
        """Say how they differ from those of the published figures; nothing if they are those."""
        if self.source == MICROWORLD:
            return "questions of the micro-world, not MT-Bench's"
        published = self.fingerprint == PUBLISHED
        return "" if published else "questions or references are not MT-Bench's own"


def load(source: str, references: Path | None = None) -> Questions:
    """Read the questions and the reference answers that the judge needs.

    Args:
        source: `microworld`, `mt_bench` for the official ones in the data folder, or a
            `question.jsonl`.
        references: A `reference_answer/*.jsonl`; the official name beside the questions without.

    Raises:
        DataError: a file is missing or holds something else, or a reference is missing.
    """
    if source == MICROWORLD:
        world = benchmarks.mt_bench()
        table, answers = _made("questions", world.questions), _made("answers", world.references)
    else:
        file = _pulled() if source == PULLED else Path(source)
        table, answers = read_table(str(file)), None
        references = references or _beside(file)
    if references is not None:
        answers = read_table(str(references))
    rows = tuple(_questions(table))
    known = _references(answers) if answers else {}
    needed = {row.id: known.get(row.id) for row in rows if row.needs_reference}
    missing = [id for id, turns in needed.items() if turns is None]
    if missing:
        where = answers.source if answers else f"no file {' or '.join(_REFERENCES)} beside {source}"
        raise DataError(
            f"{len(missing)} questions of {', '.join(WITH_REFERENCE)} are judged against a "
            f"reference answer and have none ({', '.join(missing[:5])} ...; {where}): name the "
            "file as `references`; FastChat has it as reference_answer/gpt-4.jsonl"
        )
    return Questions(
        source=source,
        rows=rows,
        references={id: turns for id, turns in needed.items() if turns is not None},
        answered_by=answers.source if answers else None,
    )


def corrected(questions: Questions, file: Path) -> Mapping[str, Turns]:
    """Read corrected reference answers; where the file has none, the official one stays.

    Raises:
        DataError: the file answers none of the questions that are judged against a reference.
    """
    known = _references(read_table(str(file)))
    better = {id: turns for id, turns in known.items() if id in questions.references}
    if not better:
        raise DataError(
            f"{file} has no answer to any of the {len(questions.references)} questions that are "
            f"judged against a reference ({', '.join(list(questions.references)[:5])} ...)"
        )
    return {**questions.references, **better}


@dataclass(frozen=True)
class Baseline:
    """Another model's answers, out of a file."""

    model: str
    answers: Mapping[str, str]
    """By item, `81/1`; what the model failed to answer is not there."""


def baseline(file: Path) -> Baseline:
    """Read a `model_answer` file of FastChat's.

    Raises:
        DataError: it is none, or holds answers of more than one model.
    """
    table = read_table(str(file))
    models = list(dict.fromkeys(row.get("model_id") for row in table.rows))
    match models:
        case [str() as model]:
            pass
        case _:
            raise DataError(
                f"{file} holds answers of {len(models)} models; wanted a model_answer file, with "
                "one and the same model_id in every row"
            )
    answers = {
        item_id(id, turn): text
        for id, turns in read_answers(table).items()
        for turn, text in zip(TURNS, turns, strict=True)
        if text not in _ERRORS
    }
    return Baseline(model, answers)


def _pulled() -> Path:
    name = "mt_bench/question.jsonl"
    if found := folder.find(name):
        return found
    raise DataError(
        f"MT-Bench's questions are not in {folder.folder()}: give `harness data pull mt_bench`, or "
        "name a question.jsonl of FastChat's as `data`"
    )


def _made(what: str, rows: Sequence[dict[str, Any]]) -> Table:
    places = [f"row {number}" for number in range(1, len(rows) + 1)]
    return Table(f"{MICROWORLD} {what}", rows, places)


def _beside(questions: Path) -> Path | None:
    found = (questions.parent / name for name in _REFERENCES)
    return next((file for file in found if file.is_file()), None)


def _references(table: Table) -> dict[str, Turns]:
    """Read reference answers; one without text would only mislead the judge, so it is none."""
    return {id: turns for id, turns in read_answers(table).items() if all(map(str.strip, turns))}


def _questions(table: Table) -> Iterable[Question]:
    seen: set[str] = set()
    for index, row in enumerate(table.rows):
        where = table.where(index)
        id, category = question_id(row, where), row.get("category")
        if not isinstance(category, str) or not category:
            raise DataError(f"{where}, has no category; MT-Bench's question.jsonl names one a row")
        if id in seen:
            raise DataError(f"{where}, repeats question {id}; every question_id may stand once")
        seen.add(id)
        turns = _turns(row.get("turns"), where)
        if not all(map(str.strip, turns)):
            raise DataError(f"{where}, asks nothing in one of its turns")
        yield Question(id, category, turns)
    if not seen:
        raise DataError(f"{table.source} has no questions")


def read_answers(table: Table) -> dict[str, Turns]:
    """Read answers in the format of `reference_answer` and `model_answer`, the first choice each.

    Raises:
        DataError: a row is something else, or a question is answered twice.
    """
    answers: dict[str, Turns] = {}
    for index, row in enumerate(table.rows):
        where = table.where(index)
        id = question_id(row, where)
        if id in answers:
            raise DataError(f"{where}, answers question {id} again; delete one of the two rows")
        match row.get("choices"):
            case [{"turns": turns}, *_]:
                answers[id] = _turns(turns, where)
            case _:
                raise DataError(
                    f"{where}, is no answer; wanted question_id and choices with two turns, "
                    "as in FastChat's model_answer and reference_answer files"
                )
    return answers


def question_id(row: Mapping[str, Any], where: str) -> str:
    """Read a question's id, a number or a name, as text.

    Raises:
        DataError: the row has none.
    """
    match row.get("question_id"):
        case bool() | None:
            pass
        case int() as number:
            return str(number)
        case float() as number if number.is_integer():
            return str(int(number))
        case str() as name if name.strip():
            return name.strip()
    raise DataError(f"{where}, has no question_id; every row of MT-Bench's files names one")


def _turns(value: Any, where: str) -> Turns:
    match value:
        case [str() as first, str() as second]:
            return first, second
    raise DataError(f"{where}, has not two turns; MT-Bench's questions have exactly two")
