"""What both TRL trainers share: arguments, progress, checkpoints, and a quiet log.

    start = load(job.start, job.settings)
    trainer = SFTTrainer(args=SFTConfig(**arguments(job, rows)), callbacks=[Watch(job, start)], ...)
    run(job, start, trainer, metrics)   -> Trained, with the model in job.weights

The steps themselves are TRL's.
"""

import gc
import json
import logging
import math
import resource
import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import (
    DistributedType,
    FullyShardedDataParallelPlugin,
    gather_object,
)
from pydantic import JsonValue
from safetensors import SafetensorError
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.utils import logging as transformers_logging

from harness.checkpoints import fingerprint
from harness.errors import HarnessError
from harness.records import ModelRef
from training.agreeing import agreed
from training.job import Job, Trained, unwritable, writing
from training.lora import configuration
from training.strategy import divided
from training.weights import Start, save

_POINTS = 50
"""Of a curve, at most."""


def arguments(job: Job, rows: int) -> dict[str, Any]:
    """Say the settings in the words of transformers' TrainingArguments.

    Args:
        job: Whose settings.
        rows: How many are trained on.
    """
    settings = job.settings
    gpu = torch.cuda.is_available()
    share, micro = settings.share(job.launcher.processes)
    steps = steps_of(job, rows)
    schedule: dict[str, tuple[str, dict[str, float]]] = {
        "cosine": ("cosine_with_min_lr", {"min_lr": settings.final_learning_rate}),
        "linear": ("polynomial", {"lr_end": settings.final_learning_rate, "power": 1.0}),
        "constant": ("constant_with_warmup", {}),
    }
    scheduler, scheduler_kwargs = schedule[settings.schedule]
    every = settings.checkpoint_every
    return {
        "output_dir": str(job.unfinished),
        "seed": job.seed,
        "use_cpu": not gpu,
        "bf16": gpu and settings.precision != "float32",
        "dataloader_pin_memory": gpu,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": share // micro,
        "ddp_timeout": int(job.launcher.stalled_after),
        "max_steps": steps,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": scheduler,
        "lr_scheduler_kwargs": scheduler_kwargs,
        "warmup_steps": settings.warmup_steps,
        "weight_decay": settings.weight_decay,
        "adam_beta1": settings.adam_betas[0],
        "adam_beta2": settings.adam_betas[1],
        "max_grad_norm": settings.max_grad_norm,
        "logging_steps": max(1, math.ceil(steps / _POINTS)),
        # Otherwise a loss that is not a number would be logged as the mean of those before it.
        "logging_nan_inf_filter": False,
        "save_strategy": "steps" if every else "no",
        "save_steps": every or 500,
        "save_total_limit": 1,
        "report_to": list(settings.report_to) or "none",
        "project": job.run or "self-rewarding",  # which of the trackers only trackio reads
        "run_name": f"{job.run}/{job.name}" if job.run else job.name,
        "disable_tqdm": True,
        # Lengths are checked beforehand; TRL would cut rows or drop them without a word.
        "max_length": None,
        **divided(job.launcher, settings, gpu),
    }


def whole(trainer: Trainer, rows: int) -> int:
    """Check that a trainer kept every row.

    Raises:
        HarnessError: TRL dropped rows, which a new version of it may do.
    """
    dataset: Any = trainer.train_dataset
    kept = len(dataset)
    if kept != rows:
        raise HarnessError(f"TRL kept {kept} of {rows} training rows; this is a bug, report it")
    return kept


def steps_of(job: Job, rows: int) -> int:
    """Count the updates of a whole training."""
    settings = job.settings
    per_epoch = math.ceil(rows / settings.batch_size)
    return settings.max_steps or max(1, math.ceil(settings.epochs * per_epoch))


def peft_config(job: Job) -> Any:
    """Give peft's configuration where LoRA was asked for."""
    return None if job.settings.lora is None else configuration(job.settings.lora)


