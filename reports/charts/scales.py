"""From values to places: linear scales with round ticks.

    scale = Scale.over([0.86, 3.80], (0, 100))
    scale(2.33)      50.0
    scale.ticks(4)   1, 2, 3

Values that are not finite have no place; whoever draws leaves them out and says so.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from reports.figures import number, plain

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_EDGE = 0.06
_SMALLEST, _LARGEST = 1e-290, 1e300


@dataclass(frozen=True)
class Scale:
    """Values of a domain, laid over a range of places."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(
        cls, values: Iterable[float | None], places: tuple[float, float], *, edge: float = _EDGE
    ) -> Self:
        """Cover all values with an edge on both sides; a single value lies in the middle.

        Args:
            values: What must have a place; None and what is not finite is left out.
            places: Of the lowest and the highest end.
            edge: Share of the domain that is left free on each side.
        """
        found = _finite(values)
        low, high = min(found, default=0.0), max(found, default=1.0)
        free = (high - low) * edge or abs(high) * 0.1 or 1.0
        return cls(low - free, high + free, *places)

    @classmethod
    def around(cls, values: Iterable[float | None], places: tuple[float, float]) -> Self:
        """Cover all values with zero in the middle."""
        most = max(map(abs, _finite(values)), default=0.0) * (1 + _EDGE) or 1.0
        return cls(-most, most, *places)

    def __call__(self, value: float) -> float:
        """Find a value's place; one beyond the domain lies at its end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int) -> tuple[float, ...]:
        """Choose round values within the domain, as many as fit and at most so many."""
        span = self.high - self.low
        power = 10.0 ** math.floor(math.log10(span / max(most, 1)))
        for step in (power * factor for factor in (*_STEPS, 20.0)):
            first, last = math.ceil(self.low / step), math.floor(self.high / step)
            if last - first < most:
                return tuple(k * step for k in range(first, last + 1))
        return ()


def _finite(values: Iterable[float | None]) -> list[float]:
    # What is beyond, or next to nothing, would have a domain whose width cannot be computed with.
    return [
        min(max(value, -_LARGEST), _LARGEST) if abs(value) > _SMALLEST else 0.0
        for value in values
        if value is not None and math.isfinite(value)
    ]


def tick_label(value: float, ticks: tuple[float, ...], *, signed: bool = False) -> str:
    """Write a tick with as many decimals as tell it from its neighbours."""
    step = ticks[1] - ticks[0] if len(ticks) > 1 else abs(value)
    if not step or abs(value) >= 1e5 or step < 1e-4:
        return plain(value)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if round(step, decimals) != round(step, decimals + 2):
        decimals += 1
    return number(value, decimals, signed=signed)
