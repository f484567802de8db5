"""The series at a glance: every main measure over M0, SFT, M1, M2 and M3."""

from collections.abc import Iterator, Mapping

from harness.records import RunRecord
from reports.blocks import Chart
from reports.changes import NET_WIN, Changes
from reports.charts import svg
from reports.charts.alpaca_eval import parity
from reports.charts.ink import inks
from reports.charts.measures import before, names, over_models, place, steps
from reports.charts.panels import Line, Panel, Place, panels
from reports.evidence import Evidence
from reports.headlines import MAIN
from reports.names import label
from reports.series import Series, evaluations, plugin

_WORDS = {
    "examiner": "score (of 5)",
    "alpaca_eval": "win rate (%)",
    "mt_bench": "score (of 10)",
    "nlp_benchmarks": "mean of the benchmarks",
}
"""By plug-in, what its main measure is called."""
_CHANCE = (0.5, "chance")
_NOTE = (
    "Bands and whiskers are 95 % intervals; baselines stand beside the line. Better and worse are "
    "of differences item by item from the model at the left, corrected for how many there are."
)


def progress(record: RunRecord, found: Changes, *, width: float = svg.WIDTH) -> Chart | None:
    """Draw the main measure of every evaluation over the models, and what changed."""
    shown = [panel for series in evaluations(record) for panel in _panels(record, found, series)]
    title = "Main figures, model by model"
    return panels("series", title, shown, inks(names(record)), note=_NOTE, width=width)


def _panels(record: RunRecord, found: Changes, series: Series) -> Iterator[Panel]:
    name = plugin(record, series.name)
    shown = {model: change.evidence for model, change in steps(record, found, series).items()}
    if NET_WIN in series.comparison_metrics:
        yield _net_wins(record, series, shown)
        return
    first = next((one for one in series.metrics if "/" not in one), "")
    metric = next(iter(MAIN.get(name, ())), first)
    yield over_models(
        record,
        series,
        {"": metric},
        title=label(series.name),
        measure=_WORDS.get(name, label(metric)),
        reference=_reference(name, series),
        steps=shown,
    )


def _reference(name: str, series: Series) -> tuple[float, str] | None:
    if name == "alpaca_eval":
        return parity(series)
    return _CHANCE if name == "judge_agreement" else None


def _net_wins(record: RunRecord, series: Series, shown: Mapping[str, Evidence]) -> Panel:
    earlier = before(record)
    places = tuple(
        place(series, model, NET_WIN, earlier[model])
        if model in earlier
        else Place(model, None, missing="")
        for model in names(record)
    )
    return Panel(
        label(series.name),
        "net win over the one before",
        (Line("", places),),
        frozenset(names(record)),
        (0.0, "even"),
        shown,
        signed=True,
    )
