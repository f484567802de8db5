"""Judgements as a result's items, and those items as AlpacaEval's own files again.

    model_outputs(result)  [{"dataset": "koala", "instruction": "...", "output": "...",
                             "generator": "M3"}, ...]
    annotations(result)    [{..., "output_1": "...", "generator_1": "gpt4_1106_preview", ...,
                             "preference": 1.3, "preference_raw_completion": {...}}, ...]
    leaderboard(result)    the model's row of the public table, as CSV
    weights(result)        its row of the table of coefficients, as CSV
    files(result)          all of them, under their names

The items hold everything, so that stored and fresh results are written alike, and what is written
scores the same when it is read back.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

from pydantic import JsonValue

from evals.alpaca_eval import figures
from evals.alpaca_eval.annotations import Annotation, Judged, percent
from evals.alpaca_eval.covariates import DIFFICULTY, LENGTH, MODEL, Covariates
from harness.records import EvalResult, ItemResult, Outcome, Score
from harness.verdicts import OWN_FIRST, OWN_SECOND, written


def items(judged: Judged, covariates: Covariates) -> Iterator[ItemResult]:
    """Lay every judgement out, worth 0 to 100, so that their mean is the win rate."""
    for one in judged.annotations:
        outcome: Outcome = one.preference
        if isinstance(outcome, Score):
            outcome = Score(value=percent(outcome.value))
        yield ItemResult(
            id=one.id,
            answer=one.output or "",
            outcome=outcome,
            category=one.dataset,
            details={
                "prompt": one.instruction,
                "reference_output": one.reference,
                "reference": judged.reference,
                "model": judged.model,
                "annotator": judged.annotator,
                "preference": one.preference.value if isinstance(one.preference, Score) else None,
                "verdicts": list(_verdicts(one)),
                "raw_completion": one.raw_completion,
                "answered": one.output is not None,
                "tokens": one.tokens,
                "truncated": one.truncated,
                "difficulty": covariates.difficulty_of(one.instruction),
            },
        )


def _verdicts(one: Annotation) -> Iterator[dict[str, JsonValue]]:
    """Lay the judge's verdict out, if it gave any, worth 0 to 1."""
    if one.verdict is not None:
        order = None if one.swapped is None else OWN_FIRST if one.swapped else OWN_SECOND
        won = one.preference
        if isinstance(won, Score):
            won = Score(value=won.value - 1)
        yield written(one.verdict, won, order, one.probabilities)


def model_outputs(result: EvalResult, generator: str | None = None) -> list[dict[str, Any]]:
    """Write the model's outputs; an instruction to which it gave none is left out.

    Args:
        result: Of `alpaca_eval`.
        generator: What to call the model; its own name without.
    """
    return [
        {
            "dataset": item.category,
            "instruction": item.details["prompt"],
            "output": item.answer,
            "generator": generator or result.model,
        }
        for item in result.items
        if item.details["answered"]
    ]


def annotations(result: EvalResult, generator: str | None = None) -> list[dict[str, Any]]:
    """Write the judgements as alpaca-eval 0.6.6 does; one that failed has the preference null.

    Null are also the price, the time and the date, which are not known of single judgements.
    """
    made_by = f"self-rewarding-harness=={version('self-rewarding-harness')}"
    return [
        {
            "dataset": item.category,
            "instruction": item.details["prompt"],
            "output_1": item.details["reference_output"],
            "generator_1": item.details["reference"],
            "output_2": item.answer,
            "generator_2": generator or result.model,
            "annotator": item.details["annotator"],
            "preference": item.details["preference"],
            "preference_price_per_example": None,
            "preference_time_per_example": None,
            "preference_date": None,
            "preference_version": made_by,
            "preference_raw_completion": item.details["raw_completion"],
        }
        for item in result.items
        if item.details["answered"]
    ]


def leaderboard(result: EvalResult, name: str | None = None) -> str:
    """Write the model's row of the public table, with its header.

    The standard error of the length-controlled rate stays empty, as in most published rows:
    AlpacaEval's own leaves out the noise of the judgements and of the fit.

    Args:
        result: Of `alpaca_eval`.
        name: What to call the model; its own name without.
    """
    win_rate = result.metric(figures.WIN_RATE)

    def of(metric: str) -> float | None:
        found = result.metric(metric)
        return found.value if found else None

    row = {
        "": name or result.model,
        "win_rate": of(figures.WIN_RATE),
        "standard_error": of("standard_error"),
        "n_wins": _whole(of("n_wins")),
        "n_wins_base": _whole(of("n_wins_base")),
        "n_draws": _whole(of("n_draws")),
        "n_total": win_rate.n if win_rate else 0,
        "discrete_win_rate": of("discrete_win_rate"),
        "mode": "community",
        "avg_length": _whole(of("average_length")),
        "length_controlled_winrate": of(figures.CONTROLLED),
        "lc_standard_error": None,
    }
    return _csv([list(row), list(row.values())])


def weights(result: EvalResult, name: str | None = None) -> str | None:
    """Write the model's row of the table of coefficients, with its header; None without a fit."""
    found = figures.weights(result)
    if found is None:
        return None
    coefficients = [f"{value:.16f}" for value in found]
    return _csv([["", LENGTH, DIFFICULTY, MODEL], [name or result.model, *coefficients]])


def files(result: EvalResult) -> Iterator[tuple[str, str]]:
    """Write everything out under AlpacaEval's names: names and contents of files.

    An instruction that has no output is in neither list, so that only the result counts it as
    failed.
    """
    yield "model_outputs.json", _json(model_outputs(result))
    yield "annotations.json", _json(annotations(result))
    yield "leaderboard.csv", leaderboard(result)
    coefficients = weights(result)
    if coefficients is not None:
        yield "weights.csv", coefficients


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _csv(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _json(rows: list[dict[str, Any]]) -> str:
    return json.dumps(rows, indent=2) + "\n"
