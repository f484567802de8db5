"""How long the answers are, and whether length does the winning."""

from collections.abc import Iterator, Mapping

from harness.records import RunRecord
from reports.blocks import Chart
from reports.cautions import LENGTHS
from reports.charts import svg
from reports.charts.estimates import written
from reports.charts.ink import Ink, inks
from reports.charts.measures import names, of_plugin, over_models
from reports.charts.panels import Panel, panels
from reports.charts.points import Axes, Point, plane
from reports.figures import plain
from reports.names import label
from reports.series import Series, chain, evaluations

_UNITS = {
    "average_length": "characters of an answer, mean",
    "length_tokens": "tokens of an answer, mean",
}
_LENGTH, _RAW, _CONTROLLED = "average_length", "win_rate", "length_controlled_win_rate"


def lengths(record: RunRecord, *, width: float = svg.WIDTH) -> Chart | None:
    """Draw the mean length of every model's answers, an evaluation a panel."""
    shown = [panel for series in evaluations(record) for panel in _panels(record, series)]
    note = "Bands and whiskers are 95 % intervals."
    return panels(
        "lengths", "How long answers are", shown, inks(names(record)), note=note, width=width
    )


def _panels(record: RunRecord, series: Series) -> Iterator[Panel]:
    for metric in series.metrics:
        if metric in LENGTHS:
            yield over_models(
                record,
                series,
                {"": metric},
                title=label(series.name),
                measure=_UNITS[metric],
                reference=(0.0, ""),
            )


def wins_by_length(record: RunRecord, *, width: float = svg.WIDTH) -> Iterator[Chart]:
    """Draw win rate against length, a drawing an evaluation that has both."""
    ink = inks(names(record))
    for end, series in of_plugin(record, "alpaca_eval"):
        raw = _points(series, ink, _RAW, hollow=False)
        controlled = _points(series, ink, _CONTROLLED, hollow=True)
        trained = [name for name in chain(record) if name in raw]
        paths = [[found[n] for n in trained if n in found] for found in (raw, controlled)]
        every = [*controlled.values(), *raw.values()]
        key = [(Ink("axis"), "raw win rate")] if raw else []
        key += [(Ink("axis", hollow=True), "length-controlled")] if controlled else []
        drawn = plane(
            f"win-rate-by-length{end}",
            f"{label(series.name)}: win rate against length",
            every,
            alt=" ".join(f"{point.title}." for point in every),
            axes=Axes("characters of an answer, mean", "win rate (%)"),
            paths=paths,
            key=key,
            note="A line that climbs only to the right wins by length; the length-controlled rate "
            "is what would be left at equal lengths.",
            width=width,
        )
        if drawn is not None:
            yield drawn


def _points(
    series: Series, inks: Mapping[str, Ink], metric: str, *, hollow: bool
) -> dict[str, Point]:
    found = {}
    for name, ink in inks.items():
        length, rate = series.metric(name, _LENGTH), series.metric(name, metric)
        if length is None or length.value is None or rate is None or rate.value is None:
            continue
        estimate = written(rate.value, rate.low, rate.high, rate.n)
        found[name] = Point(
            length.value,
            rate.value,
            Ink(ink.tone, ink.shape, hollow),
            f"{name}, {label(metric)}: {estimate}, {plain(length.value)} characters",
            "" if hollow else name,
            rate.low,
            rate.high,
        )
    return found
