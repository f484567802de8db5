"""One model's judgements in, its figures out: AlpacaEval's own definitions, in percent.

    preferences 1.0, 1.5, 2.0, null  ->  win_rate 50, n 3, failed 1; discrete_win_rate 50

    win_rate                    100 mean(preference - 1)
    standard_error              its own: 100 sd (ddof 1) / sqrt(n)
    discrete_win_rate           the same of preferences rounded to 1, 1.5 (exactly a tie) and 2
    length_controlled_win_rate  see `controlled`; its coefficients are lc_weight/...
    average_length              characters of the model's outputs, cut to a whole number
    leaderboard_rank/...        where the public table would have it

A judgement that failed is in `failed` and in no figure.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from evals.alpaca_eval import instructions, length_control
from evals.alpaca_eval.annotations import (
    OFFICIAL_ANNOTATOR,
    OFFICIAL_REFERENCE,
    TIE,
    Judged,
    percent,
)
from evals.alpaca_eval.controlled import Controlled, control_by_position, is_extreme
from evals.alpaca_eval.covariates import Covariates, Weights
from evals.alpaca_eval.leaderboard import Column, standing
from evals.alpaca_eval.length_control import LengthControlled
from harness.records import EvalResult, Metric, Score
from harness.statistics.intervals import mean

WIN_RATE, CONTROLLED = "win_rate", "length_controlled_win_rate"
BY_POSITION = f"{CONTROLLED}_positional"
BY_PUBLISHED_WEIGHTS = f"{CONTROLLED}_published_weights"
PREDICTED = f"{CONTROLLED}_predicted"
_WEIGHTS = tuple(f"lc_weight/{name}" for name in Weights._fields)


def metrics(judged: Judged, controlled: Controlled) -> Iterator[Metric]:
    """Compute every figure but the leaderboard's place."""
    outcomes = [one.preference for one in judged.annotations]
    values = [one.value for one in outcomes if isinstance(one, Score)]
    n, failed, note = len(values), len(outcomes) - len(values), _note(judged)
    wins = [percent(value) for value in values]
    win_rate = mean(wins).metric(WIN_RATE, failed, note=note)
    yield win_rate
    error = float(np.std(wins, ddof=1) / np.sqrt(n)) if n > 1 else None
    yield Metric(name="standard_error", value=error, n=n, failed=failed, note=note)
    rounded = [percent(value if value == TIE else round(value)) for value in values]
    yield mean(rounded).metric("discrete_win_rate", failed, note=note)
    yield _controlled(CONTROLLED, controlled.found, win_rate, controlled.note)
    lengths = [len(one.output) for one in judged.annotations if one.output is not None]
    length = mean(lengths)
    whole = length._replace(value=None if length.value is None else float(int(length.value)))
    yield whole.metric("average_length", len(outcomes) - len(lengths))
    counts = {
        "n_wins": sum(value > TIE for value in values),
        "n_wins_base": sum(value < TIE for value in values),
        "n_draws": values.count(TIE),
    }
    for name, count in counts.items():
        yield Metric(name=name, value=count, n=n, failed=failed)
    if controlled.found is not None:
        for name, value in zip(_WEIGHTS, controlled.found.weights, strict=True):
            yield Metric(name=name, value=value, n=n, failed=failed, note=controlled.note)


def as_published(judged: Judged, covariates: Covariates, win_rate: Metric) -> Iterator[Metric]:
    """Compute the rate that the package itself would give, where it differs by missing rows."""
    found = control_by_position(judged, covariates)
    if found is not None:
        note = "difficulties by the rows' numbers, as published, and so of other instructions"
        yield _controlled(BY_POSITION, found, win_rate, _joined(covariates.note, note))


