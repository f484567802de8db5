"""The `checkpoints` trainer: hand over models that were trained elsewhere, one a round.

    [model]
    location = "./base"                     # M0
    [trainer]
    name = "checkpoints"
    models = ["./sft", "./step-1000", { name = "final", location = "org/model", parent = "M1" }]

Nothing is trained here: with `--iterations 3` the run measures M0, M1, M2 and `final` in order, as
if it had made them. A location is whatever the engine opens: a folder of weights, a hub id, a model
on a server, or, with the `stored` engine, a file of answers.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from harness.errors import ConfigError, DataError
from harness.planned import PlannedTraining
from harness.protocols import Improvement, Prompt, Workspace
from harness.records import ModelRef, Record, StageResult

_ENDINGS = (".json", ".jsonl", ".gz", ".csv", ".parquet")


class Checkpoint(Record):
    """A model that is there already."""

    location: str
    revision: str | None = None
    name: str | None = Field(default=None, pattern=r"^[\w.+-]+$")
    """What it is called in the run; M1, M2 ... by its place without."""
    parent: str | None = None
    """The name of the model it was trained from; the one before it without."""


class Checkpoints:
    """Trains nothing: its models come from elsewhere."""

    class Config(Record):
        """Which models, oldest first."""

        models: tuple[Checkpoint, ...] = Field(min_length=1)

        @field_validator("models", mode="before")
        @classmethod
        def _a_bare_location_is_a_model(cls, value: Any) -> Any:
            if not isinstance(value, list | tuple):
                return value
            return [{"location": one} if isinstance(one, str) else one for one in value]

    def __init__(self, config: Config) -> None:
        self.config = config
        self.names = [one.name or f"M{place}" for place, one in enumerate(config.models, start=1)]

    def check(self, model: ModelRef, seed: int, iterations: int) -> None:
        """Find out whether there is a model for every round, each under a name of its own.

        Raises:
            ConfigError: there is not.
            DataError: a location is a path, and nothing is there.
        """
        names = [model.name, *self.names]
        if iterations > len(self.names):
            raise ConfigError(
                f"trainer checkpoints has {len(self.names)} models, and the run has {iterations} "
                f"iterations; name more, or give --iterations {len(self.names)}"
            )
        if twice := {name for name in names if names.count(name) > 1}:
            raise ConfigError(
                f"trainer checkpoints names {', '.join(sorted(twice))} twice, {model.name} being "
                "the model that the run begins with; give each model a name of its own"
            )
        for place, one in enumerate(self.config.models):
            if one.parent is not None and one.parent not in names[: place + 1]:
                raise ConfigError(
                    f"{names[place + 1]} has the parent {one.parent}, and before it there are "
                    f"{', '.join(names[: place + 1])}; name one of those"
                )
            if _is_path(one.location) and not Path(one.location).exists():
                raise DataError(
                    f"there is nothing at {one.location}, where {names[place + 1]} is said to be; "
                    "name a folder of weights, or what else the engine opens"
                )

    def plan(
        self,
        model: ModelRef,
        iterations: int,
        seed: int,
        count: Callable[[Prompt], int],
        earlier: Sequence[StageResult],
    ) -> Sequence[PlannedTraining]:
        """Tell which models there will be; nothing is done to them."""
        self.check(model, seed, iterations)
        return [
            PlannedTraining((self._made(model, number),), (), {}, "bfloat16")
            for number in range(1, iterations + 1)
        ]

    def improve(self, model: ModelRef, iteration: int, workspace: Workspace) -> Improvement:
        """Hand over the round's model."""
        return Improvement(self._made(model, iteration))

    def _made(self, model: ModelRef, iteration: int) -> ModelRef:
        checkpoint = self.config.models[iteration - 1]
        before = model.name if iteration == 1 else self.names[iteration - 2]
        return ModelRef(
            name=self.names[iteration - 1],
            location=checkpoint.location,
            revision=checkpoint.revision,
            parent=checkpoint.parent or before,
        )


def _is_path(location: str) -> bool:
    """Tell a path from what may be a name on the hub or a server."""
    return location.startswith((".", "/")) or location.endswith(_ENDINGS)
