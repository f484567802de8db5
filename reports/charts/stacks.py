"""Stacked bars: how a whole divides, a bar a whole.

    M2 against M1                             net win +0.24 [+0.18, +0.31], n 300
    [ 142 wins, 47 % |      84 ties, 28 %          | 30 losses ]

Every bar is as long as any other: shares are compared, and the counts are written.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reports.blocks import Chart
from reports.charts import svg
from reports.figures import percent

_BAR = 20.0
_PITCH = 48.0


@dataclass(frozen=True)
class Part:
    """One part of a whole."""

    name: str
    count: float
    tone: str
    """A class of `ink.LIGHT`."""


@dataclass(frozen=True)
class Bar:
    """A whole and its parts."""

    label: str
    parts: tuple[Part, ...]
    figure: str = ""
    """What is written at the right."""
    missing: str = "no score"
    """What is said where there is nothing to divide."""

    @property
    def total(self) -> float:
        """Of how many it is made."""
        return sum(part.count for part in self.parts)


def stacks(
    name: str,
    title: str,
    groups: Iterable[tuple[str, Sequence[Bar]]],
    *,
    alt: str,
    note: str = "",
    width: float = svg.WIDTH,
) -> Chart | None:
    """Draw the bars, under the headings of their groups; None where none has a part.

    Args:
        name: Of the drawing's file.
        title: What it shows.
        groups: Headings, which may be empty, each with its bars.
        alt: What it shows, in sentences.
        note: What a reader needs to know.
        width: Of the drawing.
    """
    drawable = [(heading, bars) for heading, bars in groups if any(bar.total for bar in bars)]
    if not drawable:
        return None
    parts, top = [], svg.TOP - 2
    for heading, bars in drawable:
        if heading:
            parts.append(svg.words(0, top + svg.SIZE + 4, heading, bold=True, room=width))
            top += svg.LINE + 6
        for bar in bars:
            parts.append(_bar(bar, top, width))
            top += _PITCH
    return svg.chart(name, title, parts, size=(width, top - 4), alt=alt, note=note)


def _bar(bar: Bar, top: float, width: float) -> str:
    figure = svg.fitted(bar.figure, width - 60)
    room = width - svg.width(figure) - 12
    parts = [
        svg.words(0, top + svg.SIZE, bar.label, room=room),
        svg.words(width, top + svg.SIZE, figure, tone="muted", anchor="end"),
    ]
    if not bar.total:
        return "".join([*parts, svg.words(0, top + 33, bar.missing, tone="muted")])
    at = 0.0
    for part in bar.parts:
        if part.count:
            wide = width * part.count / bar.total
            parts.append(_part(part, bar.total, (at, top + 18), wide))
            at += wide
    return "".join(parts)


def _part(part: Part, total: float, corner: tuple[float, float], wide: float) -> str:
    x, y = corner
    count = f"{part.count:,.0f}"
    share = percent(part.count, total)
    whole = f"{count} {part.name}, {share}"
    fits = (whole, f"{count} {part.name}", count, "")
    shown = next(text for text in fits if svg.width(text, svg.SMALL) <= wide - 6 or not text)
    # Paper between the parts, so that neighbours of the same tone are told apart.
    gap = min(1.5, wide / 4)
    inside = svg.bar(x, y, wide - gap, _BAR)
    text = svg.words(x + wide / 2, y + 14.5, shown, tone="on", anchor="middle", size=svg.SMALL)
    return svg.group(inside, text, tone=part.tone, title=whole)
