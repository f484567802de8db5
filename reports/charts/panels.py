"""Small panels side by side: one measure each, over models or rounds.

    Instruction following          AlpacaEval
    examiner score (of 5)          win rate (%)
      .      ___*---*                 .    ___*---*
      *-----*                         *---*
     M0 SFT M1  M2  M3               M0 SFT M1  M2  M3        a place each
    0.86 .. 3.22 3.60 3.80           ...                      the value
             up   up   dash                                   against the one before

A line joins what follows from one another; what stands apart (a baseline) has a mark alone. An
interval is a band on a line of several marks, and a whisker on every mark.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from reports.blocks import Chart
from reports.charts import svg
from reports.charts.estimates import drawable, interval, written
from reports.charts.ink import Ink
from reports.charts.scales import Scale, tick_label
from reports.evidence import Evidence
from reports.figures import number, places

LEAST_WIDTH = 180.0
"""Of a panel: three stand side by side on a page."""
_GAP = 18.0
_PLOT = 92.0
_STEPS: Mapping[Evidence, tuple[Ink, str]] = {
    "better": (Ink("better", "up"), "better than the one before"),
    "worse": (Ink("worse", "down"), "worse than the one before"),
    "no clear change": (Ink("neutral", "dash"), "no clear change"),
    "not after correction": (Ink("neutral", "diamond", hollow=True), "not after correction"),
    "too few items": (Ink("neutral", hollow=True), "too few items"),
    "no interval": (Ink("neutral", "square", hollow=True), "too few items differ"),
}


@dataclass(frozen=True)
class Place:
    """A value over one name of the horizontal axis."""

    name: str
    value: float | None
    """None where there is no score."""
    low: float | None = None
    high: float | None = None
    n: int | None = None
    """Of how many items, where it is known."""
    missing: str = "no score"
    """What is said where there is no value."""

    @property
    def there(self) -> bool:
        """Whether it has a place on the axis."""
        return drawable(self.value)

    @property
    def ends(self) -> list[float]:
        """The value and the ends of its interval, as far as there are any."""
        return [end for end in (self.value, self.low, self.high) if drawable(end)]

    @property
    def text(self) -> str:
        """`M2: 63.3 [56.7, 69.6], n 120`."""
        estimate = written(self.value, self.low, self.high, self.n, missing=self.missing)
        return f"{self.name}: {estimate}"


@dataclass(frozen=True)
class Line:
    """The places of one measure, in the order of the panel's names."""

    name: str
    places: tuple[Place, ...]
    hollow: bool = False
    """Whether its marks are hollow and its line dashed, to tell it from another."""


@dataclass(frozen=True)
class Panel:
    """One measure, or a few of the same unit."""

    title: str
    measure: str
    """What is measured, in which unit."""
    lines: tuple[Line, ...]
    apart: frozenset[str] = frozenset()
    """Names that no line passes through."""
    reference: tuple[float, str] | None = None
    """A level that means something, and its name: `(0.5, "chance")`."""
    steps: Mapping[str, Evidence] | None = None
    """By name, how it compares with the one before, where that is known."""
    signed: bool = False
    """Whether a plus sign is written."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names on the horizontal axis."""
        return tuple(dict.fromkeys(place.name for line in self.lines for place in line.places))

    @property
    def drawable(self) -> bool:
        """Whether there is any value."""
        return any(place.there for line in self.lines for place in line.places)


