"""Judgements in AlpacaEval's `annotations.json`, read from files or made from a run's own rows.

    {"instruction": "Who made Berlin?", "output_1": "...", "generator_1": "gpt4_1106_preview",
     "output_2": "...", "generator_2": "claude-2", "annotator": "weighted_alpaca_eval_gpt4_turbo",
     "preference": 1.3, "raw_completion": {...}}

`preference` runs from 1 (output 1, the reference's, is better) to 2 (output 2, the model's); 0, an
old way to write a tie, is read as 1.5. Anything else, null, NaN and -1 included, is a judgement
that failed. Files up to 2024 name the last column as above, later ones `preference_raw_completion`.

Of rows that say the same of the same outputs one counts; a row that failed gives way to one that
did not. Two different preferences for the same outputs are a failure, `contradictory`; different
outputs under one name are two models, and an error.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from evals import stored_files
from evals.alpaca_eval import instructions
from harness.errors import DataError
from harness.records import Failure, Outcome, Score

TIE = 1.5
OFFICIAL_ANNOTATOR = "weighted_alpaca_eval_gpt4_turbo"
"""The judge of the public leaderboard: gpt-4-1106-preview with that configuration."""
OFFICIAL_REFERENCE = "gpt4_1106_preview"
UNNAMED_MODEL, UNNAMED = "Current model", "unknown"


@dataclass(frozen=True)
class Annotation:
    """One instruction, two outputs, and which of them the judge prefers."""

    instruction: str
    reference: str | None
    """The reference's output; None where the row does not have it."""
    output: str | None
    """The model's; None where it has none."""
    preference: Outcome
    """From 1 (the reference's is better) to 2 (the model's is)."""
    dataset: str | None = None
    raw_completion: JsonValue = None
    """What the judge wrote, as the API gave it, with the outputs in the order it was shown them."""
    swapped: bool | None = None
    """Whether it was shown the model's output first; None where that is not known."""
    tokens: int | None = None
    """Of the model's output; None where that is not known."""
    truncated: bool = False
    """Whether the model's output was cut off."""

    @cached_property
    def id(self) -> str:
        """The same for the same instruction in every file and run."""
        return instructions.item_id(self.instruction)

    @property
    def verdict(self) -> str | None:
        """What the judge wrote, as text; None where the row does not have it."""
        match self.raw_completion:
            case str() as text:
                return text
            case {"text": str() as text} | {"message": {"content": str() as text}}:
                return text
        return None

    @property
    def probabilities(self) -> dict[str, float]:
        """How likely the judge was to say `m` (what was shown first) and `M`; where it told."""
        match self.raw_completion:
            case {"logprobs": {"content": [{"top_logprobs": [*likeliest]}, *_]}}:
                return dict(_identifiers(likeliest))
        return {}

    @property
    def has_logprobs(self) -> bool:
        """Whether the judge told its token probabilities."""
        return isinstance(self.raw_completion, dict) and bool(self.raw_completion.get("logprobs"))


@dataclass(frozen=True)
class Judged:
    """What one judge said of one model's outputs against one reference's."""

    model: str
    reference: str
    annotator: str
    annotations: tuple[Annotation, ...]
    """One an instruction, in the order of the files."""
    duplicates: int = 0
    """Rows that said again what another said, or that failed and were asked again."""
    files: tuple[Path, ...] = ()
    remarks: tuple[str, ...] = ()
    """What was wrong with the files and did no harm."""

    @cached_property
    def positions(self) -> tuple[int | None, ...]:
        """Each row's place among AlpacaEval's 805; None for an instruction that is none of them."""
        return tuple(instructions.position(one.instruction) for one in self.annotations)

    @property
    def foreign(self) -> int:
        """Count the instructions that are not AlpacaEval's."""
        return self.positions.count(None)

    @property
    def discrete(self) -> bool:
        """Whether the judge only ever said which one, not how probably."""
        decided = [one for one in self.annotations if one.reference != one.output]
        values = [one.preference.value for one in decided if isinstance(one.preference, Score)]
        told = any(one.has_logprobs for one in decided)
        return bool(values) and not told and set(values) <= {1.0, TIE, 2.0}


