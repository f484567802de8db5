"""Trainings in two processes on the CPU, which talk by gloo."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch
from safetensors.torch import load_file

from harness.errors import ConfigError, DataError, HarnessError, StoreError
from harness.records import ModelRef
from training import launch
from training.dpo import DPO, PreferencePair, prefer
from training.job import Trained
from training.settings import IN_PROCESS, Launcher, LoRA
from training.sft import SFT, Example, fine_tune

TWO = Launcher(name="accelerate", processes=2)
SFT_SETTINGS = SFT(
    learning_rate=3e-3, batch_size=8, micro_batch_size=2, epochs=2, checkpoint_every=2
)
"""Six steps on 21 rows; the third and the sixth are on five, which two processes cannot halve."""
DPO_SETTINGS = DPO(learning_rate=3e-3, batch_size=4, epochs=2, nll_weight=0.3)
"""Eight steps on 13 pairs; the fourth and the eighth are on one, which leaves a process idle."""


def weights(trained: Trained) -> dict[str, torch.Tensor]:
    return load_file(Path(trained.model.location) / "model.safetensors")


def assert_equal(one: Trained, other: Trained) -> None:
    """Step by step, within what float32 loses when sums are taken in another order."""
    for curve in ("losses", "grad_norms"):
        assert [step for step, _ in one.metrics[curve]] == [s for s, _ in other.metrics[curve]]
        assert [value for _, value in one.metrics[curve]] == pytest.approx(
            [value for _, value in other.metrics[curve]], rel=1e-5
        )
    mine, theirs = weights(one), weights(other)
    assert set(mine) == set(theirs)
    for name in mine:
        torch.testing.assert_close(mine[name], theirs[name], rtol=1e-5, atol=2e-6)


def tune(
    m0: ModelRef,
    examples: list[Example],
    folder: Path,
    launcher: Launcher = IN_PROCESS,
    settings: SFT = SFT_SETTINGS,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Trained:
    return fine_tune(m0, examples[:21], settings, folder, "M1", 3, progress, launcher=launcher)


def please(
    m0: ModelRef,
    pairs: list[PreferencePair],
    folder: Path,
    launcher: Launcher = IN_PROCESS,
    settings: DPO = DPO_SETTINGS,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Trained:
    return prefer(m0, pairs[:13], settings, folder, "M2", 3, progress, launcher=launcher)


_BEFORE: set[int] = set()


@pytest.fixture(autouse=True)
def _other_tests_may_have_left_something() -> None:
    _BEFORE.clear()
    _BEFORE.update(one.pid for one in psutil.Process().children(recursive=True))


def launched() -> list[psutil.Process]:
    """What is left of what this test has started, but for Python's own helper."""
    left = []
    for one in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if one.pid not in _BEFORE and "resource_tracker" not in " ".join(one.cmdline()):
                left.append(one)
    return left


