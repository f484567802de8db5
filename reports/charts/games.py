"""Head to head: how often one model's answers beat another's, a bar a pair."""

from collections.abc import Iterator

from harness.records import RunRecord
from reports.blocks import Chart
from reports.charts import svg
from reports.charts.estimates import written
from reports.charts.stacks import Bar, Part, stacks
from reports.names import label
from reports.series import Series, evaluations

_OUTCOMES = (("win", "wins", "better"), ("tie", "ties", "neutral"), ("loss", "losses", "worse"))


def head_to_head(record: RunRecord, *, width: float = svg.WIDTH) -> Chart | None:
    """Draw every pair that was compared: wins, ties and losses, and the net win."""
    groups = [(label(s.name), tuple(_bars(s))) for s in evaluations(record)]
    groups = [(name, bars) for name, bars in groups if bars]
    if len(groups) == 1:
        groups = [("", groups[0][1])]
    alt = " ".join(
        f"{bar.label}: {_shares(bar)}. {bar.figure}." for _, bars in groups for bar in bars
    )
    title = "Model against model: wins, ties, losses"
    note = "The net win is the share of wins minus that of losses, with its 95 % interval."
    return stacks("head-to-head", title, groups, alt=alt, note=note, width=width)


def _bars(series: Series) -> Iterator[Bar]:
    for model, other in series.comparisons:
        metrics = [series.metric(model, name, other) for name, _, _ in _OUTCOMES]
        if any(metric is None for metric in metrics):
            continue
        parts = tuple(
            Part(words, round(metric.value * metric.n), tone)
            for metric, (_, words, tone) in zip(metrics, _OUTCOMES, strict=True)
            if metric is not None and metric.value is not None and 0 <= metric.value <= 1
        )
        net = series.metric(model, "net_win", other)
        figure = "no net win"
        if net is not None and net.value is not None:
            figure = f"net win {written(net.value, net.low, net.high, net.n, signed=True)}"
        yield Bar(f"{model} vs {other}", parts, figure)


def _shares(bar: Bar) -> str:
    return ", ".join(f"{part.count:,.0f} {part.name}" for part in bar.parts) or bar.missing
