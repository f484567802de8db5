"""What supervised fine-tuning and preference optimisation are both asked for.

    SFT(learning_rate=5.5e-6, final_learning_rate=1.1e-6, batch_size=16, dropout=0.1)   the paper
    SFT(learning_rate=1e-3, warmup_steps=20, batch_size=32, epochs=2)                  micro-world

These are records, so a request can hold them; importing this module loads no torch.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from harness.errors import ConfigError
from harness.records import Record

Probability = Annotated[float, Field(ge=0, lt=1)]


class LoRA(Record):
    """Train low-rank adapters instead of the weights (Hu et al. 2021)."""

    r: int = Field(16, ge=1)
    """Rank of the update."""
    alpha: int = Field(32, ge=1)
    """The update is scaled by alpha / r."""
    dropout: Probability = 0.0
    """On the adapter's input."""
    target_modules: tuple[str, ...] | Literal["all-linear"] = "all-linear"
    """Names of the layers to adapt; `all-linear` is every linear layer but the output one."""
    save: Literal["merged", "adapter"] = "merged"
    """Whole weights, which every engine can open, or only the adapter beside its start model."""


class Launcher(Record):
    """Where a training's processes run, and how they share the model between them."""

    name: Literal["in_process", "accelerate", "ray"] = "in_process"
    """`accelerate`: one node, by `accelerate launch`; `ray`: a cluster, by Ray Train."""
    processes: int = Field(default=1, ge=1)
    """In all, one a GPU."""
    strategy: Literal["ddp", "fsdp2", "zero3"] = "ddp"
    """`ddp`: every process holds the whole model. `fsdp2` (torch's own) and `zero3` (DeepSpeed):
    weights, gradients and optimizer state are divided among them."""
    offload: bool = False
    """Keep what `fsdp2` or `zero3` divides in the machine's own memory, at the price of speed."""
    stalled_after: float = Field(default=3600.0, gt=0)
    """Seconds without a step, or another sign of life, after which the processes are ended."""
    restarts: int = Field(default=3, ge=0)
    """How often `ray` starts again from the last checkpoint when a worker or a node dies."""

    @model_validator(mode="after")
    def _can_be_done(self) -> Self:
        if self.name == "in_process" and (self.processes > 1 or self.strategy != "ddp"):
            raise ValueError(
                f"launcher in_process is one process that holds the whole model, and processes = "
                f'{self.processes}, strategy = "{self.strategy}" were asked for; '
                'name = "accelerate" (one node) or "ray" (a cluster) starts more'
            )
        if self.offload and self.strategy == "ddp":
            raise ValueError('offload moves what is divided, and strategy = "ddp" divides nothing')
        return self


IN_PROCESS = Launcher()
"""Where trainings run unless a request says otherwise."""


class Settings(Record):
    """How the weights are updated. Fields only: each training adds its own."""

    learning_rate: float = Field(gt=0)
    """The highest, reached after the warm-up."""
    final_learning_rate: float = Field(0.0, ge=0)
    """What the schedule ends at."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls after the warm-up; `constant` stays at `learning_rate`."""
    warmup_steps: int = Field(0, ge=0)
    """Over how many steps the learning rate rises linearly from 0."""
    batch_size: int = Field(16, ge=1)
    """Rows (for preferences: pairs) an update."""
    micro_batch_size: int | None = Field(None, ge=1)
    """Rows in memory of a process at once; gradients add up to a whole batch. None: all of them."""
    epochs: float = Field(1.0, gt=0)
    """How often each row is seen."""
    max_steps: int | None = Field(None, ge=1)
    """Updates in all, whatever `epochs` says."""
    weight_decay: float = Field(0.0, ge=0)
    adam_betas: tuple[Probability, Probability] = (0.9, 0.999)
    max_grad_norm: float = Field(1.0, ge=0)
    """Gradients are scaled down to this length; 0 leaves them."""
    dropout: Probability = 0.0
    """During training, wherever the architecture has dropout; an error where it has none."""
    max_length: int | None = Field(None, ge=2)
    """Tokens of prompt and completion together. None: the model's context."""
    too_long: Literal["drop", "error"] = "error"
    """A longer row is either left out and counted, or stops the training before it starts."""
    gradient_checkpointing: bool = False
    """Compute activations twice instead of keeping them. Ignored on a CPU."""
    precision: Literal["float32", "mixed", "bfloat16"] = "mixed"
    """`mixed`: float32 weights, bfloat16 arithmetic on a GPU (on a CPU as `float32`).
    `bfloat16`: weights too, at half the memory, but updates below 1/256 of a weight round away;
    under LoRA only the frozen weights are bfloat16, which costs nothing."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """What the weights are saved in."""
    checkpoint_every: int | None = Field(None, ge=1)
    """Keep the weights every so many steps, and continue from there after an interruption."""
    lora: LoRA | None = None
    report_to: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()
    """Trackers that shall follow along, through transformers' own option of this name."""

    @model_validator(mode="after")
    def _figures_fit(self) -> Self:
        if self.schedule != "constant" and self.final_learning_rate >= self.learning_rate:
            raise ValueError(
                f"final_learning_rate {self.final_learning_rate:g} must be below learning_rate "
                f'{self.learning_rate:g}; to keep the rate, set schedule = "constant"'
            )
        if self.micro_batch_size and self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"batch_size {self.batch_size} must be a multiple of micro_batch_size "
                f"{self.micro_batch_size}"
            )
        return self

    def share(self, processes: int) -> tuple[int, int]:
        """Divide an update's rows.

        Returns:
            Rows of an update that each process takes, and how many of them at once. Of twice as
            many processes as rows every second one only lends its memory.

        Raises:
            ConfigError: they do not divide.
        """
        if processes % self.batch_size == 0:
            return 1, 1
        if self.batch_size % processes:
            raise ConfigError(
                f"batch_size {self.batch_size} cannot be divided among {processes} processes; "
                "make it a multiple of launcher.processes"
            )
        share = self.batch_size // processes
        micro = min(self.micro_batch_size or share, share)
        if share % micro:
            raise ConfigError(
                f"each of {processes} processes takes {share} rows of batch_size "
                f"{self.batch_size}, which is no multiple of micro_batch_size {micro}"
            )
        return share, micro
