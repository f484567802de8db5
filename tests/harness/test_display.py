import io
import time

import pytest
from rich.console import Console

from harness.audience import Audience, Silent
from harness.audience import Display as DisplayProtocol
from harness.display import Display
from harness.overview import Position
from harness.records import Cost, ModelRef, Stage, StageResult
from harness.run import stages
from harness.store import Store

M0 = StageResult(
    stage=Stage(iteration=0, kind="evaluate"),
    model=ModelRef(location="l"),
    costs={"M0/examiner": Cost(seconds=12)},
)
FIRST = Position(plan=stages(3), done=(), stage=stages(3)[0])
TRAINING = Position(plan=stages(3), done=(M0,), stage=stages(3)[1])


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


def screen(display: Display, width: int = 100) -> str:
    """What stands at the bottom of the screen now."""
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as capture:
        console.print(display._render())
    return capture.get()


def test_it_is_what_the_run_loop_asks_for():
    display: DisplayProtocol = Display(console=Console(file=io.StringIO()))
    display.stage(FIRST)


def test_without_a_terminal_stages_and_finished_parts_are_lines():
    display, out, _ = plain()
    with display:
        display.stage(FIRST)
        display.stage(TRAINING)
        display.part("judge", beside=False)
        display.rows("judge", 1024, 1024, Cost(rows=1024, new_tokens=64_000))
        display.part_done(
            "judge",
            Cost(seconds=52.0, rows=1024, new_tokens=64_480, failures={"no_score": 3}, dollars=0.2),
        )
    first, second, part = out.getvalue().splitlines()
    assert first == "1/7 00-evaluate"
    assert second == "2/7 01-train  0:12 elapsed, over 0:36 left"
    figures = "judge 1,024 rows 64,480 tokens 1,240 tokens/s 52.0 s $0.20 3 no_score"
    assert " ".join(part.split()) == figures


def test_without_a_terminal_a_long_part_is_told_at_most_every_ten_seconds():
    display, out, clock = plain()
    with display:
        display.part("judge", beside=False)
        for row in range(1, 121):
            clock.now += 0.25
            display.rows("judge", row, 160, Cost(rows=row, new_tokens=125 * row))
    lines = out.getvalue().splitlines()
    assert [line.split()[1] for line in lines] == ["40/160", "80/160", "120/160"]
    assert "500 tokens/s" in lines[0]
    assert "0:10 elapsed  0:30 left" in lines[0]
    assert "\x1b" not in out.getvalue()


def test_a_part_without_rows_prints_only_its_time():
    display, out, _ = plain()
    display.part("sft", beside=False)
    display.part_done("sft", Cost(seconds=3723.0))
    assert out.getvalue().split() == ["sft", "1:02:03"]


def test_on_a_terminal_the_whole_run_stands_at_the_bottom():
    display, _, clock = terminal()
    assert screen(display) == "...\n"
    display.stage(TRAINING)
    display.part("judge", beside=False)
    clock.now += 20
    display.rows("judge", 100, 400, Cost(rows=100, new_tokens=5_000))
    shown = screen(display)
    for said in ("00-evaluate  done", "01-train     under way", "03-evaluate  to come", "0:32"):
        assert said in shown
    for said in ("judge", "100/400", "250 tokens/s", "1:00 left"):
        assert said in shown


def test_rows_that_an_earlier_attempt_left_do_not_shorten_the_time_left():
    display, _, clock = terminal()
    display.stage(TRAINING)
    display.part("train", beside=False)
    display.rows("train", 300, 400, Cost())
    clock.now += 10
    display.rows("train", 310, 400, Cost())
    assert "1:30 left" in screen(display)


def test_an_unknown_total_shows_no_time_left_of_the_part():
    display, _, clock = terminal()
    display.stage(FIRST)
    display.part("prompts", beside=False)
    clock.now += 5
    display.rows("prompts", 7, None, Cost(rows=7, new_tokens=70))
    assert "7  14 tokens/s  0:05 elapsed\n" in screen(display)
    assert "time left unknown" in screen(display)