def _controlled(name: str, found: LengthControlled | None, win_rate: Metric, label: str) -> Metric:
    """Write a length-controlled rate down, with what a reader must know of it."""
    if found is None:
        least = length_control.LEAST
        nothing = (
            f"wants {least} judgements, among them and the gamed ones {least} wins and {least} "
            "losses, and outputs of different lengths"
        )
        return Metric(
            name=name, value=None, n=0, failed=win_rate.failed, note=_joined(label, nothing)
        )
    extreme = win_rate.value is not None and is_extreme(found.value, win_rate.value)
    warning = "far from the raw rate: the fit may have failed" if extreme else ""
    if found.c is not None and not any(found.weights):
        warning = "the fit's penalty left nothing of it, and so it says 50 whatever was judged"
    return Metric(
        name=name,
        value=found.value,
        low=None if found.low == found.high else found.low,
        high=None if found.low == found.high else found.high,
        n=found.n,
        failed=win_rate.n + win_rate.failed - found.n,
        note=_joined(win_rate.note, label, warning),
    )


def by_published_weights(
    weights: Weights, controlled: Controlled, win_rate: Metric, covariates: Covariates
) -> Metric:
    """Compute the rate that published coefficients mean on this run's instructions."""
    return Metric(
        name=BY_PUBLISHED_WEIGHTS,
        value=length_control.win_rate(weights, controlled.difficulty),
        n=win_rate.n,
        failed=win_rate.failed,
        note=f"published coefficients, difficulties of {', '.join(covariates.files)}",
    )


def predictions(
    result: Sequence[Metric], controlled: Controlled, earlier: Sequence[EvalResult], protocol: str
) -> Iterator[Metric]:
    """Predict the length-controlled rate against every earlier model of the same protocol."""
    [own] = [metric for metric in result if metric.name == CONTROLLED]
    for other in earlier:
        theirs = weights(other)
        if controlled.found is None or theirs is None or other.protocol != protocol:
            continue
        yield Metric(
            name=PREDICTED,
            value=length_control.predicted_win_rate(
                controlled.found.weights, theirs, controlled.difficulty
            ),
            n=own.n,
            failed=own.failed,
            against=other.model,
            note="from both models' coefficients, without a judgement of the two",
        )


def weights(result: EvalResult) -> Weights | None:
    """Read a fit's coefficients back from its result; None where there was no fit."""
    found = [result.metric(name) for name in _WEIGHTS]
    values = [one.value for one in found if one is not None and one.value is not None]
    return Weights(*values) if len(values) == len(_WEIGHTS) else None


FEWEST_RANKED = 802
"""The public leaderboard has no row of fewer judgements."""


def places(judged: Judged, found: Sequence[Metric], official: bool) -> Iterator[Metric]:
    """Rank the model in the public leaderboard, where its figures belong there.

    Args:
        judged: The judgements.
        found: The model's figures.
        official: Whether its length-controlled rate is one by AlpacaEval's difficulties.
    """
    if not_comparable(judged):
        return
    columns: dict[str, Column] = {WIN_RATE: "win_rate"}
    if official:
        columns[CONTROLLED] = "length_controlled_winrate"
    for metric in found:
        if metric.name in columns and metric.value is not None:
            name = f"leaderboard_rank/{metric.name}"
            rank = standing(name, judged.model, metric.value, columns[metric.name])
            if rank is not None:
                some = f"of {metric.n} judgements alone" if metric.n < FEWEST_RANKED else ""
                yield rank.model_copy(update={"note": _joined(some, rank.note)})


def not_comparable(judged: Judged) -> str:
    """Say why a win rate has no place beside the leaderboard's; empty where it has."""
    reasons = []
    if judged.annotator != OFFICIAL_ANNOTATOR:
        reasons.append(f"judge substituted ({judged.annotator})")
    if judged.reference != OFFICIAL_REFERENCE:
        reasons.append(f"reference {judged.reference}")
    if judged.foreign:
        reasons.append("other instructions")
    return f"{', '.join(reasons)}: not comparable with the leaderboard" if reasons else ""


def _note(judged: Judged) -> str:
    missing = instructions.TOTAL - len(judged.annotations)
    return _joined(
        not_comparable(judged),
        "discrete: the judge gave no token probabilities" if judged.discrete else "",
        f"{missing} of AlpacaEval's {instructions.TOTAL} instructions are missing"
        if missing and not judged.foreign
        else "",
        *judged.remarks,
    )


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
