"""One model's judgements as the length-controlled fit sees them.

    judgements  length_difference [812, -40], wins [0.0, 0.3], difficulty [1.2, -0.7]
    rows        tanh(difference / sd), difficulty, 1 -> wins      weight 1
                tanh(difference / sd), difficulty, 0 -> wins      weight 0.1, a gamed baseline's

Without difficulties there are no second column and no gamed rows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.alpaca_eval.covariates import Floats, Gamed

GAMED_WEIGHT = 0.1
"""What a gamed row counts beside one of the run: lambda 0.2, halved because there are two a row."""


@dataclass(frozen=True)
class Rows:
    """Rows of a fit, or of many fits at once."""

    x: Floats
    """Shape (..., rows, columns)."""
    y: Floats
    """Targets from 0 to 1, shape (..., rows)."""
    weight: Floats
    """Shape (..., rows); 0 for a judgement that failed."""


@dataclass(frozen=True)
class Judgements:
    """One model's judgements, in the order of the rows, and what its fit takes from files."""

    length_difference: Floats
    """Characters of the reference's output minus those of the model's, shape (n,)."""
    wins: Floats
    """From 0 to 1, shape (n,); NaN where the judgement failed."""
    difficulty: Floats | None = None
    """Of each instruction, shape (n,)."""
    gamed: Gamed | None = None

    def rows(self, drawn: NDArray[np.int64]) -> Rows:
        """Lay judgements out for the fit, below the gamed rows.

        Args:
            drawn: Which ones, shape (n,), or resamples of them, shape (resamples, n). Lengths are
                in units of their own standard deviation (ddof 1).
        """
        length = self.length_difference[drawn]
        spread = length.std(axis=-1, ddof=1, keepdims=True)
        # A resample in which all lengths are the same says nothing about length.
        relative = np.divide(length, spread, out=np.zeros_like(length), where=spread > 0)
        columns = [np.tanh(relative), np.ones_like(length)]
        if self.difficulty is not None:
            columns.insert(1, self.difficulty[drawn])
        read = np.isfinite(self.wins[drawn])
        own = Rows(np.stack(columns, axis=-1), np.nan_to_num(self.wins[drawn]), read.astype(float))
        return own if self.gamed is None else _below(self.gamed, own)


def _below(gamed: Gamed, own: Rows) -> Rows:
    times = own.y.shape[:-1]
    count = len(gamed.wins)
    return Rows(
        np.concatenate([np.broadcast_to(gamed.features, (*times, count, 3)), own.x], axis=-2),
        np.concatenate([np.broadcast_to(gamed.wins, (*times, count)), own.y], axis=-1),
        np.concatenate([np.full((*times, count), GAMED_WEIGHT), own.weight], axis=-1),
    )
