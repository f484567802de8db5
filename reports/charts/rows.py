"""Rows of marks over one level axis: estimates side by side, each with its interval.

                 -1    0    +1
    examiner      |    | -o-         +0.39 [+0.28, +0.50]
    MT-Bench      | --o--            -0.21 [-0.62, +0.19]
                  |    |

Marks of a row lie below one another, or are joined on one line where they are two states of the
same thing. On a narrow drawing a row's label and figure stand over its marks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reports.blocks import Chart
from reports.charts import svg
from reports.charts.estimates import drawable, interval
from reports.charts.ink import Ink
from reports.charts.scales import Scale, tick_label

_DODGE = 11.0
_LEAST_MARKS = 220.0
"""What labels leave to the marks."""
_LEAST_WIDE = 500.0
"""From this width on, labels and figures stand beside the marks."""


@dataclass(frozen=True)
class Dot:
    """An estimate and what it looks like."""

    name: str
    value: float | None
    ink: Ink
    low: float | None = None
    high: float | None = None
    title: str = ""
    """What a pointer shows."""
    missing: str = "no score"

    @property
    def there(self) -> bool:
        """Whether it has a place."""
        return drawable(self.value)


@dataclass(frozen=True)
class Row:
    """What one label has."""

    label: str
    dots: tuple[Dot, ...]
    figure: str = ""
    """What is written beside the marks."""
    tone: str = "muted"
    """Of the figure."""
    joined: bool = False
    """Whether the marks lie on one line that joins them."""
    bold: bool = False


@dataclass(frozen=True)
class Group:
    """Rows on one axis."""

    rows: tuple[Row, ...]
    title: str = ""
    unit: str = ""
    """What the axis measures."""
    reference: tuple[float, str] | None = None
    """A level that means something, and its name."""
    signed: bool = False
    """Whether the axis is of differences, with plus signs."""
    centred: bool = False
    """Whether zero is in the middle, so that the zeros of all groups are in one line."""

    @property
    def ends(self) -> list[float | None]:
        """All that must have a place on the axis."""
        dots = [dot for row in self.rows for dot in row.dots]
        ends = [end for dot in dots for end in (dot.value, dot.low, dot.high)]
        return [*ends, self.reference[0]] if self.reference else ends

    @property
    def drawable(self) -> bool:
        """Whether any mark has a place."""
        return any(dot.there for row in self.rows for dot in row.dots)


@dataclass(frozen=True)
class _Columns:
    """Where labels, marks and figures stand."""

    wide: float
    marks: tuple[float, float]
    stacked: bool


def rows(
    name: str,
    title: str,
    groups: Iterable[Group],
    *,
    alt: str,
    key: Sequence[tuple[Ink, str]] = (),
    note: str = "",
    width: float = svg.WIDTH,
    shared: bool = True,
) -> Chart | None:
    """Draw the groups that have a mark; None where none has.

    Args:
        name: Of the drawing's file.
        title: What it shows.
        groups: In reading order.
        alt: What it shows, in sentences.
        key: What the marks mean, where more than one kind is in a row.
        note: What a reader needs to know.
        width: Of the drawing.
        shared: Whether all groups have the same scale; else each has its own.
    """
    found = [group for group in groups if group.drawable]
    if not found:
        return None
    columns = _columns([row for group in found for row in group.rows], width)
    ends = [end for group in found for end in group.ends]
    parts, top = [], svg.TOP
    if key:
        drawn, high = svg.legend(key, top, width)
        parts.append(drawn)
        top += high + 6
    for group in found:
        drawn, high = _group(group, ends if shared else group.ends, columns, top)
        parts.append(drawn)
        top += high + 14
    return svg.chart(name, title, parts, size=(width, top - 14), alt=alt, note=note)


def _columns(found: Sequence[Row], width: float) -> _Columns:
    if width < _LEAST_WIDE:
        return _Columns(width, (8, width - 8), stacked=True)
    labels = max(svg.width(row.label[:200]) for row in found) + 14
    figures = max(svg.width(row.figure) for row in found)
    right = width - min(figures + 14 if figures else 8, 0.5 * width)
    left = min(labels, max(0.25 * width, right - _LEAST_MARKS))
    return _Columns(width, (left, right), stacked=False)


def _group(
    group: Group, ends: Sequence[float | None], columns: _Columns, top: float
) -> tuple[str, float]:
    start, end = columns.marks
    scale = Scale.around(ends, columns.marks) if group.centred else Scale.over(ends, columns.marks)
    ticks = scale.ticks(max(3, int((end - start) // 64)))
    parts = []
    at = top
    if group.title:
        parts.append(svg.words(0, at + svg.SIZE, group.title, bold=True, room=columns.wide))
        at += svg.LINE + 4
    name_at = at
    if group.reference and group.reference[1]:
        at += svg.LINE - 2
    first = at
    drawn, spans = [], []
    for row in group.rows:
        text, high = _row(row, scale, columns, at)
        if row is not group.rows[0] and len(row.dots) > 1 and not row.joined:
            drawn.append(svg.line(0, at, columns.wide, at, "grid"))
        drawn.append(text)
        spans.append((at + svg.LINE, at + high))
        at += high
    if not columns.stacked:  # only words over the marks must not be crossed by the axis's lines
        spans = [(first, at)]
    for tick in ticks:
        x = scale(tick)
        parts += [svg.line(x, begin, x, bottom, "grid") for begin, bottom in spans]
        text = tick_label(tick, ticks, signed=group.signed)
        parts.append(svg.words(x, at + 15, text, tone="muted", anchor="middle", size=svg.SMALL))
    if group.reference:
        level, name = group.reference
        x = scale(level)
        parts += [svg.line(x, begin, x, bottom, "axis", thick=1.5) for begin, bottom in spans]
        x = min(x, columns.wide - svg.width(name, svg.SMALL) / 2)
        parts.append(
            svg.words(x, name_at + 11, name, tone="muted", anchor="middle", size=svg.SMALL)
        )
    parts.append(svg.line(start, at, end, at, "axis"))
    at += 17
    if group.unit:
        parts.append(
            svg.words(
                (start + end) / 2, at + 13, group.unit,
                tone="muted", anchor="middle", size=svg.SMALL, room=columns.wide,
            )
        )  # fmt: skip
        at += 15
    return "".join([*parts, *drawn]), at - top


def _row(row: Row, scale: Scale, columns: _Columns, top: float) -> tuple[str, float]:
    start, end = columns.marks
    lines = 1 if row.joined else len(row.dots)
    high = max(svg.LINE + 5, lines * _DODGE + 9)
    marks_top = top + svg.LINE if columns.stacked else top
    middle = marks_top + high / 2
    words_at = top + svg.SIZE if columns.stacked else middle + 4.5
    figures = svg.width(row.figure) + 8 if columns.stacked else 0
    room = columns.wide - figures if columns.stacked else start - 10
    parts = [svg.words(0, words_at, row.label, room=room, bold=row.bold)]
    if row.figure:
        x = columns.wide if columns.stacked else end + 12
        anchor: svg.Anchor = "end" if columns.stacked else "start"
        room = columns.wide if columns.stacked else columns.wide - x
        parts.append(svg.words(x, words_at, row.figure, tone=row.tone, anchor=anchor, room=room))
    there = [dot for dot in row.dots if dot.there]
    if row.joined and len(there) > 1:
        places = [(scale(dot.value), middle) for dot in there if drawable(dot.value)]
        parts.append(svg.group(svg.polyline(places, thick=6), tone="grid"))
    said: set[str] = set()
    for k, dot in enumerate(row.dots):
        y = middle if row.joined else middle + (k - (lines - 1) / 2) * _DODGE
        if dot.there:
            parts.append(_dot(dot, scale, y))
        elif dot.missing not in said:
            said.add(dot.missing)
            names = [one.name for one in row.dots if not one.there and one.missing == dot.missing]
            whose = f"{', '.join(names)}: " if len(row.dots) > 1 else ""
            words = f"{whose}{dot.missing}"
            parts.append(
                svg.words(
                    start + 4, y + 4, words, tone="muted", size=svg.SMALL, room=end - start - 4
                )
            )
    return "".join(parts), high + (svg.LINE if columns.stacked else 0)


def _dot(dot: Dot, scale: Scale, y: float) -> str:
    inside = []
    if ends := interval(dot.low, dot.high):
        inside.append(svg.whisker(y, *map(scale, ends)))
    if drawable(dot.value):
        inside.append(svg.mark(scale(dot.value), y, dot.ink))
    return svg.group(*inside, tone=dot.ink.tone, title=dot.title or dot.name)
