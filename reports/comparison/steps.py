"""From one model to the next, seed by seed: does the change come again with every seed?

    M2 - M1 of micro (3 seeds), examiner score: +0.39, +0.41, +0.44
    +0.41 [+0.35, +0.48], higher in 3 of 3 seeds

Both figures of a difference are of one run, so that what its seed does to both cancels out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.statistics.repeats import Repeats, over_repeats
from reports.changes import NET_WIN
from reports.comparison.levels import Quantity
from reports.comparison.settings import Setting

STEPLESS = {NET_WIN}
"""Metrics that are differences from another model already."""


@dataclass(frozen=True)
class Step:
    """How much higher a figure is for one model than for the one before, by run."""

    quantity: Quantity
    setting: Setting
    later: str
    earlier: str
    changes: Mapping[str, float]

    @property
    def repeats(self) -> Repeats:
        """The mean change over the seeds."""
        return over_repeats(list(self.changes.values()))

    @property
    def higher(self) -> int:
        """In how many seeds it is higher."""
        return sum(change > 0 for change in self.changes.values())


def steps(
    quantities: Sequence[Quantity], settings: Sequence[Setting], names: Sequence[str]
) -> Iterator[Step]:
    """List the steps between consecutive models of every setting with several seeds."""
    for setting in settings:
        for quantity in quantities:
            if quantity.metric in STEPLESS or len(setting.runs) < 2:
                continue
            for earlier, later in pairwise(names):
                before, after = quantity.of(setting, earlier), quantity.of(setting, later)
                changes = {
                    run: value - start
                    for run, metric in after.items()
                    if (value := metric.value) is not None
                    and run in before
                    and (start := before[run].value) is not None
                }
                if changes:
                    yield Step(quantity, setting, later, earlier, changes)
