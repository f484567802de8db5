"""Who judges as people do: each model, as the judge it is to itself, and the run's judge."""

from collections.abc import Iterator

from harness.records import RunRecord
from reports.blocks import Chart
from reports.charts import svg
from reports.charts.ink import inks
from reports.charts.measures import names, of_plugin, over_models
from reports.charts.panels import Panel, panels
from reports.names import label
from reports.series import Series

_MEASURES = (
    ("pairwise_accuracy", "Agreement with people", "pair accuracy, ties left out", (0.5, "chance")),
    ("spearman", "Rank correlation", "Spearman, per instruction", (0.0, "none")),
    ("tie_rate", "Ties", "share of pairs scored alike", (0.0, "")),
    ("failure_rate", "Not readable", "share of the verdicts", (0.0, "")),
)
_ITSELF, _EXTERNAL = "the model itself", "the external judge"
_NOTE = (
    "Filled marks are of the model, hollow ones of the external judge; whiskers are 95 % intervals."
)


def judging(record: RunRecord, *, width: float = svg.WIDTH) -> Chart | None:
    """Draw how well each model judges, and the external judge where it was asked."""
    found = [series for _, series in of_plugin(record, "judge_agreement")]
    shown = [
        panel
        for series in found
        for panel in _panels(record, series, label(series.name) if len(found) > 1 else "")
    ]
    title = "As a judge: agreement with people"
    return panels("judging", title, shown, inks(names(record)), note=_NOTE, width=width)


def _panels(record: RunRecord, series: Series, where: str) -> Iterator[Panel]:
    for metric, title, measure, level in _MEASURES:
        external = f"external/{metric}"
        lines = {
            words: name
            for words, name in ((_ITSELF, metric), (_EXTERNAL, external))
            if name in series.metrics
        }
        if lines:
            title = f"{where}: {title}" if where else title
            yield over_models(record, series, lines, title=title, measure=measure, reference=level)