def _identifiers(likeliest: Iterable[JsonValue]) -> Iterator[tuple[str, float]]:
    for one in likeliest:
        match one:
            case {"token": ("m" | "M") as token, "logprob": (int() | float()) as logprob}:
                yield token, math.exp(min(logprob, 0.0))


def read(files: Iterable[Path]) -> list[Judged]:
    """Read stored judgements: a result for every model, judge and reference, in order.

    Raises:
        DataError: a file holds no judgements, or two sets of outputs under one model's name.
    """
    found: dict[tuple[str, str, str], list[tuple[Path, Annotation]]] = {}
    remarks: list[str] = []
    for path in files:
        table = stored_files.read(path)
        if not any("preference" in row for row in table.rows):
            has = ", ".join(list(table.rows[0])[:6]) or "nothing"
            raise DataError(
                f"{path} holds no judgements: its rows have {has} and no preference; "
                "name an annotations.json"
            )
        remarks += table.remarks
        for index, row in enumerate(table.rows):
            who = (
                _name(row, "generator_2", UNNAMED_MODEL),
                _name(row, "annotator", UNNAMED),
                _name(row, "generator_1", UNNAMED),
            )
            found.setdefault(who, []).append((path, _annotation(row, table.where(index))))
    return [
        replace(_judged(model, annotator, reference, rows), remarks=tuple(remarks))
        for (model, annotator, reference), rows in found.items()
    ]


def _name(row: Mapping[str, Any], key: str, unnamed: str) -> str:
    value = row.get(key)
    return unnamed if value is None or value == "" else str(value)


def _annotation(row: Mapping[str, Any], where: str) -> Annotation:
    instruction = row.get("instruction")
    if not isinstance(instruction, str):
        raise DataError(
            f"{where}, has no instruction (a text), so it cannot be told what it judges"
        )
    raw = row.get("preference_raw_completion", row.get("raw_completion"))
    return Annotation(
        instruction=instruction,
        reference=_text(row.get("output_1")),
        output=_text(row.get("output_2")),
        preference=read_preference(row.get("preference")),
        dataset=_text(row.get("dataset")),
        raw_completion=raw,
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def read_preference(value: Any) -> Outcome:
    """Read a stored preference as AlpacaEval does: 1 to 2, or 0 for a tie."""
    if value is None or value == -1:
        return Failure(reason="no_preference", detail=f"stored as {value}")
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return Failure(reason="not_a_number", detail=f"{value!r:.40}")
    if math.isnan(number):
        return Failure(reason="not_a_number", detail=str(value))
    if number == 0:
        return Score(value=TIE)
    if not 1 <= number <= 2:
        return Failure(reason="out_of_range", detail=str(value))
    return Score(value=number)


def percent(preference: float) -> float:
    """Turn a preference from 1 to 2 into a win from 0 to 100."""
    return 100 * (preference - 1)


def _judged(
    model: str, annotator: str, reference: str, rows: Sequence[tuple[Path, Annotation]]
) -> Judged:
    by_id: dict[str, list[Annotation]] = {}
    for _, row in rows:
        by_id.setdefault(row.id, []).append(row)
    for same in by_id.values():
        if len({(one.reference, one.output) for one in same}) > 1:
            raise DataError(
                f"{model} has two different pairs of outputs to {same[0].instruction[:60]!r}, "
                f"judged by {annotator}: two models, or runs, go by one name; give one another "
                "generator_2, or leave its file out"
            )
    return Judged(
        model=model,
        reference=reference,
        annotator=annotator,
        annotations=tuple(map(_one, by_id.values())),
        duplicates=len(rows) - len(by_id),
        files=tuple(dict.fromkeys(path for path, _ in rows)),
    )


def _one(same: Sequence[Annotation]) -> Annotation:
    """Make one row of all rows of the same outputs."""
    read = [one for one in same if isinstance(one.preference, Score)]
    if not read:
        return same[0]
    # Files round differently: what agrees in six places is one judgement.
    said = {round(one.preference.value, 6) for one in read if isinstance(one.preference, Score)}
    if len(said) > 1:
        detail = ", ".join(f"{value:g}" for value in sorted(said))
        failure = Failure(reason="contradictory", detail=f"judged more than once: {detail}")
        return replace(read[0], preference=failure, raw_completion=None)
    return read[0]