def workers() -> list[psutil.Process]:
    """The processes that train, of whatever parent."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if "training.worker" in (process.info["cmdline"] or [])
        and "accelerate.commands.launch" not in process.info["cmdline"]
    ]


def test_a_killed_worker_is_one_line_and_two_processes_equal_one(
    m0: ModelRef, examples: list[Example], tmp_path: Path
) -> None:
    alone = tune(m0, examples, tmp_path / "alone")

    def kill(what: str, done: int, total: int) -> None:
        if done == 3:
            mine = psutil.Process().children(recursive=True)
            [first, *_] = [one for one in mine if one in workers()]
            first.kill()

    with pytest.raises(HarnessError, match=r"process \d was killed \(signal 9\).*same command"):
        tune(m0, examples, tmp_path / "two", TWO, progress=kill)
    assert "Root Cause" in (tmp_path / "two" / "launch" / "log.txt").read_text()
    seen = []
    two = tune(
        m0, examples, tmp_path / "two", TWO, progress=lambda _, done, total: seen.append(done)
    )

    assert seen[0] in (3, 4, 5)  # how far it came before it was killed is a matter of luck
    assert seen[-1] == 6
    assert_equal(two, alone)
    assert [path.name for path in two.checkpoints] == ["step-00002", "step-00004", "step-00006"]
    assert two.metrics["processes"] == 2
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == [
        *("asked.json", "checkpoints", "trained.json", "weights")
    ]
    assert not launched()


def test_preferences_learnt_by_two_processes_equal_one(
    m0: ModelRef, pairs: list[PreferencePair], tmp_path: Path
) -> None:
    seen = []

    two = please(m0, pairs, tmp_path / "two", TWO, progress=lambda *told: seen.append(told))

    alone = please(m0, pairs, tmp_path / "alone")
    assert_equal(two, alone)
    for name, curve in alone.metrics["curves"].items():
        ours = [value for _, value in two.metrics["curves"][name]]
        assert ours == pytest.approx([value for _, value in curve], rel=1e-4, abs=1e-5)
    assert ("reference", 13, 13) in seen
    assert seen[-1] == ("train M2", 8, 8)


_PARENT = """
import sys
from pathlib import Path
from harness.records import ModelRef
from training.settings import Launcher
from training.sft import SFT, Example, fine_tune
import json
start, settings, rows, folder = map(json.loads, sys.argv[1:])
fine_tune(
    ModelRef(**start), [Example(tuple(p), tuple(c)) for p, c in rows], SFT(**settings),
    Path(folder), "M1", 3, lambda *told: print(*told, flush=True),
    launcher=Launcher(name="accelerate", processes=2),
)
"""


def test_a_killed_parent_leaves_no_process_and_one_process_can_go_on(
    m0: ModelRef, examples: list[Example], tmp_path: Path
) -> None:
    # Twenty-four steps: on a busy machine six are over before anyone is killed.
    settings = SFT_SETTINGS.model_copy(update={"epochs": 8})
    arguments = [
        m0.model_dump(mode="json"),
        settings.model_dump(mode="json"),
        [[row.prompt_ids, row.completion_ids] for row in examples[:21]],
        str(tmp_path / "cut"),
    ]
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, *map(json.dumps, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(launch.__file__).parent.parent)},
    ) as parent:
        assert parent.stdout is not None
        for line in parent.stdout:
            if line.startswith("train M1 3"):
                break
        theirs = psutil.Process(parent.pid).children(recursive=True)
        assert len(theirs) == 3  # the launcher and two workers
        parent.kill()
    gone, left = psutil.wait_procs(theirs, timeout=30)
    assert (len(gone), left) == (3, [])

    seen = []
    resumed = tune(
        m0,
        examples,
        tmp_path / "cut",
        settings=settings,
        progress=lambda _, done, __: seen.append(done),
    )

    assert seen[0] >= 3
    assert_equal(resumed, tune(m0, examples, tmp_path / "alone", settings=settings))


@pytest.mark.slow
@pytest.mark.parametrize("lora", [None, LoRA(r=4, alpha=8)])
@pytest.mark.parametrize("strategy", ["fsdp2", "zero3"])
def test_a_divided_model_learns_what_a_whole_one_does(
    m0: ModelRef,
    examples: list[Example],
    pairs: list[PreferencePair],
    tmp_path: Path,
    strategy: str,
    lora: LoRA | None,
) -> None:
    if strategy == "zero3" and find_spec("deepspeed") is None:
        pytest.skip("deepspeed is not installed: pip install deepspeed")
    divided = Launcher(name="accelerate", processes=2, strategy=strategy)
    sft = SFT_SETTINGS.model_copy(update={"lora": lora})
    dpo = DPO_SETTINGS.model_copy(update={"lora": lora})

    def kill(what: str, done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(m0, examples, tmp_path / "sft", divided, sft, progress=kill)
    parts = {"fsdp2": "pytorch_model_fsdp_0", "zero3": "global_step4"}
    assert (tmp_path / "sft" / "unfinished" / "checkpoint-4" / parts[strategy]).is_dir()
    assert_equal(
        tune(m0, examples, tmp_path / "sft", divided, sft),
        tune(m0, examples, tmp_path / "sft-alone", settings=sft),
    )
    assert_equal(
        please(m0, pairs, tmp_path / "dpo", divided, dpo),
        please(m0, pairs, tmp_path / "dpo-alone", settings=dpo),
    )


# What follows needs no training: the processes are stand-ins.


def stand_in(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Have a script run in place of the launcher; its first argument is the orders' folder."""
    monkeypatch.setattr(
        launch, "command", lambda job, orders: [sys.executable, "-c", script, str(orders.folder)]
    )


def test_processes_that_hang_are_ended(
    m0: ModelRef, examples: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "_TIME_TO_END", 0.5)
    stand_in(
        monkeypatch,
        "import pathlib, signal, subprocess, sys, time;"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        "pathlib.Path(sys.argv[1], 'progress.jsonl').write_text('[\"train M1\", 2, 6]\\n');"
        "time.sleep(600)",
    )
    began = time.monotonic()

    with pytest.raises(
        HarnessError,
        match=r"no progress in launcher.stalled_after = 2 seconds after train M1, 2 of 6; its",
    ):
        tune(m0, examples, tmp_path, TWO.model_copy(update={"stalled_after": 2.0}))

    assert time.monotonic() - began < 30
    assert not launched()


