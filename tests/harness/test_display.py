import io
import time

import pytest
from rich.console import Console

from harness.display import Display
from harness.metering import Display as DisplayProtocol
from harness.records import Cost


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def plain(width: int = 100) -> tuple[Display, io.StringIO, Clock]:
    """A display without a terminal."""
    out, clock = io.StringIO(), Clock()
    return Display(None, Console(file=out, width=width, force_terminal=False), clock), out, clock


def terminal(width: int = 100) -> tuple[Display, io.StringIO, Clock]:
    """A display on a terminal."""
    out, clock = io.StringIO(), Clock()
    console = Console(
        file=out,
        width=width,
        height=20,
        force_terminal=True,
        color_system=None,
        _environ={"TERM": "xterm"},  # the tests' own terminal may be a dumb one
    )
    return Display(None, console, clock), out, clock


def last_line(display: Display, width: int = 100) -> str:
    """What stands on the last line of the screen now."""
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as capture:
        console.print(display._render())
    return capture.get()


def test_it_is_what_the_run_loop_asks_for():
    display: DisplayProtocol = Display(console=Console(file=io.StringIO()))
    display.stage("00-evaluate", 1, 7)


def test_without_a_terminal_stages_and_finished_parts_are_lines():
    display, out, _ = plain()
    with display:
        display.stage("02-train", 4, 7)
        display.part("judge")
        display.rows(1024, 1024, 64_000)
        display.part_done(Cost(seconds=52.0, rows=1024, new_tokens=64_480))
    stage, part = out.getvalue().splitlines()
    assert stage == "4/7 02-train"
    assert part.split() == [
        "judge",
        "1,024",
        "rows",
        "64,480",
        "tokens",
        "1,240",
        "tokens/s",
        "52.0",
        "s",
    ]


def test_without_a_terminal_a_long_part_is_told_at_most_every_ten_seconds():
    display, out, clock = plain()
    with display:
        display.part("judge")
        for row in range(1, 121):
            clock.now += 0.25
            display.rows(row, 160, 125 * row)
    lines = out.getvalue().splitlines()
    assert [line.split()[1] for line in lines] == ["40/160", "80/160", "120/160"]
    assert "500 tokens/s" in lines[0]
    assert "0:10 elapsed  0:30 left" in lines[0]
    assert "\x1b" not in out.getvalue()


def test_a_part_without_rows_prints_only_its_time():
    display, out, _ = plain()
    display.part("sft")
    display.part_done(Cost(seconds=3723.0))
    assert out.getvalue().split() == ["sft", "1:02:03"]


def test_on_a_terminal_the_last_line_says_stage_part_rows_speed_and_time_left():
    display, _, clock = terminal()
    display.stage("02-train", 4, 7)
    display.part("M1/head_to_head")
    clock.now += 20
    display.rows(100, 400, 5_000)
    line = last_line(display)
    for said in ("4/7", "M1/head_to_head", "100/400", "250 tokens/s", "1:00 left"):
        assert said in line
    assert line.count("\n") == 1


@pytest.mark.parametrize("width", [40, 80])
def test_the_last_line_stays_one_line_however_narrow_the_terminal_is(width):
    display, _, clock = terminal(width)
    display.stage("02-train", 4, 7)
    display.part("M1/an_evaluation_with_a_very_long_name/mark")
    clock.now += 20
    display.rows(100, 400, 5_000)
    line = last_line(display, width)
    assert line.count("\n") == 1
    assert "100/400" in line


def test_rows_that_an_earlier_attempt_left_do_not_shorten_the_time_left():
    display, _, clock = terminal()
    display.part("train")
    display.rows(300, 400, 0)
    clock.now += 10
    display.rows(310, 400, 0)
    assert "1:30 left" in last_line(display)


def test_an_unknown_total_shows_no_time_left():
    display, _, clock = terminal()
    display.part("prompts")
    clock.now += 5
    display.rows(7, None, 70)
    line = last_line(display)
    assert "7  14 tokens/s  0:05 elapsed" in line
    assert "left" not in line


def test_notes_stay_and_can_neither_move_the_cursor_nor_use_markup():
    display, out, _ = plain()
    display.note("[red]verdict\x1b[2J was\n\u202eodd[/red]")
    assert out.getvalue() == "! [red]verdict [2J was  odd[/red]\n"


def test_on_a_terminal_finished_parts_stay_above_the_live_line():
    display, out, _ = terminal()
    with display:
        display.stage("00-evaluate", 1, 1)
        display.part("M0/examiner")
        display.rows(3, 3, 30)
        display.part_done(Cost(seconds=1.0, rows=3, new_tokens=30))
    assert "1/1 00-evaluate" in out.getvalue()
    assert "30 tokens/s" in out.getvalue()


def test_an_error_gives_the_terminal_back():
    display, out, _ = terminal()
    with pytest.raises(KeyboardInterrupt), display:
        display.part("judge")
        raise KeyboardInterrupt
    assert out.getvalue().count("\x1b[?25h") == 1, "the cursor is shown again"


@pytest.mark.parametrize("make", [plain, terminal])
def test_telling_a_row_costs_microseconds(make):
    display, _, _ = make()
    display._clock = time.monotonic
    display.part("judge")
    begun = time.perf_counter()
    for row in range(20_000):
        display.rows(row, 20_000, row * 40)
    each = (time.perf_counter() - begun) / 20_000
    assert each < 20e-6
