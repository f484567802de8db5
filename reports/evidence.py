"""When a difference counts: the one rule behind every "better" in a report.

interval [+0.28, +0.45], 250 items   better
interval [-0.05, +0.09], 250 items   no clear change, which does not say that there is none
interval [+1.00, +1.00], 3 items     too few: the interval of a handful of items means nothing
no interval, 300 items               too few of them differ (`harness.statistics.intervals`)
"""

from typing import Literal

LEAST_ITEMS = 20
"""Below this, a bootstrap or normal interval is not to be trusted, however narrow it is."""

LEAST_BOUND = 0.0005
"""A bound that is printed as 0.000 counts as 0: a bootstrap is not more exact than that."""

Evidence = Literal["better", "worse", "no clear change", "too few items", "no interval"]


def evidence(low: float | None, high: float | None, n: int) -> Evidence:
    """Say what the 95 % interval of a difference over n items shows."""
    if n < LEAST_ITEMS:
        return "too few items"
    if low is None or high is None:
        return "no interval"
    if low >= LEAST_BOUND:
        return "better"
    return "worse" if high <= -LEAST_BOUND else "no clear change"
