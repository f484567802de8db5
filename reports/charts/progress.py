"""The series at a glance: every main measure over M0, SFT, M1, M2 and M3."""

from collections.abc import Iterator

from harness.records import RunRecord
from reports.blocks import Chart
from reports.charts import svg
from reports.charts.alpaca_eval import parity
from reports.charts.ink import inks
from reports.charts.measures import Step, called, names, net_wins, over_models, steps
from reports.charts.panels import Line, Panel, Place, panels
from reports.evidence import Evidence
from reports.headlines import MAIN
from reports.series import Series, chain, evaluations, plugin
from reports.tables import NOT_RUN, label

_WORDS = {
    "examiner": ("Instruction following", "examiner score (of 5)"),
    "alpaca_eval": ("AlpacaEval", "win rate (%)"),
    "mt_bench": ("MT-Bench", "score (of 10)"),
    "nlp_benchmarks": ("Knowledge", "mean of the benchmarks"),
    "judge_agreement": ("Judging", "pair accuracy, ties left out"),
}
"""By plug-in, what its main measure is called: the axis, and the figure."""
_CHANCE = (0.5, "chance")
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
    axis, words = _WORDS.get(name, (called(series), label(metric or "")))
    # More evaluations than one of a kind go by their labels.
    title = axis if series.name == name else called(series)
    if metric:
        yield over_models(
            record,
            series,
            {"": metric},
            title=title,
            measure=words,
            reference=_reference(name, series),
            steps=_by_later(steps(record, series)),
        )
    if "net_win" in series.comparison_metrics:
        yield _net_wins(record, series)


def _reference(name: str, series: Series) -> tuple[float, str] | None:
    if name == "alpaca_eval":
        return parity(series)
    return _CHANCE if name == "judge_agreement" else None


def _by_later(found: tuple[Step, ...]) -> dict[str, Evidence]:
    return {step.later: step.shown for step in found}


def _net_wins(record: RunRecord, series: Series) -> Panel:
    before = dict(zip(chain(record)[1:], chain(record), strict=False))
    found = {step.later: step.change for step in net_wins(record, series)}
    places = tuple(
        Place(model, *found[model])
        if model in found
        else Place(model, None, missing=NOT_RUN if model in before else "")
        for model in names(record)
    )
    alone = series.name == plugin(record, series.name)
    return Panel(
        "Model against model" if alone else called(series),
        "net win over the one before",
        (Line("", places),),
        frozenset(names(record)),
        (0.0, "even"),
        _by_later(net_wins(record, series)),
        signed=True,
    )
