"""The vllm engine without vLLM: `tests/fake_vllm` stands in for it, in real processes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.engines import loaded_vllm, spreading
from harness.engines.vllm import VLLM
from harness.engines.vllm_process import running
from harness.errors import ConfigError, DataError, HarnessError
from harness.protocols import Continuation, Request, Sampling
from harness.records import ModelRef
from tests.fake_vllm import vllm as fake

SAMPLING = Sampling(n=2, temperature=0.8, max_tokens=6, seed=1)
PLAIN = [Request(f"row-{i}", (60 + i, 70, 80), SAMPLING) for i in range(5)]


@pytest.fixture(autouse=True)
def _quick(monkeypatch, fake_vllm, tmp_path):
    monkeypatch.setattr(spreading, "_BACKOFF", 0.001)
    monkeypatch.setattr("harness.engines.vllm_process._LOOK", 0.05)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def start(tiny_model, monkeypatch):
    """Open the tiny model, as an environment variable of the fake says."""

    def start(how=None, **config):
        if how:
            monkeypatch.setenv("FAKE_VLLM", how)
        return VLLM(VLLM.Config(**config)).open(ModelRef(location=str(tiny_model)))

    return start


def command(token, id="odd", **sampling):
    return Request(id, (token,), replace(SAMPLING, **sampling))


def rows(completions):
    return {(c.id, c.index): c for c in completions}


def logs(folder):
    return list(folder.glob("harness-vllm-*.log"))


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def gone(pid, seconds=5):
    for _ in range(seconds * 50):
        if not alive(pid):
            return True
        time.sleep(0.02)
    return False


def test_what_is_told_of_a_process_and_no_log_is_left(start, tmp_path):
    with start() as model:
        assert model.concurrent
        assert len(logs(tmp_path)) == 1
        assert "hello on the standard output" in logs(tmp_path)[0].read_text()
    assert logs(tmp_path) == []


def test_all_that_it_started_ends_with_it(start, tmp_path, monkeypatch):
    child = tmp_path / "child"
    monkeypatch.setenv(fake.CHILD, str(child))
    with start():
        pid = int(child.read_text())
        assert alive(pid)
    assert gone(pid)


PARENT = """
import json, os, sys, threading, time
from harness.engines.vllm_process import running
python, begin = sys.argv[1], json.loads(sys.argv[2])
with running(python, begin, os.environ, 300, threading.Event()):
    print("open", flush=True)
    time.sleep(600)
