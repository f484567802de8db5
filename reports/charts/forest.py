"""Every comparison of two models that the run makes: better, worse or neither."""

from harness.records import RunRecord
from reports.blocks import Chart
from reports.changes import AVERAGED, Change, Changes
from reports.charts import svg
from reports.charts.estimates import written
from reports.charts.ink import Ink
from reports.charts.measures import difference_dot, in_words
from reports.charts.rows import Group, Row, rows
from reports.evidence import Evidence
from reports.names import label
from reports.series import Series, evaluations

_INKS: dict[Evidence, Ink] = {"better": Ink("better", "up"), "worse": Ink("worse", "down")}
_UNCLEAR = Ink("neutral", "circle", hollow=True)
_KEY = (
    (Ink("better", "up"), "better"),
    (Ink("worse", "down"), "worse"),
    (_UNCLEAR, "neither, or not clearly"),
)


def forest(record: RunRecord, found: Changes, *, width: float = svg.WIDTH) -> Chart | None:
    """Draw every comparison of two models, a group of rows an evaluation."""
    groups = [_group(series, found) for series in evaluations(record)]
    return rows(
        "differences",
        "What changed from model to model",
        groups,
        alt=in_words(groups),
        key=_KEY,
        note="Differences item by item with 95 % intervals; better and worse are corrected for "
        f"the {found.tested} comparisons. Every evaluation has a scale of its own, with one zero.",
        width=width,
        shared=False,
    )


def _group(series: Series, found: Changes) -> Group:
    there = [one for one in found.found if one.evaluation == series.name and one.estimate.n]
    shown = tuple(map(_row, there))
    measure = AVERAGED if AVERAGED in series.metrics else there[0].metric if there else ""
    title = f"{label(series.name)}, {label(measure)}"
    return Group(shown, title, reference=(0.0, ""), signed=True, centred=True)


def _row(change: Change) -> Row:
    name = f"{change.later} - {change.earlier}"
    ink = _INKS.get(change.evidence, _UNCLEAR)
    figure = written(change.estimate.value, change.estimate.low, change.estimate.high, signed=True)
    tone = "muted" if ink is _UNCLEAR else ink.tone
    dot = difference_dot(name, change.estimate, ink)
    return Row(name, (dot,), f"{figure} {change.evidence}", tone)
