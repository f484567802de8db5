import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.records import RunRecord
from reports.blocks import Figure, Mark, Row, Section, Table
from reports.latex import MOST_ROWS, Latex, escape, latex

RUNS = [
    "whole_run", "half_run", "nothing_yet", "one_model", "not_measured", "all_failed",
    "hostile_run",
]  # fmt: skip


def page(*rows: Row, columns=("M0",), title="Examiner", note="") -> str:
    return latex([Section("Measurements", (Table(title, columns, rows, note),))])


def test_a_figure_stands_with_its_interval_below():
    text = page(Row("score", (Figure(-0.463, -0.617, -0.313, 3, True),), (300,), (2,)))
    assert "\\stack{$-0.463$\\\\\\scriptsize$[-0.617, -0.313]$} & 300 & 2 \\\\" in text
    assert "\\caption{Examiner}\\label{tab:examiner}" in text


def test_thousands_are_one_number_and_what_counts_is_bold():
    text = page(Row("length", (Figure(1552.0, places=0, tone="better"),)))
    assert "$\\mathbf{1{,}552}$" in text
    assert "\\textbf{holds}" in page(Row("M2 > M1", (Mark("holds", "better"),)))


def test_a_long_table_is_continued_and_every_label_is_its_own():
    rows = [Row(str(k), ("x",)) for k in range(MOST_ROWS + 1)]
    text = page(*rows)
    assert "\\caption{Examiner, continued}\\label{tab:examiner-2}" in text
    assert text.count("\\begin{table}") == text.count("\\bottomrule") == 2


def test_a_wide_table_has_a_wide_page():
    narrow, wide = (
        page(Row("score", (Figure(0.5, 0.4, 0.6),) * n), columns=("M1",) * n) for n in (3, 12)
    )
    widths = [float(re.search(r"paperwidth=([\d.]+)cm", text)[1]) for text in (narrow, wide)]
    assert widths[0] == 21.0 < widths[1]


def test_nothing_to_tabulate_is_a_sentence():
    assert "No table: there is nothing to tabulate." in latex([])


@pytest.mark.parametrize(
    ("text", "means"),
    [
        (r"\input{/etc/passwd}", r"\textbackslash{}input\{/etc/passwd\}"),
        ("50 % & $x_1^2$ #1 ~", r"50 \% \& \$x\_1\textasciicircum{}2\$ \#1 \textasciitilde{}"),
        ("a--b ,,c", "a-{}-b ,{},c"),
        ("1\N{EN DASH}3", "1--3"),
        ("é 中", r"é \uni{4E2D}"),
    ],
)
def test_text_means_itself(text, means):
    assert escape(text) == means


@given(st.text(max_size=80))
def test_escaped_text_holds_no_command_but_ours(text):
    found = set(re.findall(r"\\([a-zA-Z]+|.)", escape(text)))
    assert found <= {
        "textbackslash", "textasciicircum", "textasciitilde", "textless", "textgreater",
        "textbar", "textquotedbl", "textquotesingle", "textasciigrave", "ldots",
        "textperiodcentered", "allowbreak", "rightarrow", "times", "hookleftarrow", "uni",
        "{", "}", "$", "&", "#", "%", "_",
    }  # fmt: skip
    bare = re.sub(r"\\.", "", escape(text))
    assert bare.count("{") == bare.count("}")
    assert not set("&#%_^~") & set(bare)


@pytest.mark.parametrize("name", RUNS)
def test_the_same_record_gives_the_same_bytes(name, request, tmp_path):
    record = request.getfixturevalue(name)
    again = RunRecord.model_validate_json(record.model_dump_json())
    first = Latex(Latex.Config()).render(record, tmp_path).read_bytes()
    assert Latex(Latex.Config()).render(again, tmp_path).read_bytes() == first
    assert first.count(b"\\begin{") == first.count(b"\\end{")


@pytest.mark.parametrize("engine", ["pdflatex", "xelatex"])
@pytest.mark.parametrize("name", ["whole_run", "hostile_run", "nothing_yet"])
def test_it_compiles(name, engine, request, tmp_path):
    if shutil.which(engine) is None:
        pytest.skip(f"{engine} is not installed")
    path = Latex(Latex.Config()).render(request.getfixturevalue(name), tmp_path)
    done = subprocess.run(
        [engine, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", path.name],
        cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-1500:]