class Together:
    """What both trainers do where several processes train one model. Comes before TRL's class."""

    accelerator: Accelerator
    args: TrainingArguments
    is_deepspeed_enabled: bool
    is_fsdp_enabled: bool
    model: Any

    def create_accelerator_and_postprocess(self) -> None:
        """Have FSDP divide the model on CPUs as well, where accelerate passes over it."""
        super().create_accelerator_and_postprocess()  # type: ignore[misc]
        if self.args.fsdp and not self.is_fsdp_enabled:
            state: Any = self.accelerator.state
            state.fsdp_plugin = FullyShardedDataParallelPlugin(**self.args.fsdp_plugin_args)
            state.distributed_type = DistributedType.FSDP
            self.is_fsdp_enabled = True

    def save_model(self, *args: Any, **kwargs: Any) -> None:
        """Leave it to DeepSpeed's own checkpoint, which has the weights already, divided."""
        if not self.is_deepspeed_enabled:
            super().save_model(*args, **kwargs)  # type: ignore[misc]

    def create_optimizer(self, *args: Any, **kwargs: Any) -> Any:
        """Give the weights that were not read an address each, where all have 0.

        By its address accelerate finds a weight again once it is divided, for the optimizer.
        """
        for number, weight in enumerate(self.model.parameters(), start=1):
            if weight.is_meta:
                weight.data_ptr = partial(int, number)
        return super().create_optimizer(*args, **kwargs)  # type: ignore[misc]

    def create_scheduler(self, *args: Any, **kwargs: Any) -> Any:
        """Tell transformers' schedules the learning rate, which DeepSpeed's optimizer hides."""
        optimizer: Any = getattr(self, "optimizer", None)
        if self.is_deepspeed_enabled and optimizer is not None:
            optimizer.optimizer.defaults = {"lr": self.args.learning_rate}
        return super().create_scheduler(*args, **kwargs)  # type: ignore[misc]

    def _save_rng_state(self, output_dir: str) -> None:
        """Wait for all: the first process's last file says that a checkpoint is whole."""
        super()._save_rng_state(output_dir)  # type: ignore[misc]
        self.accelerator.wait_for_everyone()

    def _send_telemetry(self) -> None:
        """Tell nobody: nothing leaves the machine unless a request names a tracker."""


