"""A model on a Ray cluster: connect to it, and spread the model over it.

A cluster of our own has no dashboard, tells nobody that it is used, and ends with this process,
however that ends. A cluster that was there before is left as it is; what was started on it ends
with this process.
"""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from math import prod
from threading import Event, current_thread, main_thread
from typing import Any

import ray

from harness.config import Choice
from harness.engines.ray import Ray, no_cluster, reach
from harness.engines.ray_replica import Wanted, machines, opened
from harness.engines.spreading import Spread
from harness.errors import ConfigError
from harness.machine import handed_on
from harness.protocols import LoadedModel
from harness.records import ModelRef

_LOG = logging.getLogger(__name__)

_STORE = 128 * 2**20
"""Bytes of shared memory of a cluster of our own: rows are small, and weights are no objects."""


@contextmanager
def spread(model: ModelRef, config: Ray.Config) -> Iterator[LoadedModel]:
    """Open a model on the cluster; see `Ray.open`."""
    cluster = config.cluster
    connect(cluster.address)
    have = machines().values()
    gpus = cluster.gpus
    if gpus is None:
        gpus = _gpus(config.engine) if any(machine.get("GPU") for machine in have) else 0.0
    wanted = Wanted(
        model=model,
        engine=config.engine,
        gpus=gpus,
        cpus=cluster.cpus,
        stalled_after=cluster.stalled_after,
        # Processes of a cluster of our own inherit this environment.
        environment=handed_on() if cluster.address else {},
    )
    room = sum(_room(machine, wanted) for machine in have)
    replicas = config.replicas or room
    each = f"{gpus:g} GPUs and {cluster.cpus:g} cores"
    if cluster.address is None and (replicas > room or room == 0):
        raise ConfigError(
            f"this machine has room for {room} replicas of {each}, not for {replicas or 1}; ask "
            "for fewer (engine.replicas), for less (engine.cluster.gpus, .cpus), or name a cluster"
        )
    if replicas > room or room == 0:
        _LOG.warning(
            "the Ray cluster at %s has room for %d of %d replicas of %s as yet; the others join "
            "when machines come",
            *(ray.get_runtime_context().gcs_address, room, replicas or 1, each),
        )
    closing = Event()
    one = partial(opened, wanted, closing)
    with Spread([one] * max(1, replicas), cluster.window, closing) as loaded:
        yield loaded


def connect(address: str | None) -> None:
    """Connect this process to a cluster, or start one on this machine.

    Raises:
        ConfigError: there is no such cluster, it has another version of Ray or Python, or this
            process is connected to another one.
    """
    if ray.is_initialized():
        here = ray.get_runtime_context().gcs_address
        if address not in (None, "auto", here):
            raise ConfigError(
                f"engine.cluster.address is {address}, and this process is connected to {here}; "
                "all that a run asks for must be on one cluster"
            )
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    options: dict[str, Any] = {"address": address}
    if address is None:
        options = {
            "address": "local",  # also where the environment, or a file, names another one
            "num_cpus": len(os.sched_getaffinity(0)),
            "include_dashboard": False,
            "object_store_memory": _STORE,
        }
    else:
        reach(address)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
        if current_thread() is main_thread():  # Ray puts its own there, which aborts
            signal.signal(signal.SIGTERM, handler)
    except (OSError, RuntimeError, ValueError) as error:
        raise no_cluster(address, error) from error


def _gpus(engine: Choice) -> float:
    """Tell how many GPUs an engine works on, by the options that say so in `vllm`."""
    return float(prod(engine.options.get(name) or 1 for name in ("tensor_parallel", "replicas")))


def _room(machine: dict[str, float], wanted: Wanted) -> int:
    """Count the replicas that fit on a machine."""
    needs = {"GPU": wanted.gpus, "CPU": wanted.cpus}
    return min(
        (int(machine.get(what, 0) // need) for what, need in needs.items() if need), default=1
    )
