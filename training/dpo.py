"""Direct preference optimisation (Rafailov et al. 2023) on the very tokens that were sampled.

    prefer(M1, [PreferencePair(prompt_ids=(2, 41, 3), chosen_ids=(77, 12, 1), rejected_ids=(9, 1))],
           DPO(learning_rate=6e-5, warmup_steps=5, epochs=2), folder, name="M2", seed=0)
    -> Trained(model=M2, metrics={"pairs_in": 268, "pairs_trained": 268, "curves": {...}, ...})

The reference is the start model itself: its log-probabilities are computed once, before the first
step, and no second model is held. TRL's DPOTrainer does the rest (`trl_dpo`, loaded only when
there is work to do).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

from pydantic import Field

from harness.records import ModelRef
from training.job import Job, Progress, Trained, unwatched
from training.settings import IN_PROCESS, Launcher, Settings


class DPO(Settings):
    """How to learn from preferences. The paper: beta 0.1, 1e-6 to 1e-7, batch 16, dropout 0.1."""

    beta: float = Field(0.1, gt=0)
    """How strongly the model is held to the reference."""
    loss_type: Literal["sigmoid", "ipo", "sigmoid_norm"] = "sigmoid"
    """`sigmoid` is DPO. `ipo` (Azar et al. 2023) and `sigmoid_norm` divide by the completion's
    length, which takes away the reward for being longer."""
    nll_weight: float = Field(0.0, ge=0)
    """Adds so much of the chosen completion's negative log-likelihood per token (RPO, Pang et al.
    2024), against chosen completions becoming unlikely themselves."""


@dataclass(frozen=True)
class PreferencePair:
    """A prompt with a better and a worse completion, as the tokens themselves."""

    prompt_ids: tuple[int, ...]
    chosen_ids: tuple[int, ...]
    """As sampled: with the end token where it was sampled, without where the answer was cut."""
    rejected_ids: tuple[int, ...]


def prefer(
    start: ModelRef,
    pairs: Sequence[PreferencePair],
    settings: DPO,
    folder: Path,
    name: str,
    seed: int,
    progress: Progress = unwatched,
    run: str = "",
    launcher: Launcher = IN_PROCESS,
) -> Trained:
    """Train a model on preferences, or return what an earlier call made in this folder.

    Args:
        start: The model to train and the reference it is held to; its files stay as they are.
        pairs: What to prefer to what.
        settings: How.
        folder: The training's own; an interrupted one is continued.
        name: What the new model is called.
        seed: Decides the order of the pairs, dropout and LoRA's initial weights.
        progress: Is told after every step, of the reference pass too.
        run: What the run is called, for trackers.
        launcher: Which processes do it; an interrupted training may go on in others.

    Raises:
        DataError: a pair is empty, of two equal completions, too long or of another tokenizer, or
            no pair is left.
        StoreError: the folder belongs to another training, or cannot be written.
        HarnessError: the loss is no longer a number, or processes died or hung.
    """
    job = Job(start, settings, folder, name, seed, progress, run, launcher)
    rows = [(pair.prompt_ids, pair.chosen_ids, pair.rejected_ids) for pair in pairs]

    def work() -> Trained:
        # By name: the processes of a training import this module.
        perform: Callable[[Job, str, Sequence[object]], Trained]
        perform = import_module("training.launch").perform
        return perform(job, "dpo", pairs)

    return job.once(rows, work)
