from contextlib import contextmanager

import pytest

from harness.engines.scripted import Scripted
from harness.judge import Judge, pairwise, pointwise
from harness.metering import KeptEngine, Meter, Silent
from harness.protocols import Request, Sampling, user
from harness.records import Cost, ModelRef
from harness.rows import RowLog


class Listening(Silent):
    def __init__(self):
        self.told = []

    def rows(self, title, done, total, cost):
        self.told.append((done, total, cost))

    @property
    def last(self):
        return self.told[-1]


@contextmanager
def part(meter, tmp_path, name="judge"):
    with meter.stage(lambda: RowLog(tmp_path / "costs.jsonl")), meter.part(name):
        yield


@pytest.fixture
def judged(tmp_path):
    """Has a scripted judge mark rows, and tells what was counted."""

    def mark(rubric, replies, rows):
        display = Listening()
        meter = Meter(display)
        script = Scripted(Scripted.Config(), reply=lambda ref, request, index: replies[index])
        engine = KeptEngine(script, meter)
        with part(meter, tmp_path), engine.open(ModelRef(location="script")) as model:
            list(Judge(rubric, model, Sampling(n=len(replies))).mark(rows))
        return display.last[2]

    return mark


def test_verdicts_that_cannot_be_read_are_counted_by_cause(judged):
    row = {"instruction": "Hi", "response": "Ho"}
    replies = ["Score: 3", "I like it", "Score: 9", "Fine."]
    cost = judged(pointwise("five_points"), replies, [("1", row), ("2", row)])
    assert cost.rows == 8
    assert cost.failures == {"no_score": 4, "out_of_range": 2}
    assert cost.ties == 0


def test_ties_are_counted_where_answers_are_compared(judged):
    row = {"instruction": "Hi", "output_1": "Ho", "output_2": "Hey"}
    cost = judged(pairwise("compare"), ["Better: tie", "Better: A", "both"], [("1", row)])
    assert (cost.ties, cost.failures) == (1, {"no_verdict": 1})


def test_a_row_that_failed_is_counted_once(tmp_path):
    display = Listening()
    meter = Meter(display)
    engine = KeptEngine(Scripted(Scripted.Config(default="Score: 3", context=40)), meter)
    with part(meter, tmp_path), engine.open(ModelRef(location="script")) as model:
        judge = Judge(pointwise("five_points"), model, Sampling(max_tokens=8))
        list(judge.mark([("1", {"instruction": "Hi", "response": "Ho"})]))
        list(model.generate([Request("1", user("Hi"), Sampling(max_tokens=8))]))
    assert display.last[2].failures == {"prompt_too_long": 1}


def test_what_a_part_tells_of_itself_goes_before_the_rows_it_asks(tmp_path):
    display = Listening()
    meter = Meter(display)
    with part(meter, tmp_path, "prompts"):
        meter.asked(8)
        meter.finished(3, 5)
        assert display.last[:2] == (1, 8)
        meter.progress("prompts", 20, 300)
        meter.finished(3, 5)
        meter.tied(2)
        assert display.last == (20, 300, Cost(rows=2, prompt_tokens=6, new_tokens=10, ties=2))


def test_money_is_charged_to_the_part_in_which_it_is_spent(tmp_path):
    bills = [
        {"a": Cost(dollars=9)},  # before it began
        {"a": Cost(dollars=0.5, unpriced=1), "": Cost(dollars=3)},
        {"b": Cost(dollars=7), "a": Cost(dollars=1)},
        {"b": Cost(dollars=0.25)},
    ]
    meter = Meter(Silent(), lambda: bills.pop(0))
    with meter.stage(lambda: RowLog(tmp_path / "costs.jsonl")):
        for name in ("a", "b"):
            with meter.part(name):
                pass
    with RowLog(tmp_path / "costs.jsonl") as log:
        assert [log["a#0"]["dollars"], log["a#0"]["unpriced"]] == [0.5, 1]
        assert log["b#0"]["dollars"] == 0.25


def test_a_model_stays_open_for_whoever_asks_by_its_exact_reference():
    engine = KeptEngine(Scripted(Scripted.Config()), Meter(Silent()))
    plain = ModelRef(name="M0", location="script")
    with engine.open(plain) as model:
        assert model.ref.chat_template == "scripted"
    with engine.open(model.ref) as again:
        assert again is model
    with engine.open(plain) as again:
        assert again is model
