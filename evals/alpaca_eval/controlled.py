"""From one model's judgements and the files there are to its length-controlled rate, and its label.

    all instructions AlpacaEval's, df_gamed.csv          the published fit
    ..., instruction_difficulty.csv alone                without gamed baselines    not official LC
    a few instructions are of another set                without these              not official LC
    neither file, or most instructions of another set    on length alone            not official LC

An instruction's difficulty is found by its text, so that missing rows and another order do no harm.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evals.alpaca_eval import length_control
from evals.alpaca_eval.annotations import Annotation, Judged
from evals.alpaca_eval.covariates import NOT_OFFICIAL, Covariates, Floats
from evals.alpaca_eval.design import Judgements
from evals.alpaca_eval.length_control import LengthControlled
from harness.records import Score


@dataclass(frozen=True)
class Controlled:
    """A length-controlled rate, and what a reader must know of it."""

    found: LengthControlled | None
    """None where there was nothing to fit."""
    difficulty: Floats | None
    """Of the rows that it is the mean of; None where it was fitted on length alone."""
    note: str
    """Empty for the published fit."""


def control(judged: Judged, covariates: Covariates) -> Controlled:
    """Fit one model's judgements by what there is."""
    rows = _measured(judged)
    # In the official order, because who shares a fold, and so the penalty, depends on the order.
    known = sorted(
        ((place, row) for place, row in rows if place is not None), key=lambda one: one[0]
    )
    stray = len(rows) - len(known)
    difficulty, note = None, f"{covariates.note}, so fitted on length alone"
    if 2 * stray > len(rows):
        note = (
            f"{NOT_OFFICIAL}: {judged.foreign} of {len(judged.annotations)} instructions are not "
            "AlpacaEval's and have no difficulty, so fitted on length alone"
        )
    elif covariates.difficulty is not None:
        rows = [*known]
        difficulty = covariates.difficulty[[place for place, _ in known]]
        note = covariates.note
        if stray:
            note = f"{note or NOT_OFFICIAL}; without {stray} that are not AlpacaEval's instructions"
    if _is_reference(judged):
        judgements = sum(isinstance(row.preference, Score) for _, row in rows)
        return Controlled(length_control.of_reference(judgements), difficulty, "")
    return Controlled(_fit([row for _, row in rows], difficulty, covariates), difficulty, note)


def control_by_position(judged: Judged, covariates: Covariates) -> LengthControlled | None:
    """Fit as published, with the difficulties in the order of the rows, whatever rows those are.

    None where that is the same, or where there are no difficulties.
    """
    rows = _measured(judged)
    in_order = [place for place, _ in rows] == list(range(len(rows)))
    if in_order or judged.foreign or covariates.difficulty is None or _is_reference(judged):
        return None
    return _fit([row for _, row in rows], covariates.difficulty[: len(rows)], covariates)


def is_extreme(controlled: float, raw: float) -> bool:
    """Say whether a rate is so far from the raw one that AlpacaEval would warn."""
    least = min(raw - raw / 4, raw - 10)
    most = max(raw + (100 - raw) / 4, raw + 10)
    return not least <= controlled <= most


def _fit(
    rows: Sequence[Annotation], difficulty: Floats | None, covariates: Covariates
) -> LengthControlled | None:
    return length_control.estimate(
        Judgements(
            length_difference=np.array([_length_difference(row) for row in rows]),
            wins=np.array([_win(row) for row in rows]),
            difficulty=difficulty,
            gamed=covariates.gamed if difficulty is not None else None,
        )
    )


def _measured(judged: Judged) -> list[tuple[int | None, Annotation]]:
    """List the rows that have both outputs, each with its place among AlpacaEval's."""
    rows = zip(judged.positions, judged.annotations, strict=True)
    return [(place, row) for place, row in rows if None not in (row.reference, row.output)]


def _is_reference(judged: Judged) -> bool:
    """Whether the model is the reference itself, by name or by every one of its outputs."""
    return judged.model == judged.reference or all(
        row.output is not None and row.output == row.reference for row in judged.annotations
    )


def _length_difference(row: Annotation) -> float:
    return float(len(row.reference or "") - len(row.output or ""))


def _win(row: Annotation) -> float:
    return row.preference.value - 1 if isinstance(row.preference, Score) else float("nan")
