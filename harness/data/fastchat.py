"""FastChat's question files, of MT-Bench and of the Vicuna blog: their first turns are prompts.

{"question_id": 81, "category": "writing", "turns": ["Compose ...", "Rewrite ..."]}
{"question_id": 1, "category": "generic", "text": "How can I improve ...?"}
"""

from collections.abc import Mapping
from typing import Any

from harness.data.examples import Loaded, PromptRow
from harness.data.files import Table
from harness.errors import DataError


def is_questions(first: Mapping[str, Any]) -> bool:
    """Tell by its first row whether a table is one of questions."""
    return "question_id" in first and ("turns" in first or {"text", "category"} <= first.keys())


def prompts(table: Table) -> Loaded[PromptRow]:
    """Read the first turn of every question.

    Raises:
        DataError: a question without a text, or two with the same id.
    """
    rows: dict[str, PromptRow] = {}
    for index, row in enumerate(table.rows):
        turns = row.get("turns") or [row.get("text")]
        id, prompt, category = str(row.get("question_id")), turns[0], row.get("category")
        if not isinstance(prompt, str) or not prompt.strip():
            raise DataError(f"{table.where(index)}: question {id} has no text")
        if id in rows:
            raise DataError(f"{table.where(index)}: question {id} is there twice")
        rows[id] = PromptRow(id, prompt, category if isinstance(category, str) else None)
    return Loaded(tuple(rows.values()), len(table.rows))


def texts(table: Table) -> list[str]:
    """Read every turn of every question."""
    found = [turn for row in table.rows for turn in (row.get("turns") or [row.get("text")])]
    return [turn for turn in found if isinstance(turn, str)]
