"""When a difference counts: the one rule behind every "better" in a report.

interval [+0.28, +0.45], 250 items, p .001   better
interval [-0.05, +0.09], 250 items           no clear change, which does not say that there is none
interval [+0.02, +0.31], 250 items, p .21    not after correction: one of many comparisons
interval [+1.00, +1.00], 3 items             too few: the interval of a handful means nothing
no interval, 300 items                       too few of them differ (`harness.statistics.intervals`)

p is that of a paired test, corrected for how many comparisons the report makes (`reports.changes`).
"""

from typing import Literal

LEAST_ITEMS = 20
"""Below this, a bootstrap or normal interval is not to be trusted, however narrow it is."""

LEAST_BOUND = 0.0005
"""A bound that is printed as 0.000 counts as 0: a bootstrap is not more exact than that."""

MOST_CHANCE = 0.05
"""A corrected p must be below this."""

LEAST_TAX = 0.03
"""A fall of the benchmarks' mean by so much is an alignment tax. The paper calls them mostly
maintained where its own mean falls by 2.6 points from M1 to M3: 3 is the next whole number."""

Evidence = Literal[
    "better", "worse", "no clear change", "not after correction", "too few items", "no interval"
]


def evidence(low: float | None, high: float | None, n: int, p: float | None = None) -> Evidence:
    """Say what the 95 % interval of a difference over n items shows.

    Args:
        low: Lower end of the interval, None where there is none.
        high: Upper end.
        n: How many items.
        p: Corrected for all comparisons; None where the interval is the only test.
    """
    if n < LEAST_ITEMS:
        return "too few items"
    if low is None or high is None:
        return "no interval"
    if high > -LEAST_BOUND and low < LEAST_BOUND:
        return "no clear change"
    if p is not None and p >= MOST_CHANCE:
        return "not after correction"
    return "better" if low >= LEAST_BOUND else "worse"


def holds(low: float | None, margin: float) -> bool:
    """Say whether an interval excludes a loss of the margin or more (non-inferiority)."""
    return low is not None and low > -margin
