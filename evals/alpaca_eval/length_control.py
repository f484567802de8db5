"""The length-controlled win rate (Dubois et al. 2024): what it would be with outputs as long.

    logit(win) = w1 tanh(length difference / its sd) + w2 difficulty of the instruction + w3

is fitted to one model's judgements; the win rate is the mean of its predictions with the first term
left out. The definition is that of `alpaca_eval.metrics.glm_winrate`, but for the difficulties,
which belong here to the instruction and not to the row's number.

    >>> win_rate(Weights(-1.873969, 0.996733, -1.181433), difficulty)      # claude-2
    28.155...
"""

import importlib
from dataclasses import dataclass

import numpy as np

from evals.alpaca_eval import refits
from evals.alpaca_eval.covariates import Floats, Weights
from evals.alpaca_eval.design import Judgements

LEAST = 5
"""How many judgements must not be clear losses, and how many no clear wins: one a fold of the
cross-validation. Without either there is nothing to fit, and liblinear would answer 50."""
RESAMPLES = 1_000
BASELINE = Weights(0.0, 0.0, 0.0)
"""Of the reference itself, by definition."""


@dataclass(frozen=True)
class LengthControlled:
    """A length-controlled win rate and how it came about."""

    value: float
    """In percent."""
    low: float
    high: float
    """The 95 % interval: percentiles over resamples of the instructions, each fitted again."""
    weights: Weights
    n: int
    """How many judgements it is made of."""
    c: float | None = None
    """The inverse strength of the penalty that cross-validation chose; None without a fit."""


def of_reference(n: int) -> LengthControlled:
    """Give the rate of the reference against itself."""
    return LengthControlled(50.0, 50.0, 50.0, BASELINE, n)


def estimate(judgements: Judgements, seed: int = 0) -> LengthControlled | None:
    """Fit one model's judgements, or say None where there is nothing to fit.

    That is where fewer than `LEAST` could be read, or were won or lost, gamed rows included, or
    where all length differences are the same, so that nothing is known of what length does. As
    published, a row whose judgement failed is no part of the fit, but part of the mean.
    """
    differences = judgements.length_difference
    read = int(np.isfinite(judgements.wins).sum())
    if read < LEAST or np.ptp(differences) == 0:
        return None
    rows = judgements.rows(np.arange(len(differences)))
    targets = rows.y[rows.weight > 0]
    if min((targets > 0).sum(), (targets < 1).sum()) < LEAST:
        return None
    # By name, because scikit-learn takes a second to import and building a plug-in needs none.
    coefficients, c = importlib.import_module("evals.alpaca_eval.regression").fit(rows)
    rates = refits.win_rates(judgements, c, coefficients, RESAMPLES, seed)
    low, high = np.percentile(rates, [2.5, 97.5])
    weights = _weights(coefficients)
    value = win_rate(weights, judgements.difficulty)
    return LengthControlled(value, float(low), float(high), weights, read, c)


def _weights(coefficients: Floats) -> Weights:
    length, *difficulty, model = map(float, coefficients)
    return Weights(length, float(sum(difficulty)), model)  # 0 where the fit has none


def win_rate(weights: Weights, difficulty: Floats | None) -> float:
    """Compute the win rate in percent that weights mean for outputs as long as the reference's.

    Args:
        weights: Fitted or published.
        difficulty: Of the instructions, shape (n,); None for weights fitted without.
    """
    return predicted_win_rate(weights, BASELINE, difficulty)


def predicted_win_rate(weights: Weights, other: Weights, difficulty: Floats | None) -> float:
    """Predict a model's win rate in percent against another, of outputs as long.

    Both must have been fitted against the same reference and judge (`glm_winrate.predict_winrate`,
    which gives a fraction).
    """
    hard = np.zeros(1) if difficulty is None else difficulty
    logits = (weights.model - other.model) + (weights.difficulty - other.difficulty) * hard
    return float(100 * refits.sigmoid(logits).mean())
