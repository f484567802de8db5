"""The longest step of a training, really made: what it takes, before hours of shorter ones.

    longest_sft_step(M0, examples, sft, folder, seed=0)
    -> Step(seconds=2.1, rows=8, tokens=31_744, peak_memory=61_203_283_968, device="cuda:0", ...)

The update is made twice, on the rows with most tokens: the second time with the optimizer's state
in memory, as in every later step.
"""

import resource
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.records import ModelRef
from training.dpo import DPO, PreferencePair, prefer
from training.job import Progress, Trained, unwatched
from training.settings import Launcher, Settings
from training.sft import SFT, Example, fine_tune


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
    launcher: Launcher | None = None,
) -> Step:
    """Make the longest step of a fine-tuning; arguments and errors are those of `fine_tune`."""

    def length(row: Example) -> int:
        return len(row.prompt_ids) + len(row.completion_ids)

    rows = sorted(examples, key=length)[-_micro(settings) :]
    made = _twice(fine_tune, start, rows, settings, folder, seed)
    return _step(made, len(rows), sum(map(length, rows)))


def longest_dpo_step(
    start: ModelRef,
    pairs: Sequence[PreferencePair],
    settings: DPO,
    folder: Path,
    seed: int,
    progress: Progress = unwatched,
    launcher: Launcher | None = None,
) -> Step:
    """Make the longest step of a preference optimisation; see `longest_sft_step`."""

    def length(row: PreferencePair) -> int:
        return 2 * len(row.prompt_ids) + len(row.chosen_ids) + len(row.rejected_ids)

    rows = sorted(pairs, key=length)[-_micro(settings) :]
    made = _twice(prefer, start, rows, settings, folder, seed)
    return _step(made, len(rows), sum(map(length, rows)))


def _micro(settings: Settings) -> int:
    return settings.micro_batch_size or settings.batch_size


def _twice(
    train: Callable[..., Trained],
    start: ModelRef,
    rows: Sequence[Any],
    settings: Settings,
    folder: Path,
    seed: int,
) -> Trained:
    few = {"batch_size": len(rows), "micro_batch_size": None, "max_steps": 2}
    quiet: dict[str, Any] = {"checkpoint_every": None, "report_to": ()}
    _forget_peak()
    try:
        return train(start, rows, settings.model_copy(update=few | quiet), folder, "pilot", seed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _step(made: Trained, rows: int, tokens: int) -> Step:
    seconds = made.metrics["seconds"]
    assert isinstance(seconds, float), "a training says how long it took"
    device = str(made.metrics["device"])
    return Step(seconds / 2, rows, tokens, _peak(device), device, processes=1)


def _forget_peak() -> None:
    torch = import_module("torch")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def _peak(device: str) -> int:
    """The most bytes: of a GPU those of its tensors, else all that this process ever held."""
    if device.startswith("cuda"):
        return int(import_module("torch").cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
