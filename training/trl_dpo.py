"""TRL's DPOTrainer on the tokens that were sampled, with the start model as reference.

    prompt_ids   chosen_ids   rejected_ids  |  ref_chosen_logps   ref_rejected_logps
    2 41 3       77 12 1      9 1           |  -4.1               -7.9

Stock, the trainer tokenizes text again, and may reload its reference from wherever the model's
configuration says it came from. Private methods of it are overridden so that it takes ids,
and so that the model in memory writes its own reference log-probabilities before the first step.
Tests compare the losses with the stock trainer's.
"""

import copy
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import torch
from datasets import Dataset
from pydantic import JsonValue
from transformers import TrainerCallback
from trl.trainer import dpo_trainer
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from training.dpo import DPO, PreferencePair
from training.fitting import fitting, longest
from training.job import Job, Trained
from training.loader import Batch, dealt
from training.reference import kept, references
from training.target_head import score_targets_only
from training.trl_loop import Together, arguments, curve, peft_config, run, tidily, whole
from training.weights import load

_CURVES = (
    *("rewards/margins", "rewards/accuracies", "rewards/chosen", "rewards/rejected"),
    *("logps/chosen", "logps/rejected"),
)


class _ExactPairs(Together, DPOTrainer):
    """On token ids, with reference log-probabilities of the very model that is trained."""

    references: Sequence[tuple[float, float]]
    """Of each pair's chosen and rejected completion; known before the first step."""

    def __init__(self, job: Job, **kwargs: Any) -> None:
        self.job = job
        self.reference = _Reference(self)
        with _unhashed():
            super().__init__(callbacks=[self.reference], **kwargs)
        self._gather = self.accelerator.gather
        self.accelerator.gather = self._gather_counted

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        """Keep the ids: there is no text to tokenize."""
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Any:
        """Leave it until the model is where it will be trained, divided or not."""
        self.is_fsdp_enabled = getattr(self.accelerator.state, "fsdp_plugin", None) is not None
        return dataset

    def get_train_dataloader(self) -> Any:
        """Deal out the pairs, with what the reference said about them."""
        dataset: Any = self.train_dataset

        def collate(places: list[int], counts: bool) -> Batch:
            names = ("ref_chosen_logps", "ref_rejected_logps")
            known = [dict(zip(names, self.references[place], strict=True)) for place in places]
            rows = [dataset[place] | more for place, more in zip(places, known, strict=True)]
            batch: Batch = self.data_collator(rows)
            chosen = batch["completion_mask"][: len(places), 1:]  # all chosen ones come first
            return batch | {"counted": (len(places), int(chosen.sum())) if counts else (0, 0)}

        return dealt(self.job, _lengths(dataset), collate, self.args.dataloader_pin_memory)

    def _get_num_items_in_batch(self, batch_samples: list[Batch], device: torch.device) -> None:
        """Count an update's pairs and chosen tokens over all processes."""
        mine = [batch["counted"] for batch in batch_samples]
        counts = self._gather(torch.tensor(mine, device=device)).view(-1, len(mine), 2)
        self._pairs, self._tokens = counts.sum((0, 1)).tolist()
        self._uneven = bool((counts[:, :, 0] != counts[0, :, 0]).any())

    def compute_loss(self, model: Any, inputs: Batch, *args: Any, **kwargs: Any) -> Any:
        """Let every pair of an update count alike, in whatever micro batch and process it is.

        TRL takes the mean of a micro batch, and then the mean of those means.
        """
        self._counted, tokens = inputs.pop("counted")
        parts = self.accelerator.num_processes * self.current_gradient_accumulation_steps
        settings = cast(DPO, self.job.settings)
        weights = [
            self._counted / self._pairs * parts,
            settings.nll_weight * tokens / self._tokens * parts,
        ]
        self.loss_weights = weights[: len(self.loss_types)]
        compute: Any = super().compute_loss
        return compute(model, inputs, *args, **kwargs)

    def _gather_counted(self, tensor: Any) -> Any:
        """Gather a figure of each pair where processes have unequally many."""
        if not self._uneven or tensor.ndim == 0:
            return self._gather(tensor)
        mine = tensor[: self._counted]
        everyone = self._gather(self.accelerator.pad_across_processes(mine, pad_index=math.nan))
        return everyone[~everyone.isnan()]


