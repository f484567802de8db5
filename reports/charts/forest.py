"""Every step of the chain by every evaluation: paired differences, better, worse or neither."""

from collections.abc import Iterator

from harness.records import RunRecord
from reports.blocks import Chart
from reports.changes import AVERAGED
from reports.charts import svg
from reports.charts.estimates import written
from reports.charts.ink import Ink
from reports.charts.measures import Step, called, difference_dot, in_words, net_wins, steps
from reports.charts.rows import Group, Row, rows
from reports.evidence import Evidence
from reports.series import Series, evaluations
from reports.tables import label

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
    mean = AVERAGED if AVERAGED in series.metrics else series.item_metric()
    for measure, found in (
        (label(mean or "mean item score"), steps(record, series)),
        ("net win", net_wins(record, series)),
    ):
        if found:
            shown = tuple(_row(step) for step in found)
            title = f"{called(series)}, {measure}"
            yield Group(shown, title, reference=(0.0, ""), signed=True, centred=True)


def _row(step: Step) -> Row:
    name = f"{step.later} - {step.earlier}"
    ink = _INKS.get(step.shown, _UNCLEAR)
    change = step.change
    figure = written(change.value, change.low, change.high, signed=True)
    tone = "muted" if ink is _UNCLEAR else ink.tone
    return Row(name, (difference_dot(name, change, ink),), f"{figure} {step.shown}", tone)
