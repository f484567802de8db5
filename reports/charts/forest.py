"""Every step of the chain by every evaluation: paired differences, better, worse or neither."""

from collections.abc import Iterator
from itertools import pairwise

from harness.records import RunRecord
from harness.statistics.intervals import Estimate
from reports.blocks import Chart
from reports.charts import svg
from reports.charts.ink import Ink
from reports.charts.measures import difference_dot, in_words
from reports.charts.panels import said
from reports.charts.rows import Group, Row, rows
from reports.evidence import Evidence, evidence
from reports.series import Series, chain, evaluations
from reports.tables import difference, label

_INKS: dict[Evidence, Ink] = {"better": Ink("better", "up"), "worse": Ink("worse", "down")}
_UNCLEAR = Ink("neutral", "circle", hollow=True)
_KEY = (
    (Ink("better", "up"), "better"),
    (Ink("worse", "down"), "worse"),
    (_UNCLEAR, "no clear change, or too few items"),
)


def forest(record: RunRecord, *, width: float = svg.WIDTH) -> Chart | None:
    """Draw each model against the one before, a group of rows an evaluation."""
    groups = [group for series in evaluations(record) for group in _groups(record, series)]
    return rows(
        "differences",
        "Each model against the one before, item by item",
        groups,
        alt=in_words(groups),
        key=_KEY,
        note="Whiskers are 95 % intervals. Every evaluation has a scale of its own, with zero in "
        "one line.",
        width=width,
        shared=False,
    )


def _groups(record: RunRecord, series: Series) -> Iterator[Group]:
    steps = list(pairwise(chain(record)))
    changes = [(later, earlier, difference(series, later, earlier)) for earlier, later in steps]
    found = tuple(_row(later, earlier, change) for later, earlier, change in changes if change.n)
    if found:
        name = series.item_metric() or "mean item score"
        yield Group(found, f"{label(series.name)}, {label(name)}", "", (0.0, ""), signed=True)
    games = tuple(
        _row(later, earlier, Estimate(metric.value, metric.low, metric.high, metric.n))
        for earlier, later in steps
        if (metric := series.metric(later, "net_win", earlier))
    )
    if games:
        yield Group(games, f"{label(series.name)}, net win", "", (0.0, ""), signed=True)


def _row(later: str, earlier: str, change: Estimate) -> Row:
    shown = evidence(change.low, change.high, change.n)
    name = f"{later} - {earlier}"
    ink = _INKS.get(shown, _UNCLEAR)
    words = said("", change.value, change.low, change.high, None, signed=True).removeprefix(": ")
    tone = ink.tone if ink is not _UNCLEAR else "muted"
    return Row(name, (difference_dot(name, change, ink),), f"{words} {shown}", tone)
