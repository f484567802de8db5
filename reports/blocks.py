"""What a page is made of. Every renderer draws these, and nothing else.

    Section "Head to head"
      "Answers of two models, judged in both orders."         a sentence
      Points  (("M2 against M1", "better ..."), ...)          named sentences
      Table   examiner:  score | Figure(2.46, 2.31, 2.60) | Figure(3.10, 2.95, 3.24)
      Sample  a prompt, and what each model answered
      Chart   a drawing, with the same in words for those who do not see it

All strings in blocks are plain text; a renderer escapes them for its own format.
"""

from dataclasses import dataclass
from textwrap import wrap
from typing import Literal

from reports.figures import DASH, number, visible

Tone = Literal["", "better", "worse", "warning"]


@dataclass(frozen=True)
class Figure:
    """A number with its 95 % interval, where it has one."""

    value: float
    low: float | None = None
    high: float | None = None
    places: int = 2
    signed: bool = False
    """Whether a plus sign is written: differences and net wins."""
    tone: Tone = ""

    @property
    def text(self) -> str:
        """The value alone, e.g. `0.889`."""
        return number(self.value, self.places, signed=self.signed)

    @property
    def interval(self) -> str:
        """`[0.861, 0.917]`, or nothing."""
        ends = self._ends()
        return f"[{ends[0]}, {ends[1]}]" if ends else ""

    @property
    def short_interval(self) -> str:
        """The ends without brackets and leading zeros, or nothing: for narrow columns."""
        return DASH.join(_short(end) for end in self._ends())

    def _ends(self) -> tuple[str, ...]:
        if self.low is None or self.high is None:
            return ()
        return tuple(number(end, self.places, signed=self.signed) for end in (self.low, self.high))


def _short(end: str) -> str:
    return end.replace("0.", ".", 1) if end.lstrip("+-").startswith("0.") else end


@dataclass(frozen=True)
class Mark:
    """A word or two that say what to think of a row: `holds`, in the colour of its tone."""

    text: str
    tone: Tone


Cell = str | Figure | Mark


@dataclass(frozen=True)
class Row:
    """A labelled line of a table."""

    label: str
    cells: tuple[Cell, ...]
    n: tuple[int, ...] = ()
    """Of how many items each figure is made; one number where all are made of as many."""
    failed: tuple[int, ...] = ()
    """How many more could not be scored."""


@dataclass(frozen=True)
class Table:
    """A table: a column of labels, one for each heading, and n and failed where rows have them."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    note: str = ""
    """What a reader needs to know to read it right."""

    @property
    def counted(self) -> bool:
        """Whether the rows say of how many items they are made."""
        return any(row.n for row in self.rows)


@dataclass(frozen=True)
class Points:
    """Sentences, each under its own name."""

    items: tuple[tuple[str, str], ...]
    tone: Tone = ""


@dataclass(frozen=True)
class Sample:
    """One prompt, and the answers it got."""

    title: str
    prompt: str
    answers: tuple[tuple[str, str, str], ...]
    """Model, what the answer was worth, and the answer."""

    def lines(self, width: int) -> tuple[str, ...]:
        """Lay it out in fixed-width lines; every line begins with words or spaces of ours."""
        names = max((len(model) for model, _, _ in self.answers), default=0)
        worths = max((len(worth) for _, worth, _ in self.answers), default=0)
        margin = max(names + worths + 3, len("prompt") + 2)
        heads = ["prompt", *(f"{m:<{names}} {w:>{worths}}" for m, w, _ in self.answers)]
        texts = [self.prompt, *(answer for _, _, answer in self.answers)]
        return tuple(
            line
            for head, text in zip(heads, texts, strict=True)
            for line in _hang(head, visible(text), margin, width)
        )


def _hang(head: str, text: str, margin: int, width: int) -> list[str]:
    """Put a text beside its head, its further lines below one another."""
    first, *more = wrap(text, max(width - margin, 20)) or ["(nothing)"]
    return [f"{head:<{margin}}{first}", *(" " * margin + line for line in more)]


@dataclass(frozen=True)
class Chart:
    """A drawing. Where a renderer cannot draw, the tables beside it say the same."""

    name: str
    """Of the file it may be written to, without an ending: letters, digits, `-` and `_`."""
    title: str
    svg: str
    """The whole `<svg>` element (see `reports.charts`): no script, no style, no outside address."""
    alt: str
    """What it shows, in a sentence or two, for those who do not see it."""
    note: str = ""
    """What a reader needs to know to read it right."""


Block = str | Points | Table | Sample | Chart


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: tuple[Block, ...]
    behind: bool = False
    """Whether it stands behind the findings: a page may fold it away."""
