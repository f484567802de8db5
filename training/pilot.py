"""The longest step of a training, really made: what it takes, before hours of shorter ones.

    longest_sft_step(M0, examples, sft, folder, seed=0, launcher=launcher)
    -> Step(seconds=2.1, rows=8, tokens=31_744, peak_memory=61_203_283_968, device="cuda:0", ...)

Forward, backward and update run twice on the rows with most tokens, as many as the processes take
in at once: the second time with the optimizer's state in memory, as in every later step. Whatever
would run out of memory in hour nine does so here.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.records import ModelRef
from training.dpo import DPO, PreferencePair
from training.job import Job, Progress, Trained, unwatched
from training.settings import IN_PROCESS, Launcher, Settings
from training.sft import SFT, Example


@dataclass(frozen=True)
class Step:
    """What the longest micro batch takes."""

    seconds: float
    """Of one forward, backward and update."""
    rows: int
    """In all processes together."""
    tokens: int
    """Of these rows, without padding; both completions of a pair, each with its prompt."""
    peak_memory: int
    """The most bytes that one process held: of its GPU's memory, or on a CPU of the machine's."""
    device: str
    processes: int


def longest_sft_step(
    start: ModelRef,
    examples: Sequence[Example],
    settings: SFT,
    folder: Path,
    seed: int,
    progress: Progress = unwatched,
    launcher: Launcher = IN_PROCESS,
) -> Step:
    """Make the longest step of a fine-tuning; arguments and errors are those of `fine_tune`.

    Args:
        start: The model to train; it stays as it is.
        examples: All of them.
        settings: Of the whole training.
        folder: To work in; it is deleted.
        seed: Of the whole training.
        progress: Is told what is going on.
        launcher: Which processes do it.

    Raises:
        HarnessError: the training cannot be done; where memory runs out, it says so.
    """
    return _step(start, examples, "sft", settings, folder, seed, progress, launcher)


def longest_dpo_step(
    start: ModelRef,
    pairs: Sequence[PreferencePair],
    settings: DPO,
    folder: Path,
    seed: int,
    progress: Progress = unwatched,
    launcher: Launcher = IN_PROCESS,
) -> Step:
    """Make the longest step of a preference optimisation; see `longest_sft_step`."""
    return _step(start, pairs, "dpo", settings, folder, seed, progress, launcher)


def _step(
    start: ModelRef,
    rows: Sequence[Any],
    kind: str,
    settings: Settings,
    folder: Path,
    seed: int,
    progress: Progress,
    launcher: Launcher,
) -> Step:
    _, micro = settings.share(launcher.processes)
    twice = settings.model_copy(
        update={
            "batch_size": micro * launcher.processes,
            "micro_batch_size": micro,
            "max_steps": 2,
            "checkpoint_every": None,
            "report_to": (),
        }
    )
    job = Job(start, twice, folder, "pilot", seed, progress, "", launcher, rehearsal=True)
    perform: Callable[[Job, str, Sequence[Any]], Trained]
    perform = import_module("training.launch").perform
    try:
        found: dict[str, Any] = dict(perform(job, kind, rows).metrics)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Step(
        seconds=found["step_seconds"],
        rows=found["pairs_trained" if kind == "dpo" else "rows_trained"],
        tokens=found["tokens"],
        peak_memory=found["peak_memory"],
        device=found["device"],
        processes=launcher.processes,
    )
