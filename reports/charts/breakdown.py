"""Where the gain lies: the run's first model, the loop's first and its last, part by part."""

from collections.abc import Iterator

from harness.records import RunRecord
from reports.blocks import Chart
from reports.breakdown import Breakdown, Bucket, breakdowns
from reports.changes import Changes
from reports.charts import svg
from reports.charts.ink import inks
from reports.charts.measures import in_words, key, metric_dot, names
from reports.charts.rows import Group, Row, rows
from reports.figures import listed, number, places
from reports.names import label
from reports.series import Series, chain, evaluations, plugin

MOST_PARTS = 25
_DRAWN_ELSEWHERE = ("mt_bench", "nlp_benchmarks")
"""Plug-ins whose categories have a drawing of their own."""


def by_part(record: RunRecord, found: Changes, *, width: float = svg.WIDTH) -> Iterator[Chart]:
    """Draw every evaluation by category, by difficulty and by expected length."""
    for k, series in enumerate(evaluations(record)):
        own = plugin(record, series.name) in _DRAWN_ELSEWHERE
        for cut in breakdowns(series):
            if own and cut.by == "category":
                continue
            name = f"by-{cut.by.replace(' ', '-')}-{k + 1}"
            drawn = _drawn(record, found, series, cut, name, width)
            if drawn is not None:
                yield drawn


def _drawn(
    record: RunRecord, found: Changes, series: Series, cut: Breakdown, name: str, width: float
) -> Chart | None:
    measured = [model for model in chain(record) if series.scores(model)]
    if len(measured) < 2:
        return None
    loop = [found.loop[1]] if found.loop and found.loop[1] in measured else []
    shown = tuple(dict.fromkeys((measured[0], *loop, measured[-1])))
    group = Group(tuple(_row(record, bucket, shown) for bucket in cut.buckets[:MOST_PARTS]))
    left = len(cut.buckets) - len(group.rows)
    note = f"Marks are the mean {label(series.item_metric() or 'item score')} with 95 % intervals."
    return rows(
        name,
        f"{label(series.name)} by {cut.by}",
        [group],
        alt=in_words([group]),
        key=key(record, shown),
        note=" ".join(
            filter(None, (note, cut.note, f"{left} more are not shown." if left else ""))
        ),
        width=width,
    )


def _row(record: RunRecord, bucket: Bucket, shown: tuple[str, ...]) -> Row:
    ink = inks(names(record))
    metrics = [(model, bucket.metrics.get(model)) for model in shown]
    values = [metric.value for _, metric in metrics if metric and metric.value is not None]
    counts = sorted({metric.n for _, metric in metrics if metric})
    figure = " → ".join(number(value, min(places(values), 2)) for value in values)
    dots = tuple(metric_dot(model, metric, ink[model]) for model, metric in metrics)
    return Row(bucket.label, dots, f"{figure}, n {listed(counts)}", joined=True)
