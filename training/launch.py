"""A training in the processes that its launcher names: begun, followed, and ended with this one.

    perform(job, "sft", rows)       in process      training.trl_sft.train
                                    accelerate      accelerate launch -m training.worker
                                    ray             python -m training.on_ray

Whatever becomes of them, there is one line to say it, no process is left, and the same command
continues from the last checkpoint.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil

from harness.errors import HarnessError, StoreError
from harness.machine import choose_threads, threads_said
from training.job import Job, Trained, write, writing
from training.orders import Kind, Orders
from training.requirements import check

_ROOT = Path(__file__).parent.parent
_LOOK_EVERY = 0.1
"""Seconds between two looks at the processes."""
_TIME_TO_END = 10.0
"""Seconds that processes have to end by themselves before they are killed."""


def perform(job: Job, kind: Kind, rows: Sequence[Any]) -> Trained:
    """Train as the job's launcher says.

    Args:
        job: What is trained.
        kind: By which of `training.trl_sft` and `training.trl_dpo`.
        rows: What they take.

    Raises:
        ConfigError: the launcher cannot be had here, or the rows do not divide.
        StoreError: what an interrupted training left behind is of another shape.
        HarnessError: the processes died or hung.
    """
    check(job.launcher, job.settings)
    _claim_states(job)
    if job.launcher.name == "in_process":
        # By name, because TRL takes seconds to import and a finished training needs none of it.
        trained: Trained = import_module(f"training.trl_{kind}").train(job, rows)
        return trained
    orders = Orders(job.folder.absolute() / "launch")
    with writing(orders.folder):
        orders.give(job, kind, [list(vars(row).values()) for row in rows])
    made = _followed(job, orders)
    shutil.rmtree(orders.folder, ignore_errors=True)
    return made


def _claim_states(job: Job) -> None:
    """Find out whether the checkpoints that are there can be read by as many as will be."""
    launcher = job.launcher
    shape: dict[str, str] = {"strategy": launcher.strategy}
    if launcher.strategy == "zero3":
        # Each process's share is in a file of its own; FSDP2's can be divided anew.
        shape["processes"] = str(launcher.processes)
    note = job.unfinished / "shape.json"
    if any(job.unfinished.glob("checkpoint-*")) and note.exists():
        before = json.loads(note.read_text())
        if before != shape:
            raise StoreError(
                f"{job.unfinished} holds a training that was divided otherwise: {_said(before)}, "
                f"and now {_said(shape)} is asked for; set launcher.strategy and "
                "launcher.processes as they were to continue it, or delete that folder to train "
                f"{job.name} from its beginning"
            )
    with writing(job.unfinished):
        job.unfinished.mkdir(parents=True, exist_ok=True)
        write(note, shape)


def _said(shape: dict[str, str]) -> str:
    return ", ".join(f"{key} {value}" for key, value in shape.items())


def command(job: Job, orders: Orders) -> list[str]:
    """Say how the processes are started."""
    if job.launcher.name == "ray":
        return [sys.executable, "-m", "training.on_ray", str(orders.folder)]
    several = ["--multi_gpu"] if job.launcher.processes > 1 else []
    return [
        *(sys.executable, "-m", "accelerate.commands.launch"),
        *several,  # on CPUs as well: what it means is one process group
        *("--num_processes", str(job.launcher.processes), "--num_machines", "1"),
        # How the model is divided, and in which precision, the training itself says.
        *("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"),
        *("--module", "training.worker", str(orders.folder)),
    ]


def _followed(job: Job, orders: Orders) -> Trained:
    with orders.log.open("ab") as log:
        began = log.tell()
        process = subprocess.Popen(
            command(job, orders),
            stdin=subprocess.PIPE,  # closes when this process ends, which ends the others
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for this process to handle
            env=os.environ | environment(job),
        )
    try:
        stalled = _watch(process, job, orders)
    finally:
        _end(process)
    made = orders.trained()
    if made is not None:
        return made
    failure = orders.failure()
    if failure is not None:
        raise failure
    raise HarnessError(
        f"training of {job.name} {stalled or _cause(orders.log, began)}; its processes were ended, "
        f"and {orders.log} has what they said: give the same command to continue from the last "
        "checkpoint"
    )


def environment(job: Job) -> dict[str, str]:
    """Have the processes import this very package, and share this one's threads among them."""
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))
    if job.launcher.name == "ray":
        return {"PYTHONPATH": path}  # where they will be is not known yet
    return {"PYTHONPATH": path, **threads_said(choose_threads().count, job.launcher.processes)}


def _watch(process: subprocess.Popen[bytes], job: Job, orders: Orders) -> str:
    """Pass on the progress until the processes have ended.

    Returns:
        What to say where they hang, else nothing.
    """
    told, heard = "", time.monotonic()
    while True:
        running = process.poll() is None
        for what, done, total in orders.progress():
            job.progress(what, done, total)
            told, heard = f" after {what}, {done} of {total}", time.monotonic()
        if not running:
            return ""
        if time.monotonic() - heard > job.launcher.stalled_after:
            return (
                f"made no progress in launcher.stalled_after = {job.launcher.stalled_after:g} "
                f"seconds{told}"
            )
        time.sleep(_LOOK_EVERY)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the processes, those included that hang."""
    try:
        all_of_them = [*psutil.Process(process.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        all_of_them = []
    if process.stdin:
        process.stdin.close()
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(_TIME_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, left = psutil.wait_procs(all_of_them, timeout=_TIME_TO_END)
    for one in left:
        one.kill()
    psutil.wait_procs(left)


_ROOT_CAUSE = re.compile(
    r"Root Cause.*?rank\s*: (?P<rank>\d+).*?exitcode\s*: (?P<code>-?\d+)", re.DOTALL
)
"""In what torch's launcher prints of the process that failed first."""


def _cause(log: Path, began: int) -> str:
    """Find out from the log why the processes ended."""
    with log.open("rb") as file:
        file.seek(began)
        text = file.read().decode(errors="replace")
    first = _ROOT_CAUSE.search(text)
    if first and first["code"] == "-9":
        return (
            f"ended: process {first['rank']} was killed (signal 9), as the system does when memory "
            "runs out"
        )
    raised = re.findall(r"^(?:\[rank\d+\]: )?(\w+(?:\.\w+)*(?:Error|Exception)\b.*)$", text, re.M)
    who = f"process {first['rank']}" if first else "a process"
    return f"ended: {who} failed" + (f" ({raised[0].strip()})" if raised else "")
