"""Curves over training steps, in panels: one measure each, a line a model.

Each line has its own dashes, and its model's mark and name at its end.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from reports.blocks import Chart
from reports.charts import svg
from reports.charts.estimates import drawable
from reports.charts.ink import Ink
from reports.charts.scales import Scale, tick_label
from reports.figures import plain

MOST_POINTS = 120
"""Of a line; of a longer one the means of neighbours are drawn."""
_LEAST_WIDTH = 300.0
_GAP = 24.0
_PLOT = 150.0
_APART = 13.0
_DASHES = ("", "6 3", "2 2", "8 3 2 3")


@dataclass(frozen=True)
class Curve:
    """What was logged of one model: (step, value)."""

    name: str
    points: tuple[tuple[float, float], ...]

    @property
    def drawn(self) -> list[tuple[float, float]]:
        """The points of its line; none where there are not two of them."""
        found = [(x, y) for x, y in self.points if drawable(x) and drawable(y)]
        return thinned(found) if len(found) > 1 else []


@dataclass(frozen=True)
class CurvePanel:
    """One measure of several models."""

    title: str
    curves: tuple[Curve, ...]
    reference: tuple[float, str] | None = None
    """A level that means something, and its name."""


def curves(
    name: str,
    title: str,
    shown: Iterable[CurvePanel],
    inks: Mapping[str, Ink],
    *,
    note: str = "",
    width: float = svg.WIDTH,
) -> Chart | None:
    """Draw the panels that have a curve; None where none has."""
    found = [panel for panel in shown if any(curve.drawn for curve in panel.curves)]
    if not found:
        return None
    columns = max(1, min(len(found), int((width + _GAP) // (_LEAST_WIDTH + _GAP))))
    wide = (width - _GAP * (columns - 1)) / columns
    parts = []
    high = svg.LINE + 12 + _PLOT + 40
    for k, panel in enumerate(found):
        place = svg.moved(k % columns * (wide + _GAP), svg.TOP + k // columns * high)
        parts.append(svg.group(_panel(panel, inks, wide), transform=place))
    lines = -(-len(found) // columns)
    alt = " ".join(_alt(panel) for panel in found)
    return svg.chart(name, title, parts, size=(width, svg.TOP + lines * high), alt=alt, note=note)


def _alt(panel: CurvePanel) -> str:
    ends = (
        f"{curve.name} from {plain(points[0][1])} to {plain(points[-1][1])}"
        for curve in panel.curves
        if (points := curve.drawn)
    )
    return f"{panel.title}: {', '.join(ends)}."


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Average neighbours, so that no more than `MOST_POINTS` are left."""
    each = -(-len(points) // MOST_POINTS)
    chunks = [points[k : k + each] for k in range(0, len(points), each or 1)]
    return [
        (sum(x for x, _ in chunk) / len(chunk), sum(y for _, y in chunk) / len(chunk))
        for chunk in chunks
    ]


def _panel(panel: CurvePanel, inks: Mapping[str, Ink], wide: float) -> str:
    parts = [svg.words(0, svg.SIZE, panel.title, bold=True, room=wide)]
    top = svg.LINE + 10
    bottom = top + _PLOT
    found = {curve.name: points for curve in panel.curves if (points := curve.drawn)}
    level = [panel.reference[0]] if panel.reference else []
    heights = [y for points in found.values() for _, y in points]
    vertical = Scale.over([*heights, *level], (bottom, top))
    ticks = vertical.ticks(5)
    labels = [tick_label(tick, ticks) for tick in ticks]
    left = max((svg.width(text, svg.SMALL) for text in labels), default=0.0) + 6
    right = wide - max(svg.width(name, svg.SMALL) for name in found) - 18
    right = max(right, 0.6 * wide)
    for tick, text in zip(ticks, labels, strict=True):
        y = vertical(tick)
        parts.append(svg.line(left, y, right, y, "grid"))
        parts.append(svg.words(left - 5, y + 4, text, tone="muted", anchor="end", size=svg.SMALL))
    if panel.reference:
        y = vertical(panel.reference[0])
        parts.append(svg.line(left, y, right, y, "axis", thick=1.5))
        parts.append(
            svg.words(right, y - 4, panel.reference[1], tone="muted", anchor="end", size=svg.SMALL)
        )
    steps = [x for points in found.values() for x, _ in points]
    level_scale = Scale.over(steps, (left, right), edge=0)
    parts.append(svg.line(left, bottom, right, bottom, "axis"))
    ticks = level_scale.ticks(4)
    parts += [
        svg.words(
            level_scale(tick), bottom + 16, tick_label(tick, ticks),
            tone="muted", anchor="middle", size=svg.SMALL,
        )
        for tick in ticks
    ]  # fmt: skip
    parts.append(svg.words(wide, bottom + 16, "step", tone="muted", anchor="end", size=svg.SMALL))
    ends = _spread([vertical(points[-1][1]) for points in found.values()], bottom)
    for k, ((name, points), label_y) in enumerate(zip(found.items(), ends, strict=True)):
        places = [(level_scale(x), vertical(y)) for x, y in points]
        x, y = places[-1]
        ink = inks[name]
        line = svg.polyline(places, thick=1.8, dashes=_DASHES[k % len(_DASHES)])
        parts.append(svg.group(line, svg.mark(x, y, ink), tone=ink.tone, title=name))
        parts.append(svg.words(x + 9, label_y + 4, name, size=svg.SMALL, room=wide - x - 9))
    return "".join(parts)


def _spread(places: Sequence[float], lowest: float) -> list[float]:
    """Move places apart, so that names at them do not lie on one another."""
    moved = list(places)
    ranked = sorted(range(len(places)), key=lambda k: places[k])
    last = -math.inf
    for k in ranked:
        moved[k] = last = max(places[k], last + _APART)
    too_low = max(last - lowest, 0.0)
    return [y - too_low for y in moved]
