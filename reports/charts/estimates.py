"""An estimate with its interval: in words, and what of it can be drawn.

>>> written(63.3, 56.7, 69.6, 120)
'63.3 [56.7, 69.6], n 120'
"""

import math
from typing import TypeGuard

from reports.blocks import Figure
from reports.figures import places


def drawable(value: float | None) -> TypeGuard[float]:
    """Whether a value has a place in a drawing."""
    return value is not None and math.isfinite(value)


def interval(low: float | None, high: float | None) -> tuple[float, float] | None:
    """Take an interval that has two ends with a place; None where it has not."""
    return (low, high) if drawable(low) and drawable(high) else None


def written(
    value: float | None,
    low: float | None,
    high: float | None,
    n: int | None = None,
    *,
    missing: str = "no score",
    signed: bool = False,
) -> str:
    """Write an estimate as the tables do, or what is said where there is none."""
    if not drawable(value):
        return missing
    figure = Figure(value, low, high, places([value, low, high]), signed)
    count = "" if n is None else f", n {n:,}"
    return f"{figure.text} {figure.interval}".strip() + count
