"""Colours and shapes: what a mark is drawn with.

    models(record)    M0 c0 circle, SFT c1 square, M1 c2 triangle ...   the same in every drawing

A class has a colour on white and one on black, each of a contrast of at least 3 to its ground
(4.5 where it is of text). The hues are Okabe and Ito's (2008), for the colour-blind, as dark as
that takes; shapes are for everybody.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Shape = Literal["circle", "square", "up", "diamond", "down", "dash"]
SHAPES: tuple[Shape, ...] = ("circle", "square", "up", "diamond", "down")

LIGHT: Mapping[str, str] = {
    "c0": "#5f6873",
    "c1": "#b35900",
    "c2": "#00805a",
    "c3": "#0068b5",
    "c4": "#b0428c",
    "c5": "#c8401c",
    "c6": "#7d6f00",
    "c7": "#6a4fc3",
    "better": "#00756b",
    "worse": "#bc3f0c",
    "neutral": "#68717c",
    "label": "#1f2328",
    "muted": "#59636e",
    "axis": "#7c8590",
    "grid": "#d9dde2",
    "band": "#0068b5",
    "paper": "#ffffff",
    "on": "#ffffff",
}
"""By class, its colour on a white ground. `paper` is the ground itself, `on` text on a bar."""

DARK: Mapping[str, str] = {
    "c0": "#a3acb7",
    "c1": "#f0a04b",
    "c2": "#3ecf9b",
    "c3": "#63b3f4",
    "c4": "#ea8fc8",
    "c5": "#ff8a66",
    "c6": "#d6c63d",
    "c7": "#b5a1fa",
    "better": "#3fc7b8",
    "worse": "#ff8d5c",
    "neutral": "#9aa3ae",
    "label": "#e8eaed",
    "muted": "#a9b1bb",
    "axis": "#7c8590",
    "grid": "#33383f",
    "band": "#63b3f4",
    "paper": "transparent",
    "on": "#111111",
}
"""The same on a black ground, where the page is the paper."""

_SERIES = 8


@dataclass(frozen=True)
class Ink:
    """What a mark looks like."""

    tone: str
    """A class of `LIGHT`."""
    shape: Shape = "circle"
    hollow: bool = False


def inks(names: Sequence[str]) -> dict[str, Ink]:
    """Give every name its colour and shape; 40 names pass before a pair of them comes again."""
    return {
        name: Ink(f"c{k % _SERIES}", SHAPES[k % len(SHAPES)])
        for k, name in enumerate(dict.fromkeys(names))
    }


def stylesheet() -> str:
    """Write the rules by which a page on a dark ground recolours the drawings in it.

    The page's root may say `data-theme`, `light` or `dark`; else the reader's system decides.
    """
    by_system = "\n".join(_rules(':root:not([data-theme="light"])'))
    chosen = "\n".join(_rules(':root[data-theme="dark"]'))
    dark = "@media screen and (prefers-color-scheme: dark)"
    return f"{dark} {{\n{by_system}\n}}\n@media screen {{\n{chosen}\n}}\n"


def _rules(root: str) -> Iterator[str]:
    for tone, colour in DARK.items():
        yield f"{root} .chart .{tone} {{ color: {colour}; }}"
