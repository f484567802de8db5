"""What the start model thinks of each pair, computed once and kept until training is done.

    unfinished/reference.json    [[-4.1, -7.9], ...]     log-probability of chosen, rejected

The model that will be trained is its own reference before the first step, so no second one is ever
in memory. The pairs are dealt out to the processes in batches of like length.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import gather_object
from trl.trainer.dpo_trainer import DPOTrainer

from training.agreeing import agreed
from training.job import Job, write, writing


def kept(job: Job) -> Path:
    """Where a training keeps them, to be continued after an interruption."""
    return job.unfinished / "reference.json"


def references(job: Job, trainer: DPOTrainer, lengths: Sequence[int]) -> list[tuple[float, float]]:
    """Compute every pair's log-probabilities; dropout and adapters are off.

    Args:
        job: What is trained.
        trainer: With the start model where it will be trained, whole or divided.
        lengths: Tokens of each pair.
    """
    found = agreed(lambda: _read(job))
    if found is None:
        found = _computed(job, trainer, lengths)
        if PartialState().is_main_process:
            with writing(job.folder):
                job.unfinished.mkdir(parents=True, exist_ok=True)
                write(kept(job), found)
    return found


def _read(job: Job) -> list[tuple[float, float]] | None:
    if not kept(job).exists():
        return None
    return [(chosen, rejected) for chosen, rejected in json.loads(kept(job).read_text())]


def _computed(job: Job, trainer: DPOTrainer, lengths: Sequence[int]) -> list[tuple[float, float]]:
    state = PartialState()
    _, size = job.settings.share(state.num_processes)
    dataset: Any = trainer.train_dataset
    collator: Any = trainer.data_collator
    places = sorted(range(len(lengths)), key=lambda place: lengths[place])
    batches = [places[first : first + size] for first in range(0, len(places), size)]
    model = trainer.model_wrapped
    model.eval()
    compute: Any = trainer.compute_ref_log_probs
    found: list[tuple[int, float, float]] = []
    for first in range(0, len(batches), state.num_processes):
        # Those that share a model go through it equally often, with a batch of their own or not.
        turn = batches[first : first + state.num_processes]
        mine = turn[state.process_index] if state.process_index < len(turn) else turn[0]
        batch = trainer._prepare_inputs(collator([dataset[place] for place in mine]))
        chosen, rejected = compute(model, batch)
        if state.process_index < len(turn):
            found += zip(mine, chosen.tolist(), rejected.tolist(), strict=True)
        if state.is_main_process:
            done = min((first + state.num_processes) * size, len(places))
            job.progress("reference", done, len(places))
    everyone = sorted(gather_object(found))
    return [(chosen, rejected) for _, chosen, rejected in everyone]