class Watch(TrainerCallback):
    """Reports progress, keeps models on the way, and stops when the loss is no number."""

    def __init__(self, job: Job, start: Start) -> None:
        self._job = job
        self._start = start
        self._began = 0.0
        self._seconds: list[float] = []

    @property
    def step_seconds(self) -> float:
        """The median of a step; the first one, which allocates memory, only where it is alone."""
        return statistics.median(self._seconds[1:] or self._seconds or [0.0])

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Take the time."""
        self._began = time.perf_counter()

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Tell how far it is; keep the model where it is due."""
        if self._job.rehearsal and torch.cuda.is_available():
            torch.cuda.synchronize()  # or the update would be missing
        self._seconds.append(time.perf_counter() - self._began)
        if state.is_world_process_zero:
            self._job.progress(f"train {self._job.name}", state.global_step, state.max_steps)
        every = self._job.settings.checkpoint_every
        due = every is not None and state.global_step % every == 0
        if due:
            # Before the trainer's own state is saved: after an interruption between the two, the
            # model is made again, while a state without its model would be passed over.
            folder = self._job.checkpoints / f"step-{state.global_step:05d}"
            save(kwargs["model"], self._start, self._job.settings, folder)
        if due or state.global_step == state.max_steps:
            control.should_log = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Stop a training that can only go on from bad to worse."""
        loss = kwargs["logs"].get("loss", 0.0)
        if not math.isfinite(loss):
            raise HarnessError(
                f"training of {self._job.name} diverged: the loss is {loss} at step "
                f"{state.global_step}; lower learning_rate or max_grad_norm"
            )


@contextmanager
def tidily() -> Iterator[None]:
    """Train without foreign progress bars, and give the memory back."""
    bars: Any = transformers_logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    speakers = [logging.getLogger(f"transformers.{name}") for name in ("trainer", "trainer_utils")]
    for speaker in speakers:
        speaker.addFilter(_concerns_somebody)
    try:
        yield
    except torch.OutOfMemoryError as error:
        held = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
        raise HarnessError(
            f"the GPU's memory ({held / 1e9:.0f} GB) does not hold this training; lower "
            "micro_batch_size or max_length, set gradient_checkpointing or lora, or divide the "
            'model: launcher = { name = "accelerate", strategy = "fsdp2", processes = ... }'
        ) from error
    finally:
        for speaker in speakers:
            speaker.removeFilter(_concerns_somebody)
        if shown:
            bars.enable_progress_bar()
        gc.collect()  # a trainer and its model refer to each other
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


_NOBODYS = (
    # The trainer aligns the special tokens of the objects in memory; what is saved keeps its own.
    "The tokenizer has new PAD/BOS/EOS tokens",
    # Tied weights are saved once, and tied again on loading.
    "There were missing keys in the checkpoint model loaded: ['lm_head.weight']",
    # Checkpoints are told apart by the step in their name, which never fails.
    "mtime may not be reliable",
)


def _concerns_somebody(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_NOBODYS)


def run(
    job: Job,
    start: Start,
    trainer: Trainer,
    metrics: dict[str, JsonValue],
    resumable: bool = True,
) -> Trained:
    """Train, from the last checkpoint where there is one, and save the model.

    Args:
        job: What is trained, and where.
        start: What `trainer` was given.
        trainer: Ready to train.
        metrics: What is known already; the training adds its own.
        resumable: Whether a checkpoint, if there is one, can be continued.
    """
    trainer.remove_callback(PrinterCallback)
    watch = Watch(job, start)
    trainer.add_callback(watch)
    state = agreed(lambda: _last_state(job.unfinished) if resumable else None)
    began = time.perf_counter()
    with _writing_states(job.unfinished):
        trainer.train(resume_from_checkpoint=state)
    seconds = time.perf_counter() - began
    model: Any = trainer.model
    if not job.rehearsal:
        save(model, start, job.settings, job.weights)
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    kept = sorted(job.checkpoints.glob("step-*[0-9]"))
    return Trained(
        model=ModelRef(
            name=job.name,
            location=str(job.weights),
            parent=job.start.name,
            fingerprint=_fingerprint(job),
        ),
        checkpoints=tuple(kept),
        metrics={
            **metrics,
            "steps": trainer.state.global_step,
            "final_loss": logs[-1]["loss"],
            "losses": curve(logs, "loss"),
            "grad_norms": curve(logs, "grad_norm"),
            "seconds": seconds,
            "step_seconds": watch.step_seconds,
            "device": str(trainer.args.device),
            "processes": job.launcher.processes,
            "peak_memory": peak_memory(),
            "precision": job.settings.precision
            if trainer.args.bf16
            else str(start.model.dtype).removeprefix("torch."),
        },
    )


def peak_memory() -> int:
    """Find the most bytes that one process has held: of its GPU's memory, or on a CPU at all."""
    if torch.cuda.is_available():
        mine = torch.cuda.max_memory_allocated()
    else:
        mine = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    held: list[int] = gather_object([mine])
    return max(held)


def _fingerprint(job: Job) -> str | None:
    """Hash the weights, in the one process whose word counts."""
    if job.rehearsal or not PartialState().is_main_process:
        return None
    return fingerprint(str(job.weights))


def curve(logs: list[dict[str, float]], key: str) -> list[JsonValue]:
    """Pick one figure's [step, value] pairs; a value is the mean since the pair before."""
    return [[int(entry["step"]), entry[key]] for entry in logs]


@contextmanager
def _writing_states(folder: Path) -> Iterator[None]:
    """Turn a full disk into one line, whatever library met it."""
    try:
        with writing(folder):
            yield
    except SafetensorError as error:
        raise unwritable(folder, str(error)) from error
    except RuntimeError as error:
        if "inline_container" not in str(error):  # torch.save's writer, which names no cause
            raise
        raise unwritable(folder, "the trainer's state could not be written whole") from error


def _last_state(folder: Path) -> str | None:
    """Find the newest whole state; a torn one is what an interruption left."""
    states = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    for state in reversed(states):
        try:
            json.loads((state / "trainer_state.json").read_text())  # the last file to be written
        except (OSError, ValueError):
            shutil.rmtree(state, ignore_errors=True)
        else:
            return str(state)
    return None
