"""Marks of a judge on a server are made beside answers and trainings, and nothing else changes."""

import io
import signal
import threading
from collections import Counter
from functools import partial
from itertools import count

import pytest
from rich.console import Console

from example_plugin import Renaming
from harness import status
from harness.audience import Silent
from harness.beside import Beside, Halt
from harness.config import RunConfig
from harness.engines.scripted import Scripted, prompt_text
from harness.errors import BudgetExceeded, CollapseError, JudgeUnavailable
from harness.metering import Meter
from harness.records import Stage
from harness.run import run, stages
from harness.store import Store
from tests.judge_server import JudgeServer
from tests.test_kill import Killer, attempt

SECOND = 1
"""The seed of the second evaluation, by which its requests are told."""
EVALUATIONS = [
    "politeness",
    {"name": "examiner", "limit": 3, "rubric": "five_points"},
    {"name": "head_to_head", "limit": 3, "seed": SECOND, "rubric": "compare", "against": "all"},
]
JUDGE = {"engine": "scripted", "model": {"name": "judge", "location": "script"}}


def request(iterations=1, **changes):
    table = {
        "model": {"location": "script"},
        "iterations": iterations,
        "engine": "scripted",
        "trainer": "renaming",
        "evaluations": EVALUATIONS,
        "judge": JUDGE,
        "reports": [],
    }
    return RunConfig.model_validate(table | changes)


class Script:
    """What models and judge say, and what a test does meanwhile."""

    def __init__(self):
        self.asked = Counter()
        self.answering = self.judging = lambda request: None

    def __call__(self, ref, request, index):
        self.asked[ref.name, request.id, request.sampling.seed, request.prompt] += 1
        if ref.name != "judge":
            self.answering(request)
            return f"{ref.name} says please."
        self.judging(request)
        text = prompt_text(request.prompt)
        return "Better: A" if "Better:" in text else f"Score: {len(request.id) % 6}"


@pytest.fixture
def local(monkeypatch):
    """Have models and judge follow one script."""
    script = Script()
    plain = Scripted.__init__
    monkeypatch.setattr(Scripted, "__init__", lambda self, config: plain(self, config, script))
    return script


@pytest.fixture
def script(monkeypatch, local):
    """Have the judge be on a server, as far as the run can tell."""

    class Distant(Scripted):
        keep_books = accept = lambda *_: None
        check = lambda *_: None  # noqa: E731
        cost = lambda *_: "nothing"  # noqa: E731

    monkeypatch.setattr("harness.engines.scripted.Scripted", Distant)
    return local


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "run")


@pytest.fixture
def halted(monkeypatch):
    """Happens when a mark has ended the run, or the run the marks."""
    event, pull = threading.Event(), Halt.pull

    def pulled(halt, why):
        pull(halt, why)
        event.set()

    def ends(beside, name, value):
        object.__setattr__(beside, name, value)
        if name == "unwanted" and value:
            event.set()

    monkeypatch.setattr(Halt, "pull", pulled)
    monkeypatch.setattr(Beside, "__setattr__", ends)
    return event


def once(do):
    """Do something the first time only."""
    times = count()
    return lambda *_: do() if next(times) == 0 else None


def evaluations(record):
    return [stage.evaluations for stage in record.stages]


def nobody_is_left():
    return not [thread for thread in threading.enumerate() if thread.name == "beside"]


def test_an_evaluation_is_marked_while_the_model_answers_the_next(script, store):
    meet = threading.Barrier(2, timeout=60)
    script.judging = once(meet.wait)
    first = once(meet.wait)
    script.answering = lambda request: request.sampling.seed == SECOND and first()
    run(request(0), store)
    assert meet.broken is False


def test_a_model_is_marked_while_the_next_ones_are_trained(script, store, monkeypatch):
    trained = threading.Event()
    script.judging = lambda request: trained.wait(60)
    plain, seen = Renaming.improve, []
    console = Console(file=io.StringIO(), width=100)

    def improve(trainer, model, iteration, workspace):
        seen.append([str(stage) for stage in stages(2) if store.stage_result(stage)])
        status.show(store, console)
        if iteration == 2:
            trained.set()
        return plain(trainer, model, iteration, workspace)

    monkeypatch.setattr(Renaming, "improve", improve)
    record = run(request(2), store)
    assert seen == [[], ["01-train"]], "nothing is marked, and what is trained is kept"
    said = console.file.getvalue()
    assert "1/5  00-evaluate  answered" in said
    assert "2/5  01-train     under way" in said
    assert "3/5  01-evaluate  answered" in said
    assert "4/5  02-train     under way" in said
    assert all(stage.finished for stage in record.stages)
    assert len(record.stages) == 5


