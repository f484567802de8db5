"""What a trainer can tell before it trains, and try out: for `harness plan`.

    Planner.plan(M0, 3)       -> a PlannedTraining for each iteration: Work(part, rows, tokens ...)
    Piloted.try_training(M0)  -> Tried, a few steps that were really taken

Both are optional; a trainer without them is planned for by its measurements alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from harness.protocols import Prompt, Request
from harness.records import ModelRef, StageResult


class Length(NamedTuple):
    """How long completions are."""

    mean: float
    """In tokens."""
    tail: float | None = None
    """The longest of a batch to the mean one: how long the last of them are waited for, by engines
    that decode batches to their end. None where nobody knows."""

    @classmethod
    def of(cls, lengths: Sequence[int]) -> "Length | None":
        """Measure completions by their numbers of tokens; None of nothing."""
        if not sum(lengths):
            return None
        mean = sum(lengths) / len(lengths)
        return cls(mean, max(lengths) / mean)


@dataclass(frozen=True)
class Lesson:
    """What a training asks of a machine, beside its rows and tokens."""

    updates: int
    """Steps of the optimizer."""
    batch_size: int
    """Rows an update."""
    micro_batch_size: int
    """Rows that a process holds at once."""
    sequences: int
    """Of a row: one, or of a preference pair two."""
    longest: int
    """Tokens of the longest sequence."""
    epochs: float
    reference: bool
    """Whether the start model's log-probabilities are computed first."""
    precision: Literal["float32", "mixed", "bfloat16"]
    gradient_checkpointing: bool
    lora: int | None
    """Rank of the adapters, where not the weights themselves are trained."""
    lora_modules: tuple[str, ...] | None
    """The layers that have adapters; every linear one for None."""
    adapter: bool
    """Whether they alone are kept, not whole weights."""
    processes: int
    strategy: Literal["ddp", "fsdp2", "zero3"]
    offload: bool
    checkpoints: int
    """Whole models kept on the way, beside the finished one."""


@dataclass(frozen=True)
class Work:
    """What a part of a stage will ask of a model, in total."""

    part: str
    """As in the run's costs: `candidates`, `train M2`."""
    kind: Literal["generate", "score", "train", "load", "idle"]
    """`load`: a model is opened, `rows` times. `idle`: no model is asked."""
    model: ModelRef | None = None
    rows: int = 0
    """Completions, continuations or rows to train on."""
    prompt_tokens: int = 0
    """Each prompt once for all of its completions. Of a training, all tokens of its rows, once."""
    new_tokens: int = 0
    samples: int = 1
    """Completions a prompt."""
    shared: int = 0
    """Tokens that all prompts begin with, which some engines read once."""
    most: int = 0
    """The most new tokens of a completion."""
    tail: float | None = None
    """Of the completions (`Length`)."""
    lesson: Lesson | None = None
    """Of a training."""


@dataclass(frozen=True)
class PlannedTraining:
    """What one call of `improve` will do, as far as it can be told beforehand."""

    models: tuple[ModelRef, ...]
    """What will come of it, baselines first; nobody knows yet where they will be."""
    work: tuple[Work, ...]
    """In the order of the run."""
    prompts: Mapping[str, Sequence[str]]
    """Prompts as many and as long as those of `Improvement.prompts` will be, by set."""
    dtype: str
    """What the models are saved in."""
    answer: Length | None = None
    """How long the models' answers will be, about; None where nobody knows."""
    verdict: Length | None = None
    """How long their verdicts will be."""
    assumptions: tuple[str, ...] = ()
    """What was not known and taken for granted, in sentences."""


@runtime_checkable
class Planner(Protocol):
    """What a trainer adds that can tell what it will do, for `harness plan`."""

    def plan(
        self,
        model: ModelRef,
        iterations: int,
        seed: int,
        count: Callable[[Prompt], int],
        earlier: Sequence[StageResult],
    ) -> Sequence[PlannedTraining]:
        """Tell what each training of a run will do, without torch and without writing anything.

        Args:
            model: M0.
            iterations: How many trainings.
            seed: The run's.
            count: Counts the tokens of a prompt.
            earlier: Training stages of a run like this one, or of a pilot, oldest first; lengths
                and shares that they tell are used instead of assumptions.

        Raises:
            DataError: what it would learn from is not as asked.
        """
        ...


@dataclass(frozen=True)
class Tried:
    """A few steps of a training, really done."""

    part: str
    """Of the run that they are from: `train M1`."""
    lesson: Lesson
    """What was done, in the terms of a plan."""
    rows: int
    tokens: int
    """Of all rows, once."""
    seconds: float
    """Of the steps, and of the reference pass."""
    startup_seconds: float
    """Before them, imports included."""
    longest_seconds: float
    """Of one step on the longest rows."""
    longest_tokens: int
    """Of these rows."""
    peak_bytes: int
    """The most memory that a process took in it: of its GPU, or on a CPU of the machine."""


@runtime_checkable
class Piloted(Protocol):
    """What a trainer adds that can try itself out, for `harness plan --pilot`."""

    def examples(self, model: ModelRef, seed: int, rows: int) -> Mapping[str, Sequence[Request]]:
        """Give requests as each of its parts will make them, `rows` completions a part or less."""
        ...

    def try_training(self, model: ModelRef, seed: int, folder: Path) -> Iterator[Tried]:
        """Do a few real steps of each kind of training, and one on the longest rows.

        Raises:
            HarnessError: it does not fit into memory, or cannot be trained at all.
        """
        ...
