"""TRL's DPOTrainer on the tokens that were sampled, with the start model as reference.

    prompt_ids   chosen_ids   rejected_ids  |  ref_chosen_logps   ref_rejected_logps
    2 41 3       77 12 1      9 1           |  -4.1               -7.9

Stock, the trainer tokenizes text again, and may reload its reference from wherever the model's
configuration says it came from. Private methods of it are overridden so that it takes ids,
and so that the model in memory writes its own reference log-probabilities before the first step.
Tests compare the losses with the stock trainer's.
"""

import copy
import time
from collections.abc import Sequence
from typing import Any

from datasets import Dataset, concatenate_datasets
from pydantic import JsonValue
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from training.batches import LengthGrouped
from training.dpo import DPO, PreferencePair
from training.fitting import fitting
from training.job import Job, Trained
from training.target_head import score_targets_only
from training.trl_loop import Watch, arguments, curve, peft_config, run, tidily, whole
from training.weights import load

_CURVES = (
    *("rewards/margins", "rewards/accuracies", "rewards/chosen", "rewards/rejected"),
    *("logps/chosen", "logps/rejected"),
)


class _ExactPairs(DPOTrainer):
    """On token ids, with reference log-probabilities of the very model that is trained."""

    job: Job
    reference_seconds: float

    def __init__(self, job: Job, **kwargs: Any) -> None:
        self.job = job
        super().__init__(**kwargs)

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        """Keep the ids: there is no text to tokenize."""
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Any:
        """Add two columns, in batches of like length; dropout and adapters are off."""
        began = time.perf_counter()
        lengths = _lengths(dataset)
        places = sorted(range(len(dataset)), key=lambda place: lengths[place])
        chosen, rejected = [0.0] * len(dataset), [0.0] * len(dataset)
        model: Any = self.model
        compute: Any = self.compute_ref_log_probs
        score_targets_only(model)
        model.eval()
        for first in range(0, len(places), batch_size):
            some = places[first : first + batch_size]
            batch = self._prepare_inputs(self.data_collator([dataset[i] for i in some]))
            better, worse = compute(model, batch)
            for place, a, b in zip(some, better.tolist(), worse.tolist(), strict=True):
                chosen[place], rejected[place] = a, b
            self.job.progress("reference", first + len(some), len(places))
        self.reference_seconds = time.perf_counter() - began
        columns = Dataset.from_dict({"ref_chosen_logps": chosen, "ref_rejected_logps": rejected})
        return concatenate_datasets([dataset, columns], axis=1)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """Order the pairs as an interruption does not change it."""
        return LengthGrouped(
            _lengths(self.train_dataset), self.job.settings.batch_size, self.job.seed
        )

    def _send_telemetry(self) -> None:
        """Tell nobody: nothing leaves the machine unless a request names a tracker."""


def _lengths(dataset: Any) -> list[int]:
    columns = (dataset[name] for name in ("prompt_ids", "chosen_ids", "rejected_ids"))
    return [
        len(prompt) + max(len(chosen), len(rejected))
        for prompt, chosen, rejected in zip(*columns, strict=True)
    ]


@tidily()
def train(job: Job, settings: DPO, pairs: Sequence[PreferencePair]) -> Trained:
    """Train `job.start` on the pairs; see `training.dpo.prefer`."""
    began = time.perf_counter()
    start = load(job.start, settings)
    kept = fitting(
        [(pair.prompt_ids, pair.chosen_ids, pair.rejected_ids) for pair in pairs],
        start.limits,
        drop_too_long=settings.too_long == "drop",
    )
    rows = [pairs[place] for place in kept]
    trainer = _ExactPairs(
        job,
        model=start.model,
        args=DPOConfig(
            **arguments(job, len(rows)),
            beta=settings.beta,
            loss_type=[settings.loss_type, *(["sft"] if settings.nll_weight else [])],
            loss_weights=[1.0, *([settings.nll_weight] if settings.nll_weight else [])],
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
        callbacks=[Watch(job, start)],
    )
    metrics: dict[str, JsonValue] = {
        "pairs_in": len(pairs),
        "pairs_too_long": len(pairs) - len(rows),
        "pairs_trained": whole(trainer, len(rows)),
        "chosen_tokens": sum(len(row.chosen_ids) for row in rows),
        "rejected_tokens": sum(len(row.rejected_ids) for row in rows),
        "startup_seconds": time.perf_counter() - began - trainer.reference_seconds,
        "reference_seconds": trainer.reference_seconds,
    }
    trained = run(job, start, trainer, metrics)
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    trained.metrics["curves"] = {key: curve(logs, key) for key in _CURVES}
    trained.metrics["chosen_logps_change"] = logs[-1]["rewards/chosen"] / settings.beta
    return trained
