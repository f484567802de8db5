import io

import pytest
from rich.console import Console

from harness import view
from harness.overview import OTHER, Left, Overview
from harness.records import Bill, Cost, ModelRef, PartUnderWay, Stage, StageResult, UnderWay
from harness.run import stages

M0 = StageResult(
    stage=Stage(iteration=0, kind="evaluate"),
    model=ModelRef(location="l"),
    costs={"M0/examiner": Cost(seconds=12, failures={"no_score": 3, "truncated": 1})},
)
PART = PartUnderWay(
    name="train SFT",
    began=1000,
    done=25,
    total=100,
    cost=Cost(rows=25, new_tokens=500, failures={"no_score": 2}, ties=1),
)
NOW = UnderWay(
    process="1",
    stage=Stage(iteration=1, kind="train"),
    began=990,
    ended={"seeds": Cost(seconds=10)},
    part=PART,
)
BILL = Bill(model="m", host="h", calls={"ok": 3}, dollars=0.41)


def drawn(overview, width=80, lines=24):
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as capture:
        console.print(view.whole(overview, 1010, width, lines))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_the_whole_run_at_a_glance():
    first, second, third, blank, part, summary = drawn(
        Overview(stages(1), (M0,), NOW, bills=(BILL,))
    )
    assert first == "1/3  00-evaluate  done          0:12  M0  3 no_score, 1 truncated"
    assert second == "2/3  01-train     under way     0:20  1 part done: seeds"
    assert third == "3/3  01-evaluate  to come      ~0:12"
    assert blank == ""
    assert part.startswith("train SFT  ━━")
    assert part.endswith("25/100  50 tokens/s  0:10 elapsed  0:30 left")
    assert summary == "0:32 elapsed, over 0:42 left  $0.41  5 no_score, 1 truncated  1 tie"


def test_a_stage_that_is_done_says_what_it_took_beside_its_parts():
    loading = M0.model_copy(update={"costs": M0.costs | {OTHER: Cost(seconds=29)}})
    [line, *_] = drawn(Overview(stages(0), (loading,)), width=100)
    assert line.startswith(
        "1/1  00-evaluate  done          0:41  M0  0:29 loading and other  3 no_score"
    )


def test_the_parts_to_come_are_named():
    measuring = UnderWay(
        process="1",
        stage=Stage(iteration=0, kind="evaluate"),
        began=1000,
        to_come=("M0/b", "M0/\x1b[2Jc"),
    )
    [line, *_] = drawn(Overview(stages(0), (), measuring))
    assert line.endswith("0 parts done, 2 to come: M0/b, M0/ [2Jc")


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("lines", [5, 8, 24])
@pytest.mark.parametrize("iterations", [1, 12])
def test_every_line_stays_one_line_and_all_fit(width, lines, iterations):
    long = PART.model_copy(update={"name": "M1/an_evaluation_with_a_very_long_name/mark"})
    now = NOW.model_copy(update={"part": long})
    shown = drawn(Overview(stages(iterations), (M0,), now, bills=(BILL,)), width, lines)
    assert len(shown) <= max(lines, 6)
    assert all(len(line) <= width for line in shown)
    assert any("01-train" in line for line in shown)
    if width >= 40:
        assert any("25/100" in line for line in shown)


def test_of_many_stages_those_around_the_present_one_are_shown():
    shown = drawn(Overview(stages(12), (M0,), NOW), lines=9)
    assert "1/25  00-evaluate" in shown[0]
    assert shown[-4].strip() == "21 more to come"


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (Left(75, whole=True), "about 1:15 left"),
        (Left(75, whole=False), "over 1:15 left"),
        (Left(0, whole=False), "time left unknown"),
    ],
)
def test_an_estimate_says_what_it_is_worth(left, said):
    assert view.time_left(left) == said


@pytest.mark.parametrize(
    ("known", "unpriced", "said"),
    [
        (0, 0, ""),
        (12.345, 0, "$12.35"),
        (0.0042, 0, "$0.0042"),
        (1234.5, 2, "$1,234.50 and 2 calls of unknown cost"),
        (0, 7, "7 calls of unknown cost"),
        (0, 1, "1 call of unknown cost"),
    ],
)
def test_money_is_what_is_known_of_it(known, unpriced, said):
    assert view.money(known, unpriced) == said


def test_what_is_under_way_beside_has_a_line_and_a_stage_that_is_being_marked_says_so():
    marks = PartUnderWay(name="M0/examiner/mark", began=1000, done=3, total=12)
    now = NOW.model_copy(update={"beside": (marks,)})
    answered = M0.model_copy(update={"finished": False})
    shown = drawn(Overview(stages(1), (answered,), now, bills=(BILL,)))
    assert shown[0].startswith("1/3  00-evaluate  answered      0:12  M0")
    assert shown[4].startswith("train SFT  ━━")
    assert shown[5].startswith("M0/examiner/mark  ━━")
    assert shown[5].endswith("3/12  0:10 elapsed  0:30 left")
    assert "over" in shown[6]
