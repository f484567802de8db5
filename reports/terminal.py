"""A run for the terminal: the overview of the report, in tables that fit the width.

The findings stand last, where a terminal stops scrolling.
A table that is too wide writes its intervals below the values, and one that is still too wide
writes them shorter and the counts below the labels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from textwrap import wrap

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from harness.protocols import NamedRun
from harness.records import Record, RunRecord
from reports.blocks import (
    Block,
    Cell,
    Chart,
    Figure,
    Mark,
    Points,
    Row,
    Sample,
    Section,
    Table,
    Tone,
)
from reports.comparison.page import comparison
from reports.figures import LONGEST_TEXT, ranged, visible
from reports.files import write
from reports.page import overview

FILE_WIDTH = 80
LEAST_LABEL = 14
LONGEST_NAME = 22
"""Columns of what a sentence stands under; longer names are broken."""
"""Characters that a table's labels get at least; longer ones are wrapped."""
LONGEST_LABEL = 120
_STYLES: dict[Tone, str] = {"": "", "better": "green", "worse": "red", "warning": "yellow"}


class Terminal:
    """Writes `report.txt` and `compare.txt`, and shows the same on a console, in colour."""

    class Config(Record):
        """Nothing to configure."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def render(self, record: RunRecord, folder: Path) -> Path:
        """Write the overview as plain text; the same record gives the same bytes.

        Raises:
            StoreError: the folder cannot be written.
        """
        return _write(folder / "report.txt", overview(record))

    def compare(self, runs: Sequence[NamedRun], folder: Path) -> Path:
        """Write the comparison as plain text; the same records give the same bytes.

        Raises:
            ConfigError: two of them are the same run.
            StoreError: the folder cannot be written.
        """
        return _write(folder / "compare.txt", comparison(runs))

    def show(self, record: RunRecord, console: Console) -> None:
        """Print the overview, as wide as the console is."""
        _print(overview(record), console)

    def show_comparison(self, runs: Sequence[NamedRun], console: Console) -> None:
        """Print the comparison, as wide as the console is."""
        _print(comparison(runs), console)


def _print(page: Sequence[Section], console: Console) -> None:
    """Print what stands behind the findings first: a terminal stops scrolling at the end."""
    for section in sorted(page, key=lambda section: not section.behind):
        console.print(_section(section, console))


def _write(path: Path, page: Sequence[Section]) -> Path:
    text = StringIO()
    _print(page, Console(file=text, width=FILE_WIDTH, color_system=None, force_terminal=False))
    lines = (line.rstrip() for line in text.getvalue().splitlines())
    return write(path, "\n".join(lines) + "\n")


def _section(section: Section, console: Console) -> RenderableType:
    blocks = [Padding(_block(block, console), (0, 0, 1, 0)) for block in section.blocks]
    return Group(_text(section.title.upper(), "bold cyan"), *blocks)


def _block(block: Block, console: Console) -> RenderableType:
    match block:
        case str():
            return _text(block)
        case Points():
            return _points(block)
        case Sample():
            return Text("\n".join((visible(block.title), *block.lines(console.width))))
        case Table():
            return _table(block, console)
        case Chart():  # the tables beside it say the same
            return Text()


def _points(points: Points) -> RenderableType:
    grid = Grid.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold", max_width=LONGEST_NAME)
    grid.add_column()
    for name, text in points.items:
        grid.add_row(_text(name or "!"), _text(text, _STYLES[points.tone]))
    return grid


def _table(table: Table, console: Console) -> RenderableType:
    drawings = [_draw(table, layout) for layout in (WIDE, STACKED, NARROW)]
    fitting = (grid for grid, needed in drawings if needed <= console.width)
    parts: list[RenderableType] = [next(fitting, drawings[-1][0])]
    if table.title:
        parts.insert(0, _text(table.title, "bold underline"))
    if table.note:
        parts.append(_text(table.note, "dim"))
    return Group(*parts)


@dataclass(frozen=True)
class Layout:
    """One way to write a table's figures and counts."""

    interval: Callable[[Figure], str]
    """What follows a value."""
    count_columns: bool
    """Whether n and failed have columns of their own; else they stand below the label."""


WIDE = Layout(lambda figure: f" {figure.interval}", count_columns=True)
STACKED = Layout(lambda figure: f"\n{figure.interval}", count_columns=True)
NARROW = Layout(lambda figure: f"\n{figure.short_interval}", count_columns=False)


def _draw(table: Table, layout: Layout) -> tuple[Grid, int]:
    """Draw a table, and say how many characters it needs; only the labels can give way."""
    counts = ("n", "failed") if table.counted and layout.count_columns else ()
    rows = [
        [
            *(_cell(cell, layout) for cell in row.cells),
            *(Text(ranged(getattr(row, name))) for name in counts),
        ]
        for row in table.rows
    ]
    grid = Grid(
        box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False,
        header_style="bold",
    )  # fmt: skip
    grid.add_column("", overflow="fold")
    needed = LEAST_LABEL
    for heading, *column in zip((*table.columns, *counts), *rows, strict=True):
        longest = max(len(line) for cell in column for line in cell.plain.split("\n"))
        heading = visible(heading, LONGEST_LABEL)
        lines = wrap(heading, max(longest, *map(len, heading.split())), break_long_words=False)
        grid.add_column(Text("\n".join(lines)), justify="right", no_wrap=True)
        needed += max(longest, *map(len, lines)) + 2
    for row, cells in zip(table.rows, rows, strict=True):
        grid.add_row(_label(row, layout), *cells)
    return grid, needed


def _label(row: Row, layout: Layout) -> Text:
    label = _text(row.label)
    if row.n and not layout.count_columns:
        failed = f", failed {ranged(row.failed)}" if any(row.failed) else ""
        label.append(f"\nn {ranged(row.n)}{failed}", style="dim")
    return label


def _cell(cell: Cell, layout: Layout) -> Text:
    if isinstance(cell, str):
        return _text(cell)
    if isinstance(cell, Mark):
        return _text(cell.text, _STYLES[cell.tone])
    return Text(cell.text, style=_STYLES[cell.tone]).append(layout.interval(cell), style="dim")


def _text(text: str, style: str = "") -> Text:
    """Show a text as it is: neither rich's markup nor control characters do anything."""
    return Text(visible(text, longest=4 * LONGEST_TEXT), style=style)
