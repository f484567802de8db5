"""What a few repeats of a training say: the mean over seeds, and how far the seeds lie apart.

    >>> over_repeats([0.20, 0.26, 0.29])
    Repeats(value=0.25, deviation=0.0458..., low=0.136..., high=0.363..., n=3)

The interval is Student's (1908): it covers which seed was drawn, for normally spread values. Two
repeats have none, for it would reach 12.7 standard errors to each side; neither have equal ones,
which tell nothing about a spread.
"""

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import NamedTuple

LEAST_REPEATS = 3
_CONFIDENCE = 0.95


class Repeats(NamedTuple):
    """A mean over repeats.

    Attributes:
        value: The mean; None of nothing.
        deviation: The standard deviation of single repeats, None of fewer than two.
        low: Lower end of the mean's 95 % interval, None where there is none.
        high: Upper end.
        n: How many repeats.
    """

    value: float | None
    deviation: float | None
    low: float | None
    high: float | None
    n: int

    @property
    def error(self) -> float | None:
        """The standard error of the mean."""
        return None if self.deviation is None else self.deviation / math.sqrt(self.n)


def over_repeats(values: Sequence[float]) -> Repeats:
    """Estimate the mean of repeats, one value each."""
    n = len(values)
    if n == 0:
        return Repeats(None, None, None, None, 0)
    middle = fmean(values)
    if n == 1:
        return Repeats(middle, None, None, None, 1)
    deviation = stdev(values)
    if n < LEAST_REPEATS or len(set(values)) == 1:
        return Repeats(middle, deviation, None, None, n)
    half = student_factor(n - 1) * deviation / math.sqrt(n)
    return Repeats(middle, deviation, middle - half, middle + half, n)


def student_factor(freedom: int) -> float:
    """Find the t beyond which 2.5 % of Student's distribution lie on each side.

    Args:
        freedom: Degrees of freedom, one or more.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(60):  # halvings: more than a float can tell apart
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < _CONFIDENCE else (low, middle)
    return math.tan(low) * math.sqrt(freedom)


def _within(angle: float, freedom: int) -> float:
    """The probability within +-t, where tan(angle) is t / sqrt(freedom).

    These are the finite sums of Abramowitz and Stegun (1964), 26.7.3 and 26.7.4.
    """
    odd = freedom % 2
    total, term = 0.0, math.cos(angle) if odd else 1.0
    for power in range(odd, freedom - 1, 2):
        total += term
        term *= math.cos(angle) ** 2 * (power + 1) / (power + 2)
    inner = math.sin(angle) * total
    return 2 / math.pi * (angle + inner) if odd else inner
