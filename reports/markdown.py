"""A run as `report.md`, several as `compare.md`: for people, pull requests and papers.

Names and notes are escaped. Prompts and answers stand in fenced blocks, where nothing is read as
Markdown or HTML, no address becomes a link and no name a mention.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from harness.protocols import NamedRun
from harness.records import Record, RunRecord
from reports.blocks import Block, Cell, Chart, Figure, Mark, Points, Row, Sample, Section, Table
from reports.changes import changes
from reports.comparison.page import comparison
from reports.figures import LONGEST_TEXT, listed, visible
from reports.files import write
from reports.page import report

SAMPLE_WIDTH = 100
FIGURES = "figures"
"""The folder beside the report that its charts are written to."""
_SPECIAL = re.compile(r"([\\`*~$])|(?<![A-Za-z0-9])(_)|(_)(?![A-Za-z0-9])|(\])(?=[(\[:])")
_BLOCK = re.compile(r"^(\d{0,9})([.)](?=\s|$)|(?<!\d)(?:[#>=]|[-+](?=[-\s]|$)))")


class Markdown:
    """Writes `report.md` and `compare.md`."""

    class Config(Record):
        """Nothing to configure."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def render(self, record: RunRecord, folder: Path) -> Path:
        """Write the report, from the record alone; the same record gives the same bytes.

        Raises:
            StoreError: the folder cannot be written.
        """
        return _write(folder / "report.md", "Run report", tuple(report(record, changes(record))))

    def compare(self, runs: Sequence[NamedRun], folder: Path) -> Path:
        """Write the comparison, from the records alone; the same records give the same bytes.

        Raises:
            ConfigError: two of them are the same run.
            StoreError: the folder cannot be written.
        """
        return _write(folder / "compare.md", "Comparison of runs", comparison(runs))


def markdown(record: RunRecord) -> str:
    """Write a run as Markdown."""
    return document("Run report", report(record, changes(record)))


def document(title: str, sections: Iterable[Section]) -> str:
    """Write sections as Markdown."""
    return "\n\n".join([f"# {title}", *(part for s in sections for part in _section(s))]) + "\n"


def _write(path: Path, title: str, sections: Sequence[Section]) -> Path:
    """Write a page, and beside it the drawings that it shows."""
    for section in sections:
        for block in section.blocks:
            if isinstance(block, Chart):
                write(path.parent / FIGURES / f"{block.name}.svg", block.svg)
    return write(path, document(title, sections))


def escape(text: str) -> str:
    """Make a plain text mean itself in Markdown, in a table as well as outside."""
    text = visible(text, longest=LONGEST_TEXT * 4)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;")
    text = _SPECIAL.sub(lambda match: f"\\{match[0]}", text.strip())
    return _BLOCK.sub(r"\1\\\2", text)


def _section(section: Section) -> Iterator[str]:
    yield f"## {escape(section.title)}"
    for block in section.blocks:
        yield from _block(block)


def _block(block: Block) -> Iterator[str]:
    match block:
        case str():
            yield escape(block)
        case Points():
            yield "\n".join(_point(name, text) for name, text in block.items)
        case Table():
            yield from _table(block)
        case Sample():
            yield f"**{escape(block.title)}**"
            lines = block.lines(SAMPLE_WIDTH)
            yield "\n".join(["```text", *lines, "```"])
        case Chart():
            yield f"![{escape(block.alt)}]({FIGURES}/{block.name}.svg)"
            if block.note:
                yield escape(block.note)


def _point(name: str, text: str) -> str:
    return f"- **{escape(name)}**: {escape(text)}" if name else f"- {escape(text)}"


def _table(table: Table) -> Iterator[str]:
    if table.title:
        yield f"### {escape(table.title)}"
    counted = table.counted
    heads = ["", *table.columns, *(["n", "failed"] if counted else [])]
    lines = [
        _line([escape(head) for head in heads]),
        _line(["---", *["---:"] * (len(heads) - 1)]),
        *(_line(_cells(row, counted=counted)) for row in table.rows),
    ]
    yield "\n".join(lines)
    if table.note:
        yield escape(table.note)


def _cells(row: Row, *, counted: bool) -> list[str]:
    counts = [listed(row.n), listed(row.failed)] if counted else []
    return [escape(row.label), *map(_cell, row.cells), *counts]


def _cell(cell: Cell) -> str:
    if isinstance(cell, Figure):
        text = f"{cell.text} {cell.interval}".strip()
        return f"**{text}**" if cell.tone else text
    if isinstance(cell, Mark):
        return f"**{escape(cell.text)}**" if cell.tone else escape(cell.text)
    return escape(cell)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
