import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from reports.terminal import Terminal

RUNS = [
    "whole_run", "half_run", "nothing_yet", "one_model", "not_measured", "all_failed",
    "hostile_run",
]  # fmt: skip


def shown(record, width, **options) -> str:
    out = io.StringIO()
    Terminal(Terminal.Config()).show(record, Console(file=out, width=width, **options))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", RUNS)
def test_it_fits_the_width(name, width, request):
    text = shown(request.getfixturevalue(name), width)
    assert max(map(cell_len, text.splitlines())) <= width


@pytest.mark.parametrize("width", [80, 120, 200])
def test_no_figure_is_cut_at_any_usual_width(whole_run, width):
    text = shown(whole_run, width)
    assert "…" not in text
    for figure in ("4.19", "+0.370", "24.5", "0.890"):
        assert figure in text


def test_wide_tables_have_whole_intervals_in_a_line_and_narrow_ones_short_ones_below(whole_run):
    assert "4.19 [4.05, 4.34]" in shown(whole_run, 200)
    assert "[4.05, 4.34]" in shown(whole_run, 120)
    narrow = shown(whole_run, 80)
    assert "4.05\N{EN DASH}4.34" in narrow
    assert "n 90\N{EN DASH}120, failed 0\N{EN DASH}30" in narrow


def test_the_findings_stand_last(whole_run):
    text = shown(whole_run, 80)
    assert text.index("MEASUREMENTS") < text.index("WHAT IT SHOWS") < text.index("READ WITH CARE")


def test_better_is_green_where_there_is_colour(whole_run):
    coloured = shown(whole_run, 120, force_terminal=True, color_system="standard")
    assert re.search(r"\x1b\[32m *\+0\.370", coloured)
    assert not re.search(r"\x1b\[32m *\+0\.020", coloured)


def test_hostile_texts_neither_move_the_cursor_nor_use_markup(hostile_run):
    text = shown(hostile_run, 100)
    assert not {"\x1b", "\x00", "\u202e", "\r"} & set(text)
    assert "<script>" in text


@pytest.mark.parametrize("name", RUNS)
def test_the_file_is_plain_and_byte_stable_whatever_the_environment(
    name, request, tmp_path, monkeypatch
):
    record = request.getfixturevalue(name)
    terminal = Terminal(Terminal.Config())
    path = terminal.render(record, tmp_path)
    first = path.read_bytes()
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert terminal.render(record, tmp_path).read_bytes() == first
    assert path.name == "report.txt"
    assert b"\x1b" not in first
    assert not any(line.endswith(b" ") for line in first.splitlines())