"""


def test_nothing_outlives_a_harness_that_is_killed(tiny_model, fake_vllm, tmp_path):
    child = tmp_path / "child"
    engine = {"model": str(tiny_model), "logprobs_mode": "raw_logprobs", "max_model_len": 97}
    begin = {"engine": engine, "on_cpu": {"dtype": "float32", "enforce_eager": True}}
    harness = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(fake_vllm), json.dumps(begin)],
        stdout=subprocess.PIPE,
        env=os.environ | {fake.CHILD: str(child), "TMPDIR": str(tmp_path)},
    )
    with harness:
        assert harness.stdout.readline() == b"open\n"
        pid = int(child.read_text())
        group = os.getpgid(pid)
        assert alive(group)
        harness.kill()
    assert gone(pid)
    assert gone(group)


def test_a_row_that_kills_the_process_fails_alone(start, tmp_path):
    with start() as model:
        found = rows(model.generate([*PLAIN[:2], command(fake.DIE), *PLAIN[2:]]))
        again = rows(model.generate(PLAIN))
    assert set(found) == {(r.id, i) for r in [*PLAIN, command(fake.DIE)] for i in range(2)}
    for key, completion in found.items():
        if key[0] == "odd":
            assert completion.failure.reason == "replica_lost"
        else:
            assert completion == again[key]
    assert logs(tmp_path)  # of the lost ones


def test_a_process_that_dies_once_costs_nothing_but_time(start, tmp_path, monkeypatch):
    monkeypatch.setenv(fake.ONCE, str(tmp_path / "once"))
    with start() as model:
        found = rows(model.generate([*PLAIN, command(fake.DIE_ONCE)]))
    assert len(found) == 12
    assert {c.failure for c in found.values()} == {None}


@pytest.mark.parametrize("who", ["vLLM's own", "the engine", "the guard"])
def test_a_killed_process_is_noticed_at_once(start, tmp_path, monkeypatch, who):
    child = tmp_path / "child"
    monkeypatch.setenv(fake.CHILD, str(child))
    with start() as model:
        first = int(child.read_text())
        parent = int(Path(f"/proc/{first}/stat").read_text().rpartition(")")[2].split()[1])
        killed = {"vLLM's own": first, "the engine": parent, "the guard": os.getpgid(first)}[who]
        threading.Timer(0.3, os.kill, (killed, signal.SIGKILL)).start()
        slow = command(fake.SLOW, n=1, max_tokens=40, temperature=0)
        [completion] = model.generate([slow])
        assert completion.failure is None
        assert gone(first)
        assert int(child.read_text()) != first


def test_a_process_that_hangs_is_given_up(start, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv(fake.ONCE, str(tmp_path / "once"))
    with start(stalled_after=2) as model:
        found = rows(model.generate([*PLAIN, command(fake.HANG_ONCE)]))
    assert len(found) == 12
    assert {c.failure for c in found.values()} == {None}
    assert "it has not said a word for" in caplog.text
    assert logs(tmp_path)


def test_a_process_that_is_slow_is_not(start):
    slow = command(fake.SLOW, n=1, max_tokens=60, temperature=0)
    with start(stalled_after=2) as model:
        [completion] = model.generate([slow])
    assert completion.failure is None


def test_an_error_of_vllms_is_told_with_the_log(start):
    with start() as model:
        [completion] = model.generate([command(fake.RAISE, n=1)])
    assert "RuntimeError: CUDA error: an illegal memory access" in completion.failure.detail
    assert "harness-vllm-" in completion.failure.detail


def test_a_request_that_vllm_refuses_fails_alone(start):
    refused = Continuation("odd", (fake.REFUSE,), (60,))
    with start() as model:
        found = rows(model.generate([command(fake.REFUSE), *PLAIN]))
        [score] = model.loglikelihood([refused])
    reasons = {id: c.failure and c.failure.reason for (id, _), c in found.items()}
    assert reasons == {"odd": "refused"} | {f"row-{i}": None for i in range(5)}
    assert "out of vocabulary" in found["odd", 0].failure.detail
    assert score.failure.reason == "refused"


def test_outputs_that_are_no_numbers_are_an_error(start):
    with start() as model, pytest.raises(DataError, match="training has diverged"):
        list(model.generate([command(fake.NAN, logprobs=True)]))


def test_what_is_not_wanted_any_more_is_dropped(start):
    slow = [command(fake.SLOW, id=f"slow-{i}", n=1, max_tokens=80) for i in range(30)]
    with start() as model:
        began = time.monotonic()
        next(iter(model.generate([*PLAIN, *slow])))
        assert len(rows(model.generate(PLAIN))) == 10
        assert time.monotonic() - began < 20  # all slow rows take 30 * 0.05 s a token


def test_several_threads_ask_at_once(start, monkeypatch):
    monkeypatch.setattr(loaded_vllm, "IN_FLIGHT", 6)
    monkeypatch.setattr(loaded_vllm, "_AT_ONCE", 2)
    sampling = replace(SAMPLING, logprobs=True, top_logprobs=2)
    asked = [Request(f"row-{i}", (60 + i, 70), sampling) for i in range(20)]
    scored = [Continuation(f"row-{i}", (60 + i, 70), (71, 72)) for i in range(20)]
    with start() as model:
        alone = rows(model.generate(asked))
        scores = {s.id: s for s in model.loglikelihood(scored)}
        found = {}

        def ask(thread):
            # Likeliest tokens and named ones may not meet in one batch: the fake spoils them.
            if thread % 2:
                found[thread] = rows(model.generate(asked))
            else:
                found[thread] = {s.id: s for s in model.loglikelihood(scored)}

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(alone) == 40
    assert all(found[i] == (alone if i % 2 else scores) for i in range(6))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("no memory", "Free memory on device .*; give the engine's options `gpu_memory` another"),
        ("asserts", "assert found == wanted; its log says more"),
        ("dies", "it ended without a word; its log says more"),
        ("hangs", "it has not said a word for"),
    ],
)
def test_a_start_that_fails_is_one_line_with_the_log(start, how, said):
    with (
        pytest.raises(ConfigError, match=f"^vLLM does not start with /.*: .*{said}.*harness-vllm-"),
        start(how, stalled_after=0.5 if how == "hangs" else 300),
    ):
        pass


def test_a_model_that_cannot_be_asked_is_an_error_at_once(start, monkeypatch):
    def try_out(self):
        list(self.generate([command(fake.RAISE, n=1)]))

    monkeypatch.setattr(loaded_vllm.LoadedVLLM, "try_out", try_out)
    with pytest.raises(ConfigError, match="illegal memory access"), start():
        pass


def test_a_replica_that_cannot_start_again_is_tried_again(start, tmp_path, monkeypatch):
    monkeypatch.setenv(fake.ONCE, str(tmp_path / "once"))
    monkeypatch.setenv(fake.BUSY, str(tmp_path / "busy"))
    with start() as model:
        (tmp_path / "busy").touch()  # the dead one's memory is not free yet
        [completion] = model.generate([command(fake.DIE_ONCE, n=1)])
    assert completion.failure is None
    assert not (tmp_path / "busy").exists()


def test_an_interrupted_start_is_not_waited_for(start, tmp_path, monkeypatch):
    child = tmp_path / "child"
    monkeypatch.setenv(fake.CHILD, str(child))

    def interrupt():
        while not child.exists() or not child.read_text():
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), start("hangs"):
        pass
    assert time.monotonic() - began < 10
    assert gone(int(child.read_text()))
    assert logs(tmp_path) == []


def test_rows_under_way_are_not_waited_for_when_it_is_closed(start, tmp_path):
    slow = command(fake.SLOW, n=1, max_tokens=80, temperature=0)
    with start() as model, pytest.raises(KeyboardInterrupt):
        began = time.monotonic()
        threading.Timer(
            0.5, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)
        ).start()
        list(model.generate([slow]))
    assert time.monotonic() - began < 4
    assert logs(tmp_path) == []


@pytest.mark.parametrize("said", ["nonsense", "[1, 2]", '{"ready"'])
def test_whoever_does_not_speak_the_protocol_is_given_up(said, tmp_path):
    worker = tmp_path / "worker.py"
    worker.write_text(f"import time\nprint({said!r}, flush=True)\ntime.sleep(600)\n")
    with (
        pytest.raises(HarnessError, match="vLLM does not start"),
        running(
            sys.executable,
            {"engine": {"model": "m"}},
            dict(os.environ),
            0.5,
            threading.Event(),
            worker,
        ),
    ):
        pass