class _Reference(TrainerCallback):
    """Asks the model itself, where it will be trained and before its first step."""

    def __init__(self, trainer: _ExactPairs) -> None:
        self._trainer = trainer
        self.seconds = 0.0

    def on_init_end(self, *_: Any, **__: Any) -> None:
        """Keep TRL from loading the reference as a second model, as it does under FSDP."""
        self._trainer.is_fsdp_enabled = False

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Compute the log-probabilities, or read what an interrupted training had computed."""
        began = time.perf_counter()
        trainer = self._trainer
        trainer.references = references(trainer.job, trainer, _lengths(trainer.train_dataset))
        self.seconds = time.perf_counter() - began


@contextmanager
def _unhashed() -> Iterator[None]:
    """Spare a large model minutes: TRL hashes all weights to name a cache, and none is used."""
    trl: Any = dpo_trainer
    stock = trl.hash_module
    trl.hash_module = lambda _: ""
    try:
        yield
    finally:
        trl.hash_module = stock


def _lengths(dataset: Any) -> list[int]:
    columns = (dataset[name] for name in ("prompt_ids", "chosen_ids", "rejected_ids"))
    return [
        len(prompt) + max(len(chosen), len(rejected))
        for prompt, chosen, rejected in zip(*columns, strict=True)
    ]


@tidily()
def train(job: Job, pairs: Sequence[PreferencePair]) -> Trained:
    """Train `job.start` on the pairs; see `training.dpo.prefer`."""
    began = time.perf_counter()
    settings = cast(DPO, job.settings)
    start = load(job.start, settings)
    asked = [(pair.prompt_ids, pair.chosen_ids, pair.rejected_ids) for pair in pairs]
    left = fitting(asked, start.limits, drop_too_long=settings.too_long == "drop")
    if job.rehearsal:
        left = longest(asked, left, settings.batch_size)
    rows = [pairs[place] for place in left]
    trainer = _ExactPairs(
        job,
        model=start.model,
        args=DPOConfig(
            **arguments(job, len(rows)),
            beta=settings.beta,
            loss_type=[settings.loss_type, *(["sft"] if settings.nll_weight else [])],
            precompute_ref_log_probs=True,
            # Dropout is set on the model already, and the reference pass leaves it out.
            disable_dropout=False,
        ),
        train_dataset=Dataset.from_dict(
            {
                "prompt_ids": [row.prompt_ids for row in rows],
                "chosen_ids": [row.chosen_ids for row in rows],
                "rejected_ids": [row.rejected_ids for row in rows],
            }
        ),
        processing_class=copy.deepcopy(start.tokenizer),
        peft_config=peft_config(job),
    )
    model: Any = trainer.model
    score_targets_only(model, trainer.args.device)
    metrics: dict[str, JsonValue] = {
        "pairs_in": len(pairs),
        "pairs_too_long": len(pairs) - len(rows),
        "pairs_trained": whole(trainer, len(rows)),
        "chosen_tokens": sum(len(row.chosen_ids) for row in rows),
        "rejected_tokens": sum(len(row.rejected_ids) for row in rows),
        "tokens": sum(
            2 * len(row.prompt_ids) + len(row.chosen_ids) + len(row.rejected_ids) for row in rows
        ),
        "startup_seconds": time.perf_counter() - began,
    }
    # Without them there was no first step.
    trained = run(job, start, trainer, metrics, resumable=kept(job).exists())
    reference = trainer.reference.seconds
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    return replace(
        trained,
        metrics={
            **trained.metrics,
            "seconds": cast(float, trained.metrics["seconds"]) - reference,
            "reference_seconds": reference,
            "curves": {key: curve(logs, key) for key in _CURVES},
            "chosen_logps_change": logs[-1]["rewards/chosen"] / settings.beta,
        },
    )
