"""SVG, as text: elements, numbers, marks, and how wide words are.

    element("circle", cx=3, cy=4.125, r=5)    <circle cx="3" cy="4.13" r="5"/>
    words(10, 20, "M2 <b>")                   <text x="10" y="20" ...>M2 &lt;b&gt;</text>

Nobody knows a reader's fonts here, so that widths are estimates on the generous side; what does not
fit is cut with an ellipsis and is whole in the title that a pointer shows.
"""

import math
from collections.abc import Iterable
from typing import Literal
from unicodedata import category, east_asian_width
from xml.sax.saxutils import escape, quoteattr

from reports.blocks import Chart
from reports.charts.ink import LIGHT, Ink
from reports.figures import visible

WIDTH = 640.0
"""Of a drawing, in units of its own; it is shown as wide as there is room."""
NARROW = 360.0
"""Of a drawing for a phone."""
SIZE = 13.0
"""Of all letters but those of headings."""
SMALL = 12.0
"""Of letters where room is dear."""
LINE = 17.0
"""From one line of words to the next."""
RADIUS = 4.5
_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"
_LONGEST = 200
_LONGEST_ALT = 2000
_HEADING = 15.0
_MARGIN = 12.0
TOP = 28.0
"""Where a drawing begins, below a heading of one line."""
_NARROW_LETTERS = "iljtfrI.,:;'|!()[]/ "
_WIDE_LETTERS = "mwMW%@"

Anchor = Literal["start", "middle", "end"]


def fixed(value: float) -> str:
    """Write a coordinate: two decimals at most, none where there are none.

    Raises:
        ValueError: it is not finite.
    """
    if not math.isfinite(value):
        raise ValueError(f"{value} is no place in a drawing")
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def element(name: str, *inside: str, **attributes: str | float) -> str:
    """Write an element; `class_` is class, `stroke_width` is stroke-width."""
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}="
        f"{quoteattr(value if isinstance(value, str) else fixed(value))}"
        for key, value in attributes.items()
    )
    return f"<{name}{written}>{''.join(inside)}</{name}>" if inside else f"<{name}{written}/>"


def group(*inside: str, tone: str = "", title: str = "", **attributes: str | float) -> str:
    """Write elements of one class and colour, with a title that a pointer shows."""
    if tone:
        attributes = {"class_": tone, "color": LIGHT[tone], **attributes}
    return element("g", *([_title(title)] if title else []), *inside, **attributes)


def _title(text: str) -> str:
    return element("title", escape(visible(text, longest=_LONGEST)))


def words(
    x: float,
    y: float,
    text: str,
    *,
    tone: str = "label",
    anchor: Anchor = "start",
    room: float = math.inf,
    bold: bool = False,
    size: float = SIZE,
) -> str:
    """Write a line of words, cut to the room there is; nothing for no words."""
    whole = visible(text, longest=_LONGEST)
    shown = fitted(whole, room, size)
    if not shown:
        return ""
    attributes: dict[str, str | float] = {"x": x, "y": y, "class_": tone, "color": LIGHT[tone]}
    if anchor != "start":
        attributes["text_anchor"] = anchor
    if bold:
        attributes["font_weight"] = "600"
    if size != SIZE:
        attributes["font_size"] = size
    inside = escape(shown) if shown == whole else escape(shown) + _title(whole)
    return element("text", inside, **attributes)


def fitted(text: str, room: float, size: float = SIZE) -> str:
    """Cut a text to the room there is, with an ellipsis; nothing where not even that fits."""
    if width(text, size) <= room:
        return text
    kept = ""
    for letter in text:
        if width(f"{kept}{letter}…", size) > room:
            break
        kept += letter
    return f"{kept.rstrip()}…" if kept else ""


def width(text: str, size: float = SIZE) -> float:
    """Estimate how wide a text is, on the generous side."""
    return size * sum(map(_advance, text))


def _advance(letter: str) -> float:
    if category(letter) in ("Mn", "Me", "Cf"):
        return 0.0
    if east_asian_width(letter) in "WF":
        return 1.05
    if letter in _NARROW_LETTERS:
        return 0.4
    if letter in _WIDE_LETTERS:
        return 0.95
    return 0.6 if letter in "0123456789+-" else 0.63


