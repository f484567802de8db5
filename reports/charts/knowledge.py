"""What a model still knows: the benchmarks as differences from M0, the alignment tax."""

from collections.abc import Iterator

from harness.records import RunRecord
from harness.statistics.intervals import LEAST_DECIDED, Estimate, mean_of_means
from reports.blocks import Chart
from reports.changes import AVERAGED, by_category, difference
from reports.charts import svg
from reports.charts.ink import inks
from reports.charts.measures import difference_dot, in_words, key, names, of_plugin
from reports.charts.rows import Dot, Group, Row, rows
from reports.names import label
from reports.series import Series
from reports.tables import NOT_RUN

_PERCENT = 100


def knowledge(record: RunRecord, *, width: float = svg.WIDTH) -> Iterator[Chart]:
    """Draw every later model's difference from the first, a row a benchmark, and the mean."""
    for end, series in of_plugin(record, "nlp_benchmarks"):
        first, *later = names(record)
        if not later:
            continue
        tasks = dict.fromkeys(
            item.category for result in series.results.values() for item in result.items
        )
        parts = [Row(label(task), _dots(record, series, first, task)) for task in tasks if task]
        mean = Row("mean", _dots(record, series, first, None), bold=True)
        group = Group(
            (*parts, mean), unit="percentage points", reference=(0.0, f"as {first}"), signed=True
        )
        found = rows(
            f"benchmarks{end}",
            f"{label(series.name)}: differences from {first}",
            [group],
            alt=in_words([group]),
            key=key(record, later),
            note=f"Item by item against {first}; whiskers are 95 % intervals, not corrected for "
            "how many there are, and there are none where too few items differ.",
            width=width,
        )
        if found is not None:
            yield found


def _dots(record: RunRecord, series: Series, first: str, task: str | None) -> tuple[Dot, ...]:
    """Mark every later model's difference on a task, or of the mean where none is named."""
    dots = []
    for model, ink in inks(names(record)).items():
        if model == first:
            continue
        if not {first, model} <= series.results.keys():
            dots.append(Dot(model, None, ink, missing=NOT_RUN))
        elif task is None and AVERAGED in series.metrics:
            dots.append(difference_dot(model, difference(series, model, first), ink, _PERCENT))
        else:
            dots.append(difference_dot(model, _of_task(series, model, first, task), ink, _PERCENT))
    return tuple(dots)


def _of_task(series: Series, later: str, earlier: str, task: str | None) -> Estimate:
    if not series.comparable(later, earlier):
        return Estimate(None, None, None, 0)
    groups = by_category(series, later, earlier)
    changes = [one for name, group in groups.items() if task in (None, name) for one in group]
    # One group: as `paired_difference`, but in no time where thousands of items are right or wrong.
    estimate = mean_of_means([changes])
    decided = sum(map(bool, changes)) >= LEAST_DECIDED
    return estimate if decided else estimate._replace(low=None, high=None)