def panels(
    name: str,
    title: str,
    shown: Iterable[Panel],
    inks: Mapping[str, Ink],
    *,
    note: str = "",
    width: float = svg.WIDTH,
) -> Chart | None:
    """Draw the panels that have a value, as many side by side as fit; None where none has.

    Args:
        name: Of the drawing's file.
        title: What it shows.
        shown: The panels, in reading order.
        inks: By name on the horizontal axis, its colour and shape.
        note: What a reader needs to know.
        width: Of the drawing.
    """
    found = [panel for panel in shown if panel.drawable]
    if not found:
        return None
    most = max(1, int((width + _GAP) // (LEAST_WIDTH + _GAP)))
    lines = -(-len(found) // most)
    columns = -(-len(found) // lines)
    wide = min((width - _GAP * (columns - 1)) / columns, svg.NARROW)
    parts, top = [], svg.TOP
    key = _key(found)
    if key:
        drawn, high = svg.legend(key, top, width)
        parts.append(drawn)
        top += high + 10
    for start in range(0, len(found), columns):
        heights = []
        for k, panel in enumerate(found[start : start + columns]):
            drawn, high = _panel(panel, inks, wide)
            parts.append(svg.group(drawn, transform=svg.moved(k * (wide + _GAP), top)))
            heights.append(high)
        top += max(heights) + _GAP
    alt = " ".join(_alt(panel) for panel in found)
    return svg.chart(name, title, parts, size=(width, top - _GAP), alt=alt, note=note)


def _key(shown: Sequence[Panel]) -> list[tuple[Ink, str]]:
    """Say what the steps mean that occur, and which of several lines is which."""
    lines = [line for panel in shown if len(panel.lines) > 1 for line in panel.lines]
    named = {line.name: (Ink("muted", hollow=line.hollow), line.name) for line in lines}
    met = {step for panel in shown for step in (panel.steps or {}).values()}
    return [
        *named.values(),
        *((ink, words) for step, (ink, words) in _STEPS.items() if step in met),
    ]


def _alt(panel: Panel) -> str:
    lines = "; ".join(
        (f"{line.name}: " if len(panel.lines) > 1 else "")
        + ", ".join(
            replace(place, low=None, high=None, n=None).text
            for place in line.places
            if place.there or place.missing
        )
        for line in panel.lines
    )
    return f"{panel.title}, {panel.measure}. {lines}."


def _panel(panel: Panel, inks: Mapping[str, Ink], wide: float) -> tuple[str, float]:
    """Draw one panel from (0, 0), and say how high it is."""
    parts = [
        svg.words(0, svg.SIZE, panel.title, bold=True, room=wide),
        svg.words(0, svg.SIZE + svg.LINE, panel.measure, tone="muted", room=wide, size=svg.SMALL),
    ]
    top = svg.SIZE + svg.LINE + 12
    bottom = top + _PLOT
    ends = [end for line in panel.lines for place in line.places for end in place.ends]
    level = [panel.reference[0]] if panel.reference else []
    scale = Scale.over([*ends, *level], (bottom, top), edge=0.1)
    ticks = scale.ticks(3)
    labels = [tick_label(tick, ticks) for tick in ticks]
    left = max((svg.width(text, svg.SMALL) for text in labels), default=0.0) + 3
    names = panel.names
    slot = (wide - left) / len(names)
    at = {name: left + (k + 0.5) * slot for k, name in enumerate(names)}
    for tick, text in zip(ticks, labels, strict=True):
        y = scale(tick)
        parts.append(svg.line(left, y, wide, y, "grid"))
        parts.append(svg.words(left - 4, y + 4, text, tone="muted", anchor="end", size=svg.SMALL))
    if panel.reference:
        parts += _reference(panel, scale, at, (left, wide))
    for line in panel.lines:
        parts += _line(line, panel.apart, scale, at, inks)
    parts.append(svg.line(left, bottom, wide, bottom, "axis"))
    below, high = _below(panel, at, slot, bottom)
    return "".join([*parts, *below]), high


def _reference(
    panel: Panel, scale: Scale, at: Mapping[str, float], ends: tuple[float, float]
) -> Iterable[str]:
    """Draw the level, its name at the end and on the side where the fewest marks are."""
    level, name = panel.reference or (0.0, "")
    y = scale(level)
    left, right = ends
    wide = svg.width(name, svg.SMALL)
    corners = [
        (x, y + down, anchor)
        for down in (-4.0, 13.0)
        for x, anchor in ((right, "end"), (left + 2, "start"))
        if y + down < scale.start
    ]

    def met(corner: tuple[float, float, str]) -> int:
        x, base, anchor = corner
        begin = x - wide if anchor == "end" else x
        return sum(
            begin - 6 < at[place.name] < begin + wide + 6
            and min(scale(e) for e in place.ends) - 5 < base
            and max(scale(e) for e in place.ends) + 5 > base - 10
            for line in panel.lines
            for place in line.places
            if place.there
        )

    yield svg.line(left, y, right, y, "axis", thick=1.5)
    x, base, anchor = min(corners, key=met)
    yield svg.words(
        x, base, name, tone="muted", anchor="end" if anchor == "end" else "start", size=svg.SMALL
    )


def _line(
    line: Line,
    apart: frozenset[str],
    scale: Scale,
    at: Mapping[str, float],
    inks: Mapping[str, Ink],
) -> Iterable[str]:
    there = [place for place in line.places if place.there]
    joined = [place for place in there if place.name not in apart]
    bounded = [(at[p.name], ends) for p in joined if (ends := interval(p.low, p.high))]
    if len(bounded) > 1 and not line.hollow:
        lower = [(x, scale(low)) for x, (low, _) in bounded]
        upper = [(x, scale(high)) for x, (_, high) in bounded]
        yield svg.group(svg.area([*upper, *reversed(lower)]), tone="band")
    if len(joined) > 1:
        points = [(at[p.name], scale(p.value)) for p in joined if drawable(p.value)]
        dashes = "5 3" if line.hollow else ""
        yield svg.group(svg.polyline(points, thick=1.5, dashes=dashes), tone="axis")
    for place in there:
        yield _mark(place, scale, at[place.name], replace(inks[place.name], hollow=line.hollow))


def _mark(place: Place, scale: Scale, x: float, ink: Ink) -> str:
    inside = []
    if ends := interval(place.low, place.high):
        inside.append(svg.whisker_up(x, *map(scale, ends)))
    if drawable(place.value):
        inside.append(svg.mark(x, scale(place.value), ink))
    return svg.group(*inside, tone=ink.tone, title=place.text)


def _below(
    panel: Panel, at: Mapping[str, float], slot: float, top: float
) -> tuple[list[str], float]:
    """Write names, values and steps under the axis, as many as fit side by side."""
    under = {name: _under(panel, name, slot) for name in at}
    words = {word for text in (*at, *under.values()) for word in text.split(" ")}
    # A longer name is cut rather than that all others make room for it.
    widest = max(svg.width(word[:8], svg.SMALL) for word in words)
    every = max(1, math.ceil(widest / slot))
    parts = []
    for k, (name, x) in enumerate(at.items()):
        room = slot * every + 4  # estimates are generous
        if (len(at) - 1 - k) % every == 0:
            # What does not fit side by side, such as "no score", stands in two lines.
            for row, text in enumerate((name, *under[name].split(" ", 1))):
                tone = "muted" if row else "label"
                parts.append(
                    svg.words(
                        x, top + 15 * (row + 1), text,
                        tone=tone, anchor="middle", size=svg.SMALL, room=room,
                    )
                )  # fmt: skip
        step = (panel.steps or {}).get(name)
        if step is not None:
            parts.append(_step(name, step, x, top + 41))
    missing = any(" " in text for text in under.values())
    rows = 2 + (bool(panel.steps) or missing)
    return parts, top + 5 + 15 * rows


def _under(panel: Panel, name: str, slot: float) -> str:
    """Write the first line's value under a name, or what is missing."""
    line = panel.lines[0]
    place = next(place for place in line.places if place.name == name)
    if not drawable(place.value):
        return place.missing
    shown = places([one.value for one in line.places])
    return number(place.value, shown if slot > 45 else min(shown, 2), signed=panel.signed)


def _step(name: str, step: Evidence, x: float, y: float) -> str:
    ink, words = _STEPS[step]
    return svg.group(svg.mark(x, y, ink), tone=ink.tone, title=f"{name}: {words}")