def wrapped(text: str, room: float, size: float = SIZE) -> list[str]:
    """Break a text into lines that fit the room; a word that does not fit has its own."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width(longer, size) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def line(x1: float, y1: float, x2: float, y2: float, tone: str, *, thick: float = 1.0) -> str:
    """Draw a straight line."""
    return element(
        "path", d=_path([(x1, y1), (x2, y2)]), class_=tone, color=LIGHT[tone],
        stroke="currentColor", stroke_width=thick, fill="none",
    )  # fmt: skip


def polyline(points: Iterable[tuple[float, float]], *, thick: float = 2.0, dashes: str = "") -> str:
    """Draw a line through points, in the colour of its group."""
    attributes: dict[str, str | float] = {"stroke_dasharray": dashes} if dashes else {}
    return element(
        "path", d=_path(points), fill="none", stroke="currentColor", stroke_width=thick,
        stroke_linejoin="round", **attributes,
    )  # fmt: skip


def area(points: Iterable[tuple[float, float]]) -> str:
    """Fill the shape within points, faintly, in the colour of its group."""
    return element("path", d=f"{_path(points)}Z", fill="currentColor", fill_opacity=0.15)


def bar(x: float, y: float, wide: float, high: float, *, opacity: float = 1.0) -> str:
    """Fill a rectangle in the colour of its group."""
    attributes = {} if opacity == 1 else {"fill_opacity": opacity}
    return element("rect", x=x, y=y, width=wide, height=high, fill="currentColor", **attributes)


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "".join(f"{'L' if k else 'M'}{fixed(x)} {fixed(y)}" for k, (x, y) in enumerate(points))


def mark(x: float, y: float, ink: Ink, radius: float = RADIUS) -> str:
    """Draw a mark of a shape, in the colour of its group; areas are alike whatever the shape."""
    paint: dict[str, str | float] = {"fill": "currentColor"}
    if ink.hollow:
        paint = {"fill": "none", "stroke": "currentColor", "stroke_width": 2}
        radius -= 0.5
    match ink.shape:
        case "circle":
            return element("circle", cx=x, cy=y, r=radius, **paint)
        case "square":
            side = 1.8 * radius
            return element("rect", x=x - side / 2, y=y - side / 2, width=side, height=side, **paint)
        case "dash":
            return element(
                "rect", x=x - radius, y=y - 1.25, width=2 * radius, height=2.5, fill="currentColor"
            )
        case "diamond":
            r = 1.3 * radius
            corners = [(x, y - r), (x + r, y), (x, y + r), (x - r, y)]
        case "up" | "down":
            r = 1.25 * radius * (1 if ink.shape == "up" else -1)
            corners = [(x, y - r), (x + abs(r), y + 0.8 * r), (x - abs(r), y + 0.8 * r)]
    return element("path", d=f"{_path(corners)}Z", **paint)


def whisker_up(x: float, low: float, high: float) -> str:
    """Draw an upright interval in the colour of its group."""
    return polyline([(x, low), (x, high)], thick=1.5)


def whisker(y: float, low: float, high: float) -> str:
    """Draw a level interval in the colour of its group."""
    return polyline([(low, y), (high, y)], thick=1.5)


def legend(
    entries: Iterable[tuple[Ink, str]], y: float, room: float, x: float = 0.0
) -> tuple[str, float]:
    """Lay marks and their names out in lines that fit, and say how high they are."""
    parts: list[str] = []
    at, top = x, y
    for ink, name in entries:
        shown = fitted(visible(name, longest=_LONGEST), room - 24)
        wide = 16 + width(shown) + 12
        if at > x and at + wide > x + room:
            at, top = x, top + LINE
        parts.append(group(mark(at + 6, top + 8, ink), tone=ink.tone))
        parts.append(words(at + 16, top + SIZE - 0.5, shown, tone="muted"))
        at += wide
    return "".join(parts), (top - y + LINE) if parts else 0.0


def chart(
    name: str,
    title: str,
    parts: Iterable[str],
    *,
    size: tuple[float, float],
    alt: str,
    note: str = "",
) -> Chart:
    """Put a drawing's parts on paper of a size, under its title and with what it says in words."""
    wide, high = size
    lines = wrapped(visible(title, longest=_LONGEST), wide, _HEADING)
    heading = "".join(
        words(0, _HEADING + k * (LINE + 2), text, bold=True, size=_HEADING, room=wide)
        for k, text in enumerate(lines)
    )
    more = max(len(lines) - 1, 0) * (LINE + 2)
    below = group(*parts, transform=moved(0, more)) if more else "".join(parts)
    box = (-_MARGIN, -_MARGIN, wide + 2 * _MARGIN, high + more + 2 * _MARGIN)
    paper = element(
        "rect", x=box[0], y=box[1], width=box[2], height=box[3], rx=6,
        class_="paper", color=LIGHT["paper"], fill="currentColor",
    )  # fmt: skip
    drawn = element(
        "svg",
        _title(title),
        element("desc", escape(visible(alt, longest=_LONGEST_ALT))),
        paper,
        heading,
        below,
        xmlns="http://www.w3.org/2000/svg",
        class_="chart",
        role="img",
        viewBox=" ".join(map(fixed, box)),
        width="100%",
        font_family=_FONTS,
        font_size=SIZE,
        fill="currentColor",
    )
    return Chart(name=name, title=title, svg=drawn, alt=alt, note=note)


def moved(x: float, y: float) -> str:
    """Write the transform that moves a group."""
    return f"translate({fixed(x)} {fixed(y)})"
