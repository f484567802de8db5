"""TRL's SFTTrainer on rows that are token ids already.

    prompt 2 41 3 | completion 77 12 1   ->   input_ids  2   41    3   77   12    1
                                              labels  -100 -100 -100   77   12    1

Two of the trainer's methods are overridden, both private; tests compare with the stock trainer.
"""

import copy
import time
from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from pydantic import JsonValue
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from training.batches import LengthGrouped
from training.fitting import fitting
from training.job import Job, Trained
from training.sft import Example
from training.target_head import score_targets_only
from training.trl_loop import Watch, arguments, peft_config, run, tidily, whole
from training.weights import load


class _TargetsOnly(SFTTrainer):
    """With rows in an order that an interruption does not change."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        dataset: Any = self.train_dataset
        batch = self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps
        lengths = [len(ids) for ids in dataset["input_ids"]]
        return LengthGrouped(lengths, batch, self.args.seed)

    def _send_telemetry(self) -> None:
        """Tell nobody: nothing leaves the machine unless a request names a tracker."""


@tidily()
def train(job: Job, examples: Sequence[Example]) -> Trained:
    """Fine-tune `job.start` on the examples; see `training.sft.fine_tune`."""
    began = time.perf_counter()
    start = load(job.start, job.settings)
    kept = fitting(
        [(example.prompt_ids, example.completion_ids) for example in examples],
        start.limits,
        drop_too_long=job.settings.too_long == "drop",
    )
    rows = [examples[place] for place in kept]
    trainer = _TargetsOnly(
        model=start.model,
        args=SFTConfig(
            **arguments(job, len(rows)),
            shuffle_dataset=False,
            dataset_kwargs={"skip_prepare_dataset": True},
        ),
        train_dataset=Dataset.from_dict(
            {
                "input_ids": [row.prompt_ids + row.completion_ids for row in rows],
                "labels": [(-100,) * len(row.prompt_ids) + row.completion_ids for row in rows],
            }
        ),
        processing_class=copy.deepcopy(start.tokenizer),
        peft_config=peft_config(job),
        callbacks=[Watch(job, start)],
    )
    model: Any = trainer.model
    score_targets_only(model)
    metrics: dict[str, JsonValue] = {
        "rows_in": len(examples),
        "rows_too_long": len(examples) - len(rows),
        "rows_trained": whole(trainer, len(rows)),
        "tokens": sum(len(row.prompt_ids) + len(row.completion_ids) for row in rows),
        "target_tokens": sum(len(row.completion_ids) for row in rows),
        "startup_seconds": time.perf_counter() - began,
    }
    return run(job, start, trainer, metrics)
