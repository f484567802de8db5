"""All drawings of a run, in reading order, each under the section where a reader looks for it.

    gallery(record)["What it shows"]    the series at a glance, the differences

A run that lacks something lacks its drawing; there is never an empty one.
"""

from collections.abc import Callable, Iterable, Iterator

from harness.records import RunRecord
from reports.blocks import Chart
from reports.charts import svg
from reports.charts.alpaca_eval import alpaca_eval
from reports.charts.breakdown import by_category
from reports.charts.forest import forest
from reports.charts.games import head_to_head
from reports.charts.judging import judging
from reports.charts.knowledge import knowledge
from reports.charts.lengths import lengths, wins_by_length
from reports.charts.mt_bench import mt_bench
from reports.charts.progress import progress
from reports.charts.prompt_map import prompt_map
from reports.charts.rounds import contrasts, scores, yields
from reports.charts.training import training

Drawn = Chart | Iterable[Chart] | None

SECTIONS: dict[str, tuple[Callable[..., Drawn], ...]] = {
    "What it shows": (progress, forest),
    "Instruction following": (head_to_head, alpaca_eval, mt_bench, by_category),
    "Knowledge": (knowledge,),
    "Judging": (judging,),
    "Length": (lengths, wins_by_length),
    "The loop": (scores, yields, contrasts, training, prompt_map),
}
"""By section, what draws it."""


def gallery(record: RunRecord, *, width: float = svg.WIDTH) -> dict[str, tuple[Chart, ...]]:
    """Draw all that a run has, by section; a section without a drawing is left out.

    Args:
        record: The run.
        width: Of the drawings: `svg.WIDTH` for a page, `svg.NARROW` for a phone.
    """
    drawn = {
        section: tuple(chart for draw in draws for chart in _charts(draw(record, width=width)))
        for section, draws in SECTIONS.items()
    }
    return {section: found for section, found in drawn.items() if found}


def _charts(drawn: Drawn) -> Iterator[Chart]:
    if isinstance(drawn, Chart):
        yield drawn
    else:
        yield from drawn or ()
