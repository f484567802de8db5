"""The `ray` engine: any other engine, spread over a Ray cluster.

    [engine]
    name = "ray"
    engine = { name = "transformers", batch_rows = 64 }    # any engine here, with its own options
    replicas = 8                                           # without it: as many as have room
    cluster = { address = "auto", gpus = 1, cpus = 4 }     # without an address: this machine

Each replica is a process on some machine of the cluster, with GPUs and cores of its own, that opens
the model by the engine that is named and sends rows back as they finish. Rows that were sent are
kept whatever happens; of a process or a machine that dies, or that says nothing for `stalled_after`
seconds, only the rows it was at are asked again. Replicas that the cluster has no room for wait,
and join once a machine comes.

The machines must have the harness and the engine's packages installed (`pip install` of the same
versions), and see the model under the same path: a folder belongs on a file system they share.

What `replicas` and `cluster` say may change between two attempts of a run. This is the door only:
what is behind it imports Ray.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from re import fullmatch
from typing import ClassVar

from pydantic import Field, field_validator

from harness import plugins
from harness.config import Choice
from harness.errors import ConfigError
from harness.machine import installed, knock, ray_address
from harness.protocols import Checked, Elsewhere, Engine, LoadedModel, Remote
from harness.records import ModelRef, Record

OLDEST = (2, 60)
"""The oldest Ray that this is made for and tested with."""


class Cluster(Record):
    """Where replicas are, and what each of them has."""

    address: str | None = None
    """`auto` (the cluster of this machine) or `host:port`. None: one of our own, on this machine,
    that ends with the process."""
    gpus: float | None = Field(default=None, ge=0)
    """For each replica, all in one machine. None: where the cluster has any, as many as the
    engine's `tensor_parallel` times its own `replicas` (1 without them), else 0."""
    cpus: float = Field(default=1, ge=0)
    """Cores for each replica; so many threads does its mathematics use."""
    window: int = Field(default=256, ge=1)
    """The most completions that a replica is given at a time: at least what it does at once."""
    stalled_after: float = Field(default=900, gt=0)
    """Seconds without a row, or for opening the model, after which a replica is replaced."""

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, address: str | None) -> str | None:
        if address is not None and not fullmatch(r"auto|[^/\s:]+:\d+", address):
            raise ValueError("must be `auto` or `host:port`, as in `head:6379`")
        return address


class Ray:
    """Spreads an engine over a Ray cluster."""

    light: ClassVar[bool] = False

    class Config(Record):
        """Which engine, how often, and where."""

        engine: Choice = Field(default=Choice(name="transformers"), validate_default=True)
        replicas: int | None = Field(default=None, ge=1)
        """How often the model is opened. None: as often as the cluster has room for at first."""
        cluster: Cluster = Cluster()

        @field_validator("engine")
        @classmethod
        def _is_checked(cls, choice: Choice) -> Choice:
            """Check the engine's own options here, and write out its defaults."""
            built = plugins.build(plugins.ENGINES, choice)
            if isinstance(built.plugin, Remote | Ray):
                raise ValueError(
                    f"{choice.name!r} asks many at once by itself: name it as the engine, not here"
                )
            return Choice.model_validate(built.options)

    def __init__(self, config: Config) -> None:
        self.config = config

    def check(self, model: ModelRef) -> None:
        """Find out, before M0 is measured, whether Ray is here; on this machine, the engine too.

        Raises:
            ConfigError: it is missing, or too old, or nobody is at the cluster's address; or what
                the engine says.
            DataError: what the engine says of the model.
        """
        self._check_ray()
        engine, cluster = self._engine(), self.config.cluster
        if cluster.address is None:
            cores, asked = len(os.sched_getaffinity(0)), self.config.replicas or 1
            if asked * cluster.cpus > cores:
                raise ConfigError(
                    f"{asked} replicas of {cluster.cpus:g} cores each (engine.replicas, "
                    f".cluster.cpus) do not fit on this machine, which has {cores}; ask for fewer "
                    "or less, or name a cluster"
                )
            if isinstance(engine, Checked):
                engine.check(model)
        else:
            reach(cluster.address)
            self.check_model(model)

    def check_model(self, model: ModelRef) -> None:
        """Find out what the engine says of the model, whatever the cluster's machines have.

        Raises:
            ConfigError: its options do not go with the model.
            DataError: the location holds no model, or none that the engine opens.
        """
        engine = self._engine()
        if isinstance(engine, Elsewhere):
            engine.check_model(model)

    def packages(self) -> Mapping[str, str]:
        """Say which versions the engine's results depend on, as far as they are those of here."""
        engine = self._engine()
        return engine.packages() if isinstance(engine, Elsewhere) else {}

    def _check_ray(self) -> None:
        found = installed("ray")
        if found is None:
            raise ConfigError(
                "the engine 'ray' needs Ray, which is not installed: pip install '.[ray]', or name "
                f"{self.config.engine.name!r} itself as the engine"
            )
        if tuple(int(part) for part in found.split(".")[:2] if part.isdigit()) < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            raise ConfigError(
                f"the engine 'ray' needs Ray {oldest} or newer, and {found} is installed: "
                "pip install '.[ray]'"
            )

    def _engine(self) -> Engine:
        return plugins.build(plugins.ENGINES, self.config.engine).plugin

    @contextmanager
    def open(self, model: ModelRef) -> Iterator[LoadedModel]:
        """Open a model on the cluster; go on once its first replica is there.

        Raises:
            ConfigError: Ray is missing or too old, there is no such cluster, or a replica does
                not fit on this machine.
            HarnessError: whatever the engine says that cannot open the model.
        """
        self._check_ray()
        spread: Callable[[ModelRef, Ray.Config], AbstractContextManager[LoadedModel]]
        spread = import_module("harness.engines.ray_cluster").spread
        with spread(model, self.config) as loaded:
            yield loaded


def reach(address: str) -> None:
    """See whether there is a cluster, as far as that can be told without Ray.

    Raises:
        ConfigError: there is none.
    """
    at = ray_address() if address == "auto" else address
    try:
        if at is not None:  # Ray looks further
            knock(at)
    except OSError as error:
        raise no_cluster(at, error) from error


def no_cluster(address: str | None, error: Exception) -> ConfigError:
    """Say that there is no cluster, and why."""
    return ConfigError(
        f"no Ray cluster at {address or 'this machine'} that this process can join: "
        f"{' '.join(str(error).split())[:300]}; start one (`ray start --head`), mend the ray "
        "engine's cluster.address, or leave it out for one of its own on this machine"
    )
