import threading
from contextlib import contextmanager

import pytest

from harness import rows
from harness.audience import Silent
from harness.engines.scripted import Scripted
from harness.judge import Judge, pairwise, pointwise
from harness.metering import KeptEngine, Meter
from harness.protocols import Concurrent, Request, Sampling, user
from harness.records import Cost, ModelRef
from harness.remote.ledger import PART
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


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def kept(tmp_path):
    with RowLog(tmp_path / "costs.jsonl") as log:
        return {key.removesuffix("#0"): Cost.model_validate(row) for key, row in log.items()}


def test_a_second_is_charged_to_what_the_run_waits_for(tmp_path):
    clock = Clock()
    meter = Meter(Silent(), clock=clock)
    steps = [threading.Event() for _ in range(3)]

    def work(batches):
        next(batches)
        with meter.part("mark"):
            steps[0].set()
            assert steps[1].wait(60)
            clock.now += 5  # by now the stage waits for it
        assert next(batches, None) is None

    waits = meter.waiting

    @contextmanager
    def waiting():
        with waits():
            steps[1].set()
            yield

    meter.waiting = waiting
    with meter.stage(lambda: RowLog(tmp_path / "costs.jsonl")):
        clock.now += 1
        with meter.beside(work) as beside:
            beside.put(1)
            assert steps[0].wait(60)
            with meter.part("answers"):
                clock.now += 10
            clock.now += 2  # loading, say
        clock.now += 4
    assert kept(tmp_path) == {
        "answers": Cost(seconds=10),
        "mark": Cost(seconds=5, beside=12),
        "loading and other": Cost(seconds=7),
    }


def test_the_time_between_stages_belongs_to_the_next(tmp_path):
    clock = Clock()
    meter = Meter(Silent(), clock=clock)
    for seconds in (1, 2):
        clock.now += seconds
        with meter.stage(lambda: RowLog(tmp_path / "costs.jsonl")):
            clock.now += 10
    with RowLog(tmp_path / "costs.jsonl") as log:
        assert [row["seconds"] for row in log.values()] == [11, 12]


def test_rows_and_money_are_charged_to_the_part_of_the_thread_that_asks(tmp_path):
    bills = {}

    def spent():
        taken = dict(bills)
        bills.clear()
        return taken

    meter, display = Meter(Silent(), spent), Listening()
    meter._display = display
    meet = threading.Barrier(2, timeout=60)

    def work(batches):
        next(batches)
        with meter.part("mark"):
            bills[PART.get()] = Cost(dollars=2)
            meet.wait()
            meter.finished(1, 2)
            meter.failed("no_score")
            meet.wait()

    with (
        meter.stage(lambda: RowLog(tmp_path / "costs.jsonl")),
        meter.beside(work) as beside,
        meter.part("answers"),
    ):
        bills[PART.get()] = Cost(dollars=1)
        beside.put(1)
        meet.wait()
        meter.finished(10, 20)
        stray = threading.Thread(target=lambda: meter.tied(3))  # says nothing of a part
        stray.start()
        stray.join()
        meet.wait()
    costs = kept(tmp_path)
    plain = {"seconds": 0.0, "beside": 0.0}
    assert costs["answers"].model_copy(update=plain) == Cost(
        rows=1, prompt_tokens=10, new_tokens=20, ties=3, dollars=1
    )
    assert costs["mark"].model_copy(update=plain) == Cost(
        rows=1, prompt_tokens=1, new_tokens=2, failures={"no_score": 1}, dollars=2
    )


def test_what_has_gone_wrong_beside_stops_the_next_row_and_the_next_part(tmp_path):
    meter = Meter(Silent())
    engine = KeptEngine(Scripted(Scripted.Config()), meter)

    def work(batches):
        next(batches)
        raise ValueError("broken")

    with part(meter, tmp_path), engine.open(ModelRef(location="script")) as model:
        rows = model.generate([Request("1", user("Hi"), Sampling(n=3))])
        assert next(rows).index == 0
        beside = meter.beside(work)
        beside.put(1)
        with pytest.raises(ValueError, match="broken"):
            beside.wait()
        meter.progress("train", 1, 2)  # a training that is under way goes on
        with pytest.raises(ValueError, match="broken"):
            next(rows)
        with pytest.raises(ValueError, match="broken"):
            next(model.generate([Request("2", user("Hi"), Sampling())]))
        with pytest.raises(ValueError, match="broken"), meter.part("another"):
            pass


def test_a_model_tells_whether_several_threads_may_ask_it():
    class Slots:
        concurrent = True

        @contextmanager
        def open(self, model):
            with Scripted(Scripted.Config()).open(model) as loaded:
                loaded.concurrent = self.concurrent
                yield loaded

    ref = ModelRef(location="script")
    with KeptEngine(Slots(), Meter(Silent())).open(ref) as model:
        assert isinstance(model, Concurrent)
        assert model.concurrent
    with KeptEngine(Scripted(Scripted.Config()), Meter(Silent())).open(ref) as model:
        assert not model.concurrent


def test_what_is_forgotten_while_it_is_being_told_is_told_whole(monkeypatch):
    """Another thread may ask so much meanwhile that the memory is full."""
    monkeypatch.setattr("harness.metering.REMEMBERED", 2)
    engine = KeptEngine(Scripted(Scripted.Config()), Meter(Silent()))
    asked = [Request(str(k), user("Hi"), Sampling()) for k in range(2)]
    others = [Request(f"other {k}", user("Hi"), Sampling()) for k in range(2)]
    with engine.open(ModelRef(location="script")) as model:
        list(model.generate(asked))
        again = model.generate(asked)
        first = next(again)
        list(model.generate(others))
        assert [first.id, *(one.id for one in again)] == ["0", "1"]


def test_what_a_long_part_costs_is_kept_before_it_ends(tmp_path):
    now = [0.0]
    meter = Meter(Silent(), clock=lambda: now[0])
    log = tmp_path / "costs.jsonl"
    with part(meter, tmp_path):
        for _ in range(5):
            now[0] += 4.0
            meter.finished(prompt_tokens=1, new_tokens=2)
        kept = [Cost.model_validate(row) for row in rows.read(log).values()]
        assert sum(kept, Cost()) == Cost(seconds=12.0, rows=3, prompt_tokens=3, new_tokens=6)
        now[0] += 1.0
    kept = [Cost.model_validate(row) for row in rows.read(log).values()]
    assert sum(kept, Cost()) == Cost(seconds=21.0, rows=5, prompt_tokens=5, new_tokens=10)
