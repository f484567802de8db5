r"""The tables of a run as `report.tex`, of several runs as `compare.tex`: for papers.

    \begin{table}[H]
      \caption{examiner}\label{tab:examiner}
      ...
      score & \stack{$0.86$\\\scriptsize$[0.73, 0.99]$} & ... & 300 & 0 \\

Each is a document that compiles by itself (pdflatex, xelatex, lualatex) on a page that is wide
enough; a single table needs `booktabs` and the two commands at the top. The files are ASCII but for
western letters: a character that no usual font has is drawn where the engine can, and named by its
code point where it cannot.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from textwrap import wrap

from harness.protocols import NamedRun
from harness.records import Record, RunRecord
from reports.blocks import Cell, Figure, Mark, Row, Section, Table
from reports.changes import changes
from reports.comparison.page import comparison
from reports.figures import LONGEST_TEXT, listed, visible
from reports.files import write
from reports.page import report

MOST_ROWS = 24
"""Of a table on one page; a longer one is continued in another."""
LABEL_WIDTH = 34
CELL_WIDTH = 24
"""Characters of a line of text in a column of labels, and in any other."""
A4_WIDTH = 21.0
_CHARACTER = 0.19
_BETWEEN = 0.5
_MARGINS = 3.0
"""Centimetres: of a character, between two columns, and of both margins."""

_PREAMBLE = r"""% Compiles by itself: pdflatex, xelatex or lualatex.
% A table elsewhere needs booktabs, \stack and \uni; [H] needs float.
\documentclass{article}
\ifdefined\Umathcode\else\usepackage[T1]{fontenc}\fi
\IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}
\usepackage{textcomp,booktabs,array,float}
\usepackage[paperwidth=%scm,paperheight=29.7cm,margin=1.5cm]{geometry}
\newcommand{\stack}[1]{\begin{tabular}[t]{@{}r@{}}#1\end{tabular}}
\ifdefined\Umathcode
  \DeclareRobustCommand{\uni}[1]{\symbol{"#1}}
\else
  \DeclareRobustCommand{\uni}[1]{\texttt{<U+#1>}}
\fi
\begin{document}
"""
_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}", "`": r"\textasciigrave{}",
    "\N{EN DASH}": "--", "\N{EM DASH}": "---", "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}",
    "\N{MIDDLE DOT}": r"\textperiodcentered{}", "\N{RIGHTWARDS ARROW}": r"$\rightarrow$",
    "\N{MULTIPLICATION SIGN}": r"$\times$", "\N{RETURN SYMBOL}": r"$\hookleftarrow$",
    "\N{ZERO WIDTH SPACE}": r"\allowbreak{}",
}  # fmt: skip
_UNBROKEN = re.compile(r"(\S{40})(?=\S)")
"""May be broken after, where a megabyte without a space would be wider than TeX can count."""
_LIGATURES = "-,"
"""What would be read as another character where it stands twice."""
_WESTERN = re.compile("[\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u00ff]")


class Latex:
    """Writes `report.tex` and `compare.tex`."""

    class Config(Record):
        """Nothing to configure."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def render(self, record: RunRecord, folder: Path) -> Path:
        """Write the run's tables; the same record gives the same bytes.

        Raises:
            StoreError: the folder cannot be written.
        """
        return write(folder / "report.tex", latex(report(record, changes(record))))

    def compare(self, runs: Sequence[NamedRun], folder: Path) -> Path:
        """Write the comparison's tables; the same records give the same bytes.

        Raises:
            ConfigError: two of them are the same run.
            StoreError: the folder cannot be written.
        """
        return write(folder / "compare.tex", latex(comparison(runs)))


def latex(sections: Iterable[Section]) -> str:
    """Write the tables of sections as a whole document."""
    tables = [
        (section.title, block)
        for section in sections
        for block in section.blocks
        if isinstance(block, Table)
    ]
    width = max([A4_WIDTH, *(_width(table) for _, table in tables)])
    parts = [_PREAMBLE.replace("%scm", f"{width:.1f}cm")]
    labels: dict[str, int] = {}
    last = ""
    for section, table in tables:
        if section != last:
            parts.append(f"\\section*{{{escape(section)}}}\n")
            last = section
        parts += _table(table, table.title or section, labels)
    parts += ["No table: there is nothing to tabulate.\n"] if not tables else []
    return "\n".join([*parts, "\\end{document}\n"])


def escape(text: str) -> str:
    """Make a plain text mean itself in LaTeX."""
    shown = _UNBROKEN.sub("\\1\u200b", visible(text, longest=LONGEST_TEXT * 4))
    return "".join(map(_character, shown, f"{shown[1:]} "))


def _character(character: str, following: str) -> str:
    if character == following and character in _LIGATURES:
        return f"{character}{{}}"
    if character in _SPECIAL:
        return _SPECIAL[character]
    if character.isascii() or _WESTERN.match(character):
        return character
    return f"\\uni{{{ord(character):04X}}}"


def _table(table: Table, title: str, labels: dict[str, int]) -> Iterator[str]:
    """Write a table, in as many parts as it needs pages."""
    counts = ("n", "failed") if table.counted else ()
    heads = ["", *(_lines(column, CELL_WIDTH) for column in (*table.columns, *counts))]
    columns = f"@{{}}p{{{_label_width(table):.1f}cm}}*{{{len(heads) - 1}}}{{r}}@{{}}"
    for first in range(0, len(table.rows), MOST_ROWS):
        rows = table.rows[first : first + MOST_ROWS]
        more = ", continued" if first else ""
        yield "\n".join(
            [
                "\\begin{table}[H]",
                "\\centering\\small",
                f"\\caption{{{escape(title)}{more}}}\\label{{tab:{_label(title, labels)}}}",
                f"\\begin{{tabular}}{{{columns}}}",
                "\\toprule",
                f"{' & '.join(heads)} \\\\",
                "\\midrule",
                *(f"{' & '.join(_row(row, counted=table.counted))} \\\\" for row in rows),
                "\\bottomrule",
                "\\end{tabular}",
                *_note(table),
                "\\end{table}\n",
            ]
        )


def _note(table: Table) -> tuple[str, ...]:
    if not table.note:
        return ()
    return (f"\\par\\smallskip\\parbox{{\\linewidth}}{{\\footnotesize {escape(table.note)}}}",)


def _row(row: Row, *, counted: bool) -> list[str]:
    counts = [escape(listed(row.n)), escape(listed(row.failed))] if counted else []
    return [f"\\raggedright {escape(row.label)}", *map(_cell, row.cells), *counts]


def _cell(cell: Cell) -> str:
    if isinstance(cell, Mark):
        return f"\\textbf{{{escape(cell.text)}}}" if cell.tone else escape(cell.text)
    if isinstance(cell, str):
        return _lines(cell, CELL_WIDTH)
    value = _number(cell.text)
    shown = f"$\\mathbf{{{value}}}$" if cell.tone else f"${value}$"
    if not cell.interval:
        return shown
    return f"\\stack{{{shown}\\\\\\scriptsize${_number(cell.interval)}$}}"


def _number(text: str) -> str:
    """Typeset digits: a comma within a number is no punctuation."""
    return re.sub(r",(?=\d)", "{,}", text) if "finite" not in text else f"\\textrm{{{text}}}"


def _lines(text: str, width: int) -> str:
    lines = [escape(line) for line in wrap(visible(text), width)]
    return "\\stack{" + r"\\".join(lines) + "}" if len(lines) > 1 else "".join(lines)


def _label(title: str, labels: dict[str, int]) -> str:
    """Make a label of a title that no table before has."""
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60] or "table"
    labels[slug] = labels.get(slug, 0) + 1
    return slug if labels[slug] == 1 else f"{slug}-{labels[slug]}"


def _label_width(table: Table) -> float:
    longest = max((len(row.label) for row in table.rows), default=0)
    return _CHARACTER * max(4, min(longest, LABEL_WIDTH)) + _BETWEEN


def _width(table: Table) -> float:
    """Estimate how wide a page a table needs, in centimetres."""
    columns = zip(*(row.cells for row in table.rows), strict=True)
    longest = [
        max(_characters(cell) for cell in (heading, *cells))
        for heading, cells in zip(table.columns, columns, strict=True)
    ]
    counts = [
        max([len(name), *(len(listed(getattr(row, name))) for row in table.rows)])
        for name in (("n", "failed") if table.counted else ())
    ]
    each = [_CHARACTER * characters + _BETWEEN for characters in (*longest, *counts)]
    return _label_width(table) + sum(each) + _MARGINS


def _characters(cell: Cell) -> int:
    if isinstance(cell, Figure):
        return max(len(cell.text), round(0.8 * len(cell.interval)))
    text = cell.text if isinstance(cell, Mark) else cell
    return max(map(len, wrap(visible(text), CELL_WIDTH)), default=0)
