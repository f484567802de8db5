"""Supervised fine-tuning on exact token ids, with the loss on the completion only.

    fine_tune(M0, [Example(prompt_ids=(2, 41, 3), completion_ids=(77, 12, 1)), ...],
              SFT(learning_rate=1e-3, batch_size=32, epochs=2), folder, name="M1", seed=0)
    -> Trained(model=M1, metrics={"rows_in": 4130, "rows_trained": 4130, "final_loss": 0.21, ...})

TRL's SFTTrainer does the work (`trl_sft`, loaded only when there is work to do).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from harness.records import ModelRef
from training.job import Job, Progress, Trained, unwatched
from training.settings import IN_PROCESS, Launcher, Settings


class SFT(Settings):
    """How to fine-tune. The paper: 5.5e-6 to 1.1e-6, cosine, batch 16, dropout 0.1."""


@dataclass(frozen=True)
class Example:
    """A prompt and what the model shall answer, as the tokens themselves."""

    prompt_ids: tuple[int, ...]
    """With every special token; nothing is added."""
    completion_ids: tuple[int, ...]
    """With the end token, where the answer ends."""


def fine_tune(
    start: ModelRef,
    examples: Sequence[Example],
    settings: SFT,
    folder: Path,
    name: str,
    seed: int,
    progress: Progress = unwatched,
    run: str = "",
    launcher: Launcher = IN_PROCESS,
) -> Trained:
    """Fine-tune a model, or return what an earlier call made in this folder.

    Args:
        start: The model to train; its files are left as they are.
        examples: What to learn.
        settings: How.
        folder: The training's own; an interrupted one is continued.
        name: What the new model is called.
        seed: Decides the order of the rows, dropout and LoRA's initial weights.
        progress: Is told after every step.
        run: What the run is called, for trackers.
        launcher: Which processes do it; an interrupted training may go on in others.

    Raises:
        DataError: a row is empty, too long or of another tokenizer, or no row is left.
        StoreError: the folder belongs to another training, or cannot be written.
        HarnessError: the loss is no longer a number, or processes died or hung.
    """
    job = Job(start, settings, folder, name, seed, progress, run, launcher)
    rows = [(example.prompt_ids, example.completion_ids) for example in examples]

    def work() -> Trained:
        # By name: the processes of a training import this module.
        perform: Callable[[Job, str, Sequence[object]], Trained]
        perform = import_module("training.launch").perform
        return perform(job, "sft", examples)

    return job.once(rows, work)
