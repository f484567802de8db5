"""All drawings of a run, in reading order, each under the section where a reader looks for it.

    gallery(record, changes(record))["At a glance"]    every main figure, a panel an evaluation

A run that lacks something lacks its drawing; there is never an empty one.
"""

from harness.records import RunRecord
from reports.blocks import Chart
from reports.changes import Changes
from reports.charts import svg
from reports.charts.alpaca_eval import alpaca_eval
from reports.charts.breakdown import by_part
from reports.charts.forest import forest
from reports.charts.games import head_to_head
from reports.charts.judging import judging
from reports.charts.knowledge import knowledge
from reports.charts.lengths import lengths, wins_by_length
from reports.charts.mt_bench import mt_bench
from reports.charts.overlap import overlap
from reports.charts.progress import progress
from reports.charts.prompt_map import prompt_map
from reports.charts.rounds import contrasts, scores, yields
from reports.charts.training import training


def gallery(
    record: RunRecord, found: Changes, *, width: float = svg.WIDTH
) -> dict[str, tuple[Chart, ...]]:
    """Draw all that a run has, by section; a section without a drawing is left out.

    Args:
        record: The run.
        found: What changed in it.
        width: Of the drawings: `svg.WIDTH` for a page, `svg.NARROW` for a phone.
    """
    drawn: dict[str, tuple[Chart | None, ...]] = {
        "At a glance": (progress(record, found, width=width),),
        "From model to model": (forest(record, found, width=width),),
        "Instruction following": (
            head_to_head(record, width=width),
            *alpaca_eval(record, width=width),
            *mt_bench(record, width=width),
        ),
        "General ability": tuple(knowledge(record, width=width)),
        "Judging": (judging(record, width=width),),
        "Length": (lengths(record, width=width), *wins_by_length(record, width=width)),
        "By category, difficulty and expected length": tuple(by_part(record, found, width=width)),
        "The loop": (
            scores(record, width=width),
            yields(record, width=width),
            contrasts(record, width=width),
            training(record, width=width),
            prompt_map(record, width=width),
            overlap(record, width=width),
        ),
    }
    kept = {title: tuple(filter(None, charts)) for title, charts in drawn.items()}
    return {title: charts for title, charts in kept.items() if charts}
