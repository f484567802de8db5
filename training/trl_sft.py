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

from training.fitting import fitting, longest
from training.job import Job, Trained
from training.loader import Batch, dealt
from training.sft import Example
from training.target_head import score_targets_only
from training.trl_loop import Together, arguments, peft_config, run, tidily, whole
from training.weights import load


class _TargetsOnly(Together, SFTTrainer):
    """With rows in an order that neither an interruption nor more processes change."""

    def __init__(self, job: Job, **kwargs: Any) -> None:
        self.job = job
        super().__init__(**kwargs)

    def get_train_dataloader(self) -> Any:
        """Deal out the rows."""
        dataset: Any = self.train_dataset
        collator: Any = self.data_collator

        def collate(places: list[int], counts: bool) -> Batch:
            batch: Batch = collator([dataset[place] for place in places])
            if not counts:
                batch["labels"].fill_(-100)
            return batch

        lengths = [len(ids) for ids in dataset["input_ids"]]
        return dealt(self.job, lengths, collate, self.args.dataloader_pin_memory)


@tidily()
def train(job: Job, examples: Sequence[Example]) -> Trained:
    """Fine-tune `job.start` on the examples; see `training.sft.fine_tune`."""
    began = time.perf_counter()
    start = load(job.start, job.settings)
    asked = [(example.prompt_ids, example.completion_ids) for example in examples]
    kept = fitting(asked, start.limits, drop_too_long=job.settings.too_long == "drop")
    if job.rehearsal:
        kept = longest(asked, kept, job.settings.batch_size)
    rows = [examples[place] for place in kept]
    trainer = _TargetsOnly(
        job,
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
    )
    model: Any = trainer.model
    score_targets_only(model, trainer.args.device)
    metrics: dict[str, JsonValue] = {
        "rows_in": len(examples),
        "rows_too_long": len(examples) - len(rows),
        "rows_trained": whole(trainer, len(rows)),
        "tokens": sum(len(row.prompt_ids) + len(row.completion_ids) for row in rows),
        "target_tokens": sum(len(row.completion_ids) for row in rows),
        "startup_seconds": time.perf_counter() - began,
    }
    return run(job, start, trainer, metrics)