def test_a_run_that_stops_by_itself_ends_its_marks_first(script, store, monkeypatch):
    collapsed, said = threading.Event(), []
    script.judging = lambda request: collapsed.wait(60)

    class Listening(Silent):
        def note(self, text):
            said.append(text)
            collapsed.set()

    def improve(*_):
        raise CollapseError("M0 cannot judge")

    monkeypatch.setattr(Renaming, "improve", improve)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.run.Bench.check_engines", lambda *_: None)
        with pytest.raises(CollapseError, match="M0 cannot judge"):
            run(request(1), store, Listening())
    assert said == ["marks are finished, then the run stops: M0 cannot judge"]
    record = store.record()
    assert record.stopped == "M0 cannot judge"
    assert record.stages[0].finished
    assert len(record.stages[0].evaluations) == 3
    assert nobody_is_left()


def test_a_judge_in_the_process_waits_for_its_turn(local, store):
    ended = []
    local.answering = lambda request: ended.append(request.sampling.seed)
    local.judging = lambda request: ended.append("judge")
    run(request(0), store)
    assert ended.index("judge") == len([one for one in ended if one != "judge"])


def test_a_model_that_has_answered_is_not_opened_again(local, store, monkeypatch):
    def fail(request):
        raise JudgeUnavailable("it is gone")

    local.judging = fail
    with pytest.raises(JudgeUnavailable):
        run(request(0), store)
    opened, plain = [], Scripted.open
    monkeypatch.setattr(
        Scripted, "open", lambda engine, model: (opened.append(model.name), plain(engine, model))[1]
    )
    local.judging = lambda request: None
    record = run(request(0), store)
    assert opened == ["judge"]
    assert record.stages[0].model.fingerprint, "it is as exact as when it was open"

    other = Store(store.folder.with_name("other"))
    local.judging = fail
    with pytest.raises(JudgeUnavailable):
        run(request(0), other)
    local.judging = lambda request: None
    (other.stage_folder(Stage(iteration=0, kind="evaluate")) / "M0" / "examiner.jsonl").unlink()
    opened.clear()
    assert evaluations(run(request(0), other)) == evaluations(record)
    assert opened == ["M0", "judge"], "answers that are gone are given again"


@pytest.mark.parametrize("iterations", [0, 2])
def test_results_are_those_of_a_judge_in_the_process(iterations, script, store, tmp_path):
    here = evaluations(run(request(iterations), store))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.engines.scripted.Scripted", Scripted)
        there = evaluations(run(request(iterations), Store(tmp_path / "local")))
    assert here == there
    if iterations:
        games = [m.against for m in here[-1][-1].metrics if m.name == "win"]
        assert games == ["M0", "SFT", "M1"], "all that were measured before, oldest first"


def test_iterations_may_grow_and_nothing_is_asked_twice(script, store, tmp_path):
    run(request(1), store)
    grown = run(request(2), store)
    assert set(script.asked.values()) == {1}
    assert evaluations(grown) == evaluations(run(request(2), Store(tmp_path / "whole")))


def test_another_judge_marks_the_same_answers(script, store, tmp_path):
    first = run(request(1), store)
    script.asked.clear()
    again = run(
        request(1, judge=JUDGE | {"model": {"name": "judge", "location": "another"}}),
        Store(tmp_path / "again"),
        answers_from=store,
    )
    assert {name for name, *_ in script.asked} == {"judge"}
    assert [len(stage) for stage in evaluations(again)] == [len(s) for s in evaluations(first)]


@pytest.mark.parametrize("error", [BudgetExceeded("$5 are spent"), JudgeUnavailable("it is gone")])
def test_a_mark_that_fails_stops_the_run_at_the_next_row(error, script, store, halted):
    def fail():
        raise error

    script.judging = lambda request: fail() if request.id.endswith(third) else None
    rows = [row.id for row in _examiner().prompts.rows]
    third = rows[2]
    first = once(partial(halted.wait, 60))
    script.answering = lambda request: request.sampling.seed == SECOND and first()
    with pytest.raises(type(error), match=str(error).replace("$", r"\$")):
        run(request(1), store)
    assert store.record().stopped == str(error)
    assert nobody_is_left()
    answered = [key for key in script.asked if key[2] == SECOND]
    assert len(answered) == 1, "the row under way is the last one"
    script.judging = script.answering = lambda request: None
    record = run(request(1), store)
    assert record.stopped is None
    again = {key[:2] for key, times in script.asked.items() if times > 1}
    assert again == {("judge", f"verdict/{third}")}, "only what failed is asked again"


