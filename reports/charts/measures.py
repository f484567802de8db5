"""Metrics of a series as marks: over the models of a panel, or in the rows of a drawing.

over_models(record, examiner, {"": "score"}, ...)     a Panel: M0, SFT, M1, M2, M3
row(mt_bench, names, "score_math", "math")            a Row: a mark a model
"""

from collections.abc import Iterator, Mapping, Sequence

from harness.records import Metric, RunRecord
from harness.statistics.intervals import Estimate
from reports.changes import Change, Changes
from reports.charts.estimates import written
from reports.charts.ink import Ink, inks
from reports.charts.panels import Line, Panel, Place
from reports.charts.rows import Dot, Group, Row
from reports.evidence import Evidence
from reports.figures import plain
from reports.series import Series, chain, evaluations, models, plugin
from reports.tables import NO_SCORE, NOT_RUN


def names(record: RunRecord) -> tuple[str, ...]:
    """Name the models of the run, in order."""
    return tuple(model.name for model in models(record))


def of_plugin(record: RunRecord, name: str) -> Iterator[tuple[str, Series]]:
    """Find the evaluations of a plug-in, each with the end of a file name that is its own."""
    found = [series for series in evaluations(record) if plugin(record, series.name) == name]
    for k, series in enumerate(found):
        yield f"-{k + 1}" if k else "", series


def over_models(
    record: RunRecord,
    series: Series,
    metrics: Mapping[str, str],
    *,
    title: str,
    measure: str,
    reference: tuple[float, str] | None = None,
    steps: Mapping[str, Evidence] | None = None,
) -> Panel:
    """Lay metrics of an evaluation out over all models of the run.

    Args:
        record: The run.
        series: The evaluation.
        metrics: By the name of a line, which metric it shows; lines after the first are hollow.
        title: Of the panel.
        measure: What is measured, in which unit.
        reference: A level that means something.
        steps: How each model compares with the one before.
    """
    every = names(record)
    lines = (
        Line(words, tuple(place(series, name, metric) for name in every), hollow=k > 0)
        for k, (words, metric) in enumerate(metrics.items())
    )
    apart = frozenset(every) - set(chain(record))
    return Panel(title, measure, tuple(lines), apart, reference, steps)


def place(series: Series, model: str, metric: str, against: str | None = None) -> Place:
    """Make a place of a model's metric."""
    found = series.metric(model, metric, against)
    if found is None:
        return Place(model, None, missing=NOT_RUN)
    return Place(model, found.value, found.low, found.high, found.n, NO_SCORE)


def before(record: RunRecord) -> dict[str, str]:
    """By model, the one that stands before it: its baseline, or what it was trained from."""
    every = names(record)
    return dict(zip(every[1:], every, strict=False))


def steps(record: RunRecord, found: Changes, series: Series) -> dict[str, Change]:
    """By model, how it compares with the one before it."""
    compared = ((step[0], found.of(series.name, step)) for step in before(record).items())
    return {model: change for model, change in compared if change is not None}


def row(series: Series, models: Sequence[str], metric: str, words: str) -> Row:
    """Lay a metric out in a row, a mark a model."""
    return Row(words, tuple(dot(series, name, metric, ink) for name, ink in inks(models).items()))


def dot(series: Series, model: str, metric: str, ink: Ink) -> Dot:
    """Make a mark of a model's metric."""
    return metric_dot(model, series.metric(model, metric), ink)


def metric_dot(model: str, found: Metric | None, ink: Ink) -> Dot:
    """Make a mark of a metric that there may be."""
    if found is None:
        return Dot(model, None, ink, missing=NOT_RUN)
    title = f"{model}: {written(found.value, found.low, found.high, found.n)}"
    return Dot(model, found.value, ink, found.low, found.high, title, NO_SCORE)


def difference_dot(name: str, change: Estimate, ink: Ink, scale: float = 1.0) -> Dot:
    """Make a mark of a difference, times a scale."""
    value, low, high = (
        None if end is None else end * scale for end in (change.value, change.low, change.high)
    )
    title = f"{name}: {written(value, low, high, change.n, signed=True)}"
    return Dot(name, value, ink, low, high, title, NO_SCORE)


def in_words(groups: Sequence[Group]) -> str:
    """Say the values of rows, for those who do not see them; the tables have the intervals."""
    return " ".join(
        f"{row.label}: {', '.join(_in_words(dot) for dot in row.dots)}."
        for group in groups
        for row in group.rows
    )


def _in_words(dot: Dot) -> str:
    return f"{dot.name} {plain(dot.value) if dot.value is not None else dot.missing}"


def key(record: RunRecord, among: Sequence[str] | None = None) -> tuple[tuple[Ink, str], ...]:
    """Say which mark is which model's."""
    found = inks(names(record))
    return tuple((ink, name) for name, ink in found.items() if among is None or name in among)
