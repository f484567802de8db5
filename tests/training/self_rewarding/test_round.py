"""Candidates are judged while others are written where the model gains by it; the same come out."""

import json
import os
import signal
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from harness.audience import Silent
from harness.beside import Beside, Halt
from harness.data.examples import PromptRow
from harness.engines.scripted import Scripted
from harness.errors import CollapseError
from harness.judge import pointwise
from harness.metering import KeptEngine, Meter
from harness.protocols import Request, Workspace
from harness.records import Cost, ModelRef
from harness.rows import RowLog
from tests.training.self_rewarding.scripts import workspace
from training.self_rewarding import judging
from training.self_rewarding.guards import Watch
from training.self_rewarding.pairs import choose_pairs
from training.self_rewarding.round import Round
from training.self_rewarding.settings import SelfRewardingSettings

M1 = ModelRef(name="M1", location="any")
PROMPTS = [PromptRow(f"p{k}", f"What is {k}?") for k in range(6)]
LAST = PROMPTS[-1].id
SETTINGS = SelfRewardingSettings.model_validate(
    {
        "rubric": "five_points",
        "seeds": {"ift": "microworld:ift"},
        "sft": {"learning_rate": 1e-3},
        "dpo": {"learning_rate": 1e-3},
        "proposing": {"file": "microworld:prompts", "wanted": 6},
        "candidates": {"n": 3, "max_tokens": 64},
        "judging": {"n": 2, "max_tokens": 64},
    }
)


class Script:
    """An engine whose models say what follows, and may be asked by several threads."""

    light = False

    def __init__(self, concurrent: bool) -> None:
        self.asked: Counter[tuple[str, int]] = Counter()
        self.concurrent = concurrent
        self.writing = self.judging = lambda request: None
        self._scripted = Scripted(Scripted.Config(), self._say)

    @contextmanager
    def open(self, model: ModelRef):
        with self._scripted.open(model) as loaded:
            loaded.concurrent = self.concurrent
            yield loaded

    def _say(self, ref: ModelRef, request: Request, index: int) -> str:
        self.asked[request.id, index] += 1
        if "/" not in request.id:
            self.writing(request)
            return f"Answer {index if request.id != 'p3' else 0} to {request.id}"
        self.judging(request)
        return f"Well. Score: {(ord(request.id[1]) * (1 + ord(request.id[-1])) + index) % 6}"


def judged(engine, folder: Path, place: Workspace | None = None, guards=SETTINGS.guards):
    """Write and judge candidates; return them, and the pairs that they make."""
    place = place or workspace(folder, engine, M1)
    one = Round(SETTINGS, pointwise("five_points"), M1, 2, place)
    with place.engine.open(M1) as model:
        candidates, given = one.judged_candidates(model, PROMPTS, Watch(guards, "M1"))
    return candidates, given, choose_pairs(judging.by_prompt(PROMPTS, candidates, given))


def rows(folder: Path) -> dict[str, dict[str, object]]:
    found = {}
    for name in ("candidates", "verdicts"):
        with RowLog(folder / f"{name}.jsonl") as log:
            found[name] = dict(log)
    return found


def test_the_first_are_judged_before_the_last_are_written(tmp_path: Path) -> None:
    engine, judge_is_asked = Script(concurrent=True), threading.Event()
    engine.judging = lambda request: judge_is_asked.set()
    engine.writing = lambda request: request.id != LAST or _must(judge_is_asked.wait(60))
    judged(engine, tmp_path)
    assert judge_is_asked.is_set()


def _must(happened: bool) -> None:
    assert happened


def test_what_comes_out_is_the_same_as_one_after_the_other(tmp_path: Path) -> None:
    after = judged(Script(concurrent=False), tmp_path / "after")
    meanwhile = judged(Script(concurrent=True), tmp_path / "meanwhile")
    assert meanwhile == after
    assert list(meanwhile[1]) == list(after[1]), "in the same order"
    assert rows(tmp_path / "meanwhile") == rows(tmp_path / "after")
    assert after[2].pairs


def test_one_after_the_other_nothing_is_judged_before_all_is_written(tmp_path: Path) -> None:
    engine, order = Script(concurrent=False), []
    engine.writing = lambda request: order.append("write")
    engine.judging = lambda request: order.append("judge")
    judged(engine, tmp_path)
    assert order == sorted(order, reverse=True)


def test_what_is_ready_is_asked_for_together(tmp_path: Path) -> None:
    """Prompts that are written while the judge is busy are judged as one batch, each whole."""
    engine, written = Script(concurrent=True), threading.Event()
    batches, plain = [], judging.judge_candidates

    def noted(judge, prompts, candidates, log):
        batches.append(list(candidates))
        return plain(judge, prompts, candidates, log)

    engine.judging = lambda request: _must(written.wait(60))
    with pytest.MonkeyPatch.context() as patch, RowLog(tmp_path / "log.jsonl") as log:
        patch.setattr(judging, "judge_candidates", noted)
        place = workspace(tmp_path, engine, M1)
        one = Round(SETTINGS, pointwise("five_points"), M1, 2, place)
        with engine.open(M1) as model, place.beside(partial(_judge, one, model)) as beside:
            sampling = SETTINGS.candidates.sampling(0)
            judging.write_candidates(model, PROMPTS, sampling, log, beside.put)
            written.set()
    assert [key for batch in batches for key in batch] == [
        f"{row.id}/{k}" for row in PROMPTS for k in range(3)
    ]
    assert len(batches) <= 3
    assert all(len(batch) % 3 == 0 for batch in batches)


