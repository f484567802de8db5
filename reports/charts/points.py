"""Marks on a plane: two measures of the same things against each other, or places on a map."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reports.blocks import Chart
from reports.charts import svg
from reports.charts.estimates import drawable, interval
from reports.charts.ink import Ink
from reports.charts.scales import Scale, tick_label


@dataclass(frozen=True)
class Point:
    """A mark at a place."""

    x: float
    y: float
    ink: Ink
    title: str
    """What a pointer shows."""
    label: str = ""
    """What is written beside it."""
    low: float | None = None
    high: float | None = None
    """The interval of y."""

    @property
    def there(self) -> bool:
        """Whether it has a place."""
        return drawable(self.x) and drawable(self.y)


@dataclass(frozen=True)
class Axes:
    """What the two directions measure."""

    x: str
    y: str


def plane(
    name: str,
    title: str,
    points: Sequence[Point],
    *,
    alt: str,
    axes: Axes | None = None,
    paths: Iterable[Sequence[Point]] = (),
    key: Sequence[tuple[Ink, str]] = (),
    note: str = "",
    width: float = svg.WIDTH,
) -> Chart | None:
    """Draw the points; None where there is none.

    Args:
        name: Of the drawing's file.
        title: What it shows.
        points: In drawing order.
        alt: What it shows, in sentences.
        axes: What the directions measure; without, places mean nothing but what is near what.
        paths: Points that a line joins, in order.
        key: What the marks mean, where they are not labelled.
        note: What a reader needs to know.
        width: Of the drawing.
    """
    points = [point for point in points if point.there]
    if not points:
        return None
    parts, top = [], svg.TOP
    if key:
        drawn, high = svg.legend(key, top, width)
        parts.append(drawn)
        top += high + 6
    if axes:
        parts.append(svg.words(0, top + svg.SIZE, axes.y, tone="muted", size=svg.SMALL, room=width))
        top += svg.LINE + 4
    bottom = top + (0.45 if axes else 0.6) * width
    vertical = Scale.over(
        [end for p in points for end in (p.y, p.low, p.high)], (bottom, top), edge=0.08
    )
    left = 0.0
    if axes:
        ticks = vertical.ticks(5)
        labels = [tick_label(tick, ticks) for tick in ticks]
        left = max((svg.width(text, svg.SMALL) for text in labels), default=0.0) + 8
        for tick, text in zip(ticks, labels, strict=True):
            y = vertical(tick)
            parts.append(svg.line(left, y, width, y, "grid"))
            parts.append(
                svg.words(left - 6, y + 4, text, tone="muted", anchor="end", size=svg.SMALL)
            )
    level = Scale.over([point.x for point in points], (left, width), edge=0.08)
    if axes:
        ticks = level.ticks(int(width // 90))
        parts.append(svg.line(left, bottom, width, bottom, "axis"))
        for tick in ticks:
            x, text = level(tick), tick_label(tick, ticks)
            parts.append(svg.line(x, bottom, x, bottom + 4, "axis"))
            parts.append(
                svg.words(x, bottom + 17, text, tone="muted", anchor="middle", size=svg.SMALL)
            )
        parts.append(
            svg.words(
                width, bottom + 34, axes.x, tone="muted", anchor="end", size=svg.SMALL, room=width
            )
        )
    for path in paths:
        places = [(level(p.x), vertical(p.y)) for p in path if p.there]
        if len(places) > 1:
            dashes = "5 3" if path[0].ink.hollow else ""
            parts.append(svg.group(svg.polyline(places, thick=1.5, dashes=dashes), tone="axis"))
    radius = svg.RADIUS if len(points) <= 100 else 3.2
    parts += [_point(p, level(p.x), vertical, radius, width) for p in points]
    high = bottom + (38 if axes else 0)
    return svg.chart(name, title, parts, size=(width, high), alt=alt, note=note)


def _point(point: Point, x: float, vertical: Scale, radius: float, width: float) -> str:
    inside = []
    if ends := interval(point.low, point.high):
        inside.append(svg.whisker_up(x, *map(vertical, ends)))
    inside.append(svg.mark(x, vertical(point.y), point.ink, radius))
    mark = svg.group(*inside, tone=point.ink.tone, title=point.title)
    beyond = x + 10 + svg.width(point.label, svg.SMALL) > width
    return mark + svg.words(
        x - 9 if beyond else x + 9, vertical(point.y) - 5, point.label,
        anchor="end" if beyond else "start", size=svg.SMALL,
    )  # fmt: skip
