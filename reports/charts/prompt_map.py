"""Where the prompts lie that were trained on, set by set (as the paper's Fig. 6)."""

from harness.records import RunRecord
from reports.blocks import Chart
from reports.charts import svg
from reports.charts.ink import inks
from reports.charts.points import Point, plane


def prompt_map(record: RunRecord, *, width: float = svg.WIDTH) -> Chart | None:
    """Draw the latest map of the run, which has the prompts of all rounds."""
    maps = [stage.prompt_map for stage in record.stages if stage.prompt_map]
    if not maps:
        return None
    found = maps[-1]
    ink = inks(tuple(found.sizes))
    counts = {name: sum(point.set == name for point in found.points) for name in ink}
    key = [(one, _entry(name, counts[name], found.sizes[name])) for name, one in ink.items()]
    points = [
        Point(point.x, point.y, ink[point.set], f"{point.set}: {point.text}")
        for point in found.points
        if point.set in ink
    ]
    alt = f"Prompts on a plane, alike ones close together: {', '.join(text for _, text in key)}."
    title = "What was trained on: where the prompts lie"
    return plane("prompt-map", title, points, alt=alt, key=key, note=found.method, width=width)


def _entry(name: str, shown: int, size: int) -> str:
    return f"{name} ({size:,})" if shown >= size else f"{name} ({shown:,} of {size:,})"