def _examiner():
    from evals.examiner import Examiner  # noqa: PLC0415

    return Examiner(Examiner.Config(limit=3, rubric="five_points"))


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_of_the_model_ends_the_marks_under_way(error, script, store, halted):
    meet = threading.Barrier(2, timeout=60)

    def judge():
        meet.wait()
        halted.wait(60)

    def fail():
        meet.wait()
        raise error

    script.judging, first = once(judge), once(fail)
    script.answering = lambda request: request.sampling.seed == SECOND and first()
    with pytest.raises(error):
        run(request(1), store)
    assert nobody_is_left()
    assert [name for name, *_ in script.asked].count("judge") == 1
    script.answering = lambda request: None
    whole = run(request(1), store)
    assert [len(stage) for stage in evaluations(whole)] == [3, 0, 6]
    lost = {key for key, times in script.asked.items() if times > 1}
    assert {name for name, *_ in lost} == {"M0"}, "what was judged is not judged again"


def test_a_judge_that_is_unavailable_lets_a_training_end(script, store, monkeypatch, halted):
    said = []

    class Listening(Silent):
        def note(self, text):
            said.append(text)

    def fail():
        raise JudgeUnavailable("it is gone")

    plain = Renaming.improve

    def improve(trainer, model, iteration, workspace):
        made = plain(trainer, model, iteration, workspace)
        assert halted.wait(60)
        workspace.progress("train", 1, 2)  # which goes on
        return made

    began = threading.Event()
    script.judging = lambda request: began.wait(60) and fail()
    monkeypatch.setattr(Renaming, "improve", lambda *given: (began.set(), improve(*given))[1])
    with pytest.raises(JudgeUnavailable, match="it is gone"):
        run(request(1), store, Listening())
    assert said[-1] == "the run stops as soon as nothing is lost by it: it is gone"


def test_ctrl_c_ends_calls_that_are_under_way(local, store):
    """The server hangs for longer than the test may take."""

    interrupt = once(lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGINT))

    def trouble(body, nth):
        if len(body["messages"][-1]["content"]) < 100:
            return None  # the check before the run
        interrupt()
        return "hang"

    with JudgeServer(lambda body: "Score: 3", trouble=trouble, hang=3600) as server:
        engine = {"name": "openai", "base_url": server.url, "calls": {"timeout": 3600}}
        judge = {"engine": engine, "model": {"name": "judge", "location": "judge"}}
        with pytest.raises(KeyboardInterrupt):
            run(request(0, judge=judge), store)
        assert nobody_is_left()
        server.trouble = lambda body, nth: None
        record = run(request(0, judge=judge), store)
    assert len(evaluations(record)[0]) == 3


def test_seconds_of_a_whole_run_add_up_to_the_clocks(script, store, monkeypatch):
    clock, lock = [0.0], threading.Lock()

    def takes(seconds):
        def advance(request):
            with lock:
                clock[0] += seconds

        return advance

    script.answering, script.judging = takes(1), takes(10)
    monkeypatch.setattr("harness.run.Meter", partial(Meter, clock=lambda: clock[0]))
    record = run(request(2), store)
    costs = [cost for stage in record.stages for cost in stage.costs.values()]
    assert sum(cost.seconds for cost in costs) == clock[0]
    judged = sum(times for (name, *_), times in script.asked.items() if name == "judge")
    marks = [c for s in record.stages for name, c in s.costs.items() if name.endswith("/mark")]
    assert sum(cost.seconds + cost.beside for cost in marks) >= 10 * judged
    assert sum(cost.rows for cost in marks) == judged
    own = [c for s in record.stages for name, c in s.costs.items() if name.count("/") == 1]
    answered = sum(times for (name, *_), times in script.asked.items() if name != "judge")
    assert sum(cost.rows for cost in own) == answered


def test_killed_anywhere_a_run_ends_as_if_it_never_was(script, tmp_path, monkeypatch):
    monkeypatch.setattr("tests.test_kill.ROWS_BETWEEN_KILLS", 12)
    monkeypatch.setattr("harness.run.Bench.check_engines", lambda *_: None)  # it rehearses
    whole = run(request(1), Store(tmp_path / "whole"))
    torn, visited = tmp_path / "torn", tmp_path / "visited"
    while not attempt(request(1), torn, Killer(visited)):
        pass
    assert evaluations(Store(torn).record()) == evaluations(whole)
    killed = visited.read_text()
    print(f"{len(killed.splitlines())} kills")
    for file in ("00-evaluate/M0/examiner.json", "01-train/stage.json", "00-evaluate/stage.json"):
        assert f"stages/{file}\n" in killed