def test_processes_share_the_threads_of_this_one(
    m0: ModelRef, examples: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "import json, os, pathlib, sys;"
        "said = [os.environ[name] for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS')];"
        "pathlib.Path(sys.argv[1], 'failure.json').write_text(json.dumps(['DataError', str(said)]))"
    )
    stand_in(monkeypatch, script)
    for has, each in (("5", "2"), ("1", "1")):
        monkeypatch.setenv("OMP_NUM_THREADS", has)
        with pytest.raises(DataError, match=rf"^\['{each}', '{each}'\]$"):
            tune(m0, examples, tmp_path, TWO)


def test_an_error_that_a_process_knew_is_raised_here(
    m0: ModelRef, examples: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(
        monkeypatch,
        "import pathlib, sys;"
        "pathlib.Path(sys.argv[1], 'failure.json').write_text('[\"StoreError\", \"disk full\"]');"
        "sys.exit(1)",
    )

    with pytest.raises(StoreError, match=r"^disk full$"):
        tune(m0, examples, tmp_path, TWO)


def test_an_error_that_nobody_knew_is_found_in_the_log(
    m0: ModelRef, examples: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, "raise ValueError('too odd')")

    with pytest.raises(HarnessError, match=r"a process failed \(ValueError: too odd\)") as caught:
        tune(m0, examples, tmp_path, TWO)

    assert "\n" not in str(caught.value)


def test_ctrl_c_ends_the_processes(
    m0: ModelRef, examples: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(
        monkeypatch,
        "import pathlib, sys, time;"
        "pathlib.Path(sys.argv[1], 'progress.jsonl').write_text('[\"train M1\", 2, 6]\\n');"
        "time.sleep(600)",
    )

    def interrupt(what: str, done: int, total: int) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        tune(m0, examples, tmp_path, TWO, progress=interrupt)
    assert not launched()


def test_states_of_another_shape_are_refused(
    m0: ModelRef, examples: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zero = Launcher(name="accelerate", processes=2, strategy="zero3")
    monkeypatch.setattr(launch, "check", lambda *_: None)
    stand_in(
        monkeypatch,
        "import pathlib, sys;"
        "(pathlib.Path(sys.argv[1]).parent / 'unfinished' / 'checkpoint-2').mkdir();"
        "sys.exit(1)",
    )
    with pytest.raises(HarnessError, match="a process failed"):
        tune(m0, examples, tmp_path, zero)

    with pytest.raises(StoreError, match="strategy zero3, processes 2, and now strategy ddp is"):
        tune(m0, examples, tmp_path)
    with pytest.raises(StoreError, match="processes 2, and now strategy zero3, processes 4"):
        tune(m0, examples, tmp_path, zero.model_copy(update={"processes": 4}))
    with pytest.raises(HarnessError, match="a process failed"):
        tune(m0, examples, tmp_path, zero)


@pytest.mark.ray
def test_a_worker_that_dies_on_a_ray_cluster_is_started_again(
    m0: ModelRef, examples: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray Train with two workers on a cluster of its own."""
    monkeypatch.setenv("RAY_ADDRESS", "local")
    killed = []
    seen = []

    def kill(what: str, done: int, total: int) -> None:
        seen.append(done)
        if done == 3 and not killed:
            mine = psutil.Process().children(recursive=True)
            [first, *_] = [one for one in mine if "TrainWorker" in " ".join(one.cmdline())]
            killed.append(first.pid)
            first.kill()

    two = tune(m0, examples, tmp_path / "two", Launcher(name="ray", processes=2), progress=kill)

    assert len(killed) == 1
    assert seen[0] == 1
    assert seen[-1] == 6  # which one worker alone never reaches
    assert_equal(two, tune(m0, examples, tmp_path / "alone"))
    assert not launched()


@pytest.mark.ray
def test_processes_on_a_ray_cluster_share_the_threads_of_their_machines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_ray = import_module("training.on_ray")
    there = SimpleNamespace(get_node_id=lambda: "a")
    monkeypatch.setattr(on_ray.ray, "get_runtime_context", lambda: there)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(96))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")

    assert on_ray._share("a", threads=20).count == 2  # where the training was started
    assert on_ray._share("b", threads=20).count == 12
    assert on_ray._share("a", threads=4).count == 1


@pytest.mark.ray
def test_a_cluster_that_is_too_small_is_one_line(
    m0: ModelRef, examples: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "local")
    many = Launcher(name="ray", processes=64)
    settings = SFT_SETTINGS.model_copy(update={"batch_size": 64, "micro_batch_size": 1})

    with pytest.raises(ConfigError, match="one a CPU, and the Ray cluster has"):
        tune(m0, examples, tmp_path, many, settings)
