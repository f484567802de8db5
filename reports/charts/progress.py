"""The series at a glance: every main measure over M0, SFT, M1, M2 and M3."""

from collections.abc import Iterator
from itertools import pairwise

from harness.records import RunRecord
from reports.blocks import Chart
from reports.charts import svg
from reports.charts.ink import inks
from reports.charts.measures import names, over_models
from reports.charts.panels import Line, Panel, Place, panels
from reports.evidence import Evidence, evidence
from reports.headlines import MAIN
from reports.series import Series, chain, evaluations, plugin
from reports.tables import NOT_RUN, difference, label

_WORDS = {
    "examiner": ("Instruction following", "examiner score (of 5)"),
    "alpaca_eval": ("AlpacaEval", "win rate (%)"),
    "mt_bench": ("MT-Bench", "score (of 10)"),
    "nlp_benchmarks": ("Knowledge", "mean of the benchmarks"),
    "judge_agreement": ("Judging", "pair accuracy, ties left out"),
}
"""By plug-in, what its main measure is called: the axis, and the figure."""
_LEVELS = {"alpaca_eval": (50.0, "the reference"), "judge_agreement": (0.5, "chance")}
_NOTE = (
    "Bands and whiskers are 95 % intervals; baselines stand beside the line. Better, worse and no "
    "clear change are of paired differences, item by item."
)


def progress(record: RunRecord, *, width: float = svg.WIDTH) -> Chart | None:
    """Draw the main measure of every evaluation over the models."""
    shown = [panel for series in evaluations(record) for panel in _panels(record, series)]
    title = "The series at a glance"
    return panels("series", title, shown, inks(names(record)), note=_NOTE, width=width)


def _panels(record: RunRecord, series: Series) -> Iterator[Panel]:
    name = plugin(record, series.name)
    first = next((one for one in series.metrics if "/" not in one), None)
    metric = next(iter(MAIN.get(name, ())), first)
    axis, words = _WORDS.get(name, (label(series.name), label(metric or "")))
    # More evaluations than one of a kind go by their labels.
    title = axis if series.name == name else label(series.name)
    if metric:
        yield over_models(
            record,
            series,
            {"": metric},
            title=title,
            measure=words,
            reference=_LEVELS.get(name),
            steps=_steps(record, series),
        )
    if "net_win" in series.comparison_metrics:
        yield _net_wins(record, series)


def _steps(record: RunRecord, series: Series) -> dict[str, Evidence]:
    found = {}
    for earlier, later in pairwise(chain(record)):
        change = difference(series, later, earlier)
        if change.n:
            found[later] = evidence(change.low, change.high, change.n)
    return found


def _net_wins(record: RunRecord, series: Series) -> Panel:
    trained = chain(record)
    before = dict(zip(trained[1:], trained, strict=False))
    places, steps = [], dict[str, Evidence]()
    for model in names(record):
        other = before.get(model)
        metric = series.metric(model, "net_win", other) if other else None
        if metric is None:
            places.append(Place(model, None, missing=NOT_RUN if other else ""))
        else:
            places.append(Place(model, metric.value, metric.low, metric.high, metric.n))
            steps[model] = evidence(metric.low, metric.high, metric.n)
    alone = series.name == plugin(record, series.name)
    return Panel(
        "Model against model" if alone else label(series.name),
        "net win over the one before",
        (Line("", tuple(places)),),
        frozenset(place.name for place in places),
        (0.0, "even"),
        steps,
        signed=True,
    )
