"""MT-Bench by turn and by category: on which kinds of questions a model gained."""

from collections.abc import Iterator

from harness.records import RunRecord
from reports.blocks import Chart
from reports.charts import svg
from reports.charts.measures import in_words, key, names, of_plugin, row
from reports.charts.rows import Group, rows
from reports.names import label

_TURNS = {"score": "both turns", "score_turn_1": "first turn", "score_turn_2": "second turn"}
_MEANS = ("score_math_coding_reasoning", "score_other_categories")


def mt_bench(record: RunRecord, *, width: float = svg.WIDTH) -> Iterator[Chart]:
    """Draw each model's scores, a row a turn and a row a category."""
    for end, series in of_plugin(record, "mt_bench"):
        every = names(record)
        categories = [
            metric
            for metric in series.metrics
            if metric.startswith("score_") and metric not in (*_TURNS, *_MEANS)
        ]
        turns = tuple(
            row(series, every, metric, words)
            for metric, words in _TURNS.items()
            if metric in series.metrics
        )
        parts = tuple(
            row(series, every, metric, label(metric.removeprefix("score_")))
            for metric in categories
        )
        groups = (Group(turns, "By turn"), Group(parts, "By category", "score (of 10)"))
        found = rows(
            f"mt-bench{end}",
            f"{label(series.name)} by turn and category",
            groups,
            alt=in_words(groups),
            key=key(record),
            note="Whiskers are 95 % intervals.",
            width=width,
        )
        if found is not None:
            yield found