def test_money_is_read_from_the_ledger_as_it_grows(tmp_path):
    clock = Clock()
    display = Display(Store(tmp_path), Console(file=io.StringIO()), clock)
    display.stage(FIRST)
    assert "$" not in screen(display)
    books = Store(tmp_path).books
    books.mkdir()
    line = (
        '{"time": "t", "call": "c", "host": "h", "model": "m", "status": "ok", "attempt": 1, '
        '"seconds": 1, "dollars": 1.5}\n'
    )
    (books / "ledger.jsonl").write_text(line * 2)
    assert "$" not in screen(display)  # it is not looked up at every drawing
    clock.now += 10
    assert "$3.00" in screen(display)


def test_notes_stay_and_can_neither_move_the_cursor_nor_use_markup():
    display, out, _ = plain()
    display.note("[red]verdict\x1b[2J was\n\u202eodd[/red]")
    assert out.getvalue() == "! [red]verdict [2J was  odd[/red]\n"


def test_on_a_terminal_finished_parts_stay_above_the_live_view():
    display, out, _ = terminal()
    with display:
        display.stage(FIRST)
        display.part("M0/examiner", beside=False)
        display.rows("M0/examiner", 3, 3, Cost(rows=3, new_tokens=30))
        display.part_done("M0/examiner", Cost(seconds=1.0, rows=3, new_tokens=30))
    assert "1/7 00-evaluate" in out.getvalue()
    assert "30 tokens/s" in out.getvalue()


def test_an_error_gives_the_terminal_back():
    display, out, _ = terminal()
    with pytest.raises(KeyboardInterrupt), display:
        display.part("judge", beside=False)
        raise KeyboardInterrupt
    assert out.getvalue().count("\x1b[?25h") == 1, "the cursor is shown again"


def test_what_breaks_in_a_drawing_is_shown_in_its_place(monkeypatch):
    display, _, _ = terminal()
    display.stage(FIRST)
    monkeypatch.setattr("harness.view.whole", lambda *_: 1 / 0)
    assert "the display broke (ZeroDivisionError" in screen(display)


def test_a_terminal_that_is_gone_stops_nothing(caplog):
    class Gone(io.StringIO):
        def write(self, text):
            raise OSError("input/output error")

    told = []

    class Listening(Silent):
        def note(self, text):
            told.append(text)

    with Display(console=Console(file=Gone(), force_terminal=False)) as display:
        audience = Audience(display, Listening())
        audience.note("one")
        audience.stage(FIRST)
        audience.note("two")
    assert told == ["one", "two"]
    assert [record.message for record in caplog.records] == [
        "a display broke and is left out from here on"
    ]


@pytest.mark.parametrize("make", [plain, terminal])
def test_telling_a_row_costs_microseconds(make):
    display, _, _ = make()
    display._clock = time.time
    display.part("judge", beside=False)
    cost, begun = Cost(rows=1), time.perf_counter()
    for row in range(20_000):
        display.rows("judge", row, 20_000, cost)
    each = (time.perf_counter() - begun) / 20_000
    assert each < 20e-6


def test_what_went_on_beside_says_for_how_long():
    display, out, clock = plain()
    display.stage(TRAINING)
    display.part("M0/examiner/mark", beside=True)
    display.part("train M1", beside=False)
    clock.now += 11
    display.rows("train M1", 5, 20, Cost())
    display.rows("M0/examiner/mark", 30, 60, Cost(rows=30, new_tokens=110))
    display.part_done("M0/examiner/mark", Cost(seconds=2, beside=20, rows=60, new_tokens=220))
    _, train, mark, done = (" ".join(line.split()) for line in out.getvalue().splitlines())
    assert train == "train M1 5/20 0:11 elapsed"
    assert mark.startswith("M0/examiner/mark 0")
    assert done == "M0/examiner/mark 60 rows 220 tokens 10 tokens/s 2.0 s 20.0 s beside"