def _judge(one: Round, model, batches) -> None:
    one._judge(model, PROMPTS, batches)


@pytest.mark.parametrize("error", [RuntimeError("the judge broke"), KeyboardInterrupt()])
def test_an_error_on_either_side_ends_both_and_nothing_is_lost(tmp_path: Path, error) -> None:
    engine, broken = Script(concurrent=True), threading.Event()

    def fail(request: Request) -> None:
        if request.id == "p1/1":
            broken.set()
            raise error

    engine.judging = fail
    engine.writing = lambda request: request.id != LAST or _must(broken.wait(60))
    with pytest.raises(type(error)):
        judged(engine, tmp_path)
    assert not [thread for thread in threading.enumerate() if thread.name == "beside"]
    engine.judging = engine.writing = lambda request: None
    assert judged(engine, tmp_path) == judged(Script(False), tmp_path / "whole")

    other = Script(concurrent=True)
    other.writing = lambda request: request.id == LAST and fail(Request("p1/1", (), None))
    with pytest.raises(type(error)):
        judged(other, tmp_path / "other")
    assert not [thread for thread in threading.enumerate() if thread.name == "beside"]
    other.writing = lambda request: None
    assert judged(other, tmp_path / "other") == judged(Script(False), tmp_path / "whole")
    assert all(times == 1 or id == LAST for (id, _), times in other.asked.items())


def test_the_guard_on_answers_that_do_not_end_stops_the_judge_too(tmp_path: Path) -> None:
    engine, asked, stopped = Script(concurrent=True), threading.Event(), threading.Event()
    plain, endless = engine._say, "and " * 30

    def say(ref: ModelRef, request: Request, index: int) -> str:
        said = plain(ref, request, index)
        return said if "/" in request.id or request.id == "p0" else said + endless

    engine._scripted = Scripted(Scripted.Config(), say)
    engine.writing = lambda request: request.id != LAST or _must(asked.wait(60))
    engine.judging = lambda request: (asked.set(), stopped.wait(60))
    guards = SETTINGS.guards.model_copy(update={"least_verdicts": 10})
    halt = Halt()
    place = replace(
        workspace(tmp_path, engine, M1), beside=lambda work: Beside(work, halt, stopping)
    )

    @contextmanager
    def stopping():
        """Before the main path waits for the judge, let it go on."""
        stopped.set()
        yield

    with pytest.raises(CollapseError, match="does not end its answers: 3 of 18"):
        judged(engine, tmp_path, place, guards)
    assert not halt.pulled, "marks of earlier models go on"
    assert not [thread for thread in threading.enumerate() if thread.name == "beside"]


def test_each_part_is_charged_for_its_own_rows_and_each_second_once(tmp_path: Path) -> None:
    clock, lock = [0.0], threading.Lock()

    def takes(seconds: float):
        def advance(request: Request) -> None:
            with lock:
                clock[0] += seconds

        return advance

    engine = Script(concurrent=True)
    engine.writing, engine.judging = takes(1), takes(3)
    meter = Meter(Silent(), clock=lambda: clock[0])
    kept = KeptEngine(engine, meter)
    place = Workspace(tmp_path, kept, 0, (M1,), part=meter.part, beside=meter.beside)
    with meter.stage(lambda: RowLog(tmp_path / "costs.jsonl")):
        judged(engine, tmp_path, place)
    with RowLog(tmp_path / "costs.jsonl") as log:
        costs: dict[str, Cost] = {}
        for key, row in log.items():
            name = key.partition("#")[0]
            costs[name] = costs.get(name, Cost()) + Cost.model_validate(row)
    assert costs["candidates"].rows == 18
    assert costs["judge"].rows == 32, "the same answer comes three times, and is judged once"
    assert sum(cost.seconds for cost in costs.values()) == clock[0]
    assert costs["candidates"].seconds >= 18
    assert costs["judge"].seconds + costs["judge"].beside >= 96


def test_killed_at_any_row_both_logs_end_as_if_it_never_was(tmp_path: Path) -> None:
    judged(Script(concurrent=True), tmp_path / "whole")
    torn, append = tmp_path / "torn", RowLog.append
    attempts = 0
    while True:
        attempts += 1
        child = os.fork()
        if child == 0:
            left = [5]

            def torn_append(log, key, row, left=left):
                left[0] -= 1
                if left[0] == 0:
                    line = json.dumps({"key": key, "row": row}).encode()
                    os.write(log._file.fileno(), line[: len(line) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
                append(log, key, row)

            RowLog.append = torn_append
            try:
                judged(Script(concurrent=True), torn)
            except BaseException:  # noqa: BLE001 - the child must end here, whatever happened
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            break
    assert os.waitstatus_to_exitcode(status) == 0
    assert attempts > 4, "it was killed again and again"
    assert rows(torn) == rows(tmp_path / "whole")
