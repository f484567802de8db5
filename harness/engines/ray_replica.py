"""One replica of a model on a Ray cluster: the process that holds it, and our end of it.

    ours:    opened(wanted) -> a LoadedModel that hands requests over and streams rows back
    theirs:  Holder         -> opens the model by the engine that was named, and asks it

An engine that several threads may ask (`Concurrent`) is handed more rows whenever some have come
back; any other engine is handed a chunk, and the next one when that is done. What finishes within
some milliseconds comes back together: a message costs as much as a small model spends on a row.
"""

import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Lock, Thread
from time import monotonic, sleep
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from harness import plugins
from harness.config import Choice
from harness.engines.spreading import ReplicaLost
from harness.errors import ConfigError, DataError
from harness.machine import Threads, use_threads
from harness.protocols import (
    Completion,
    Concurrent,
    Continuation,
    LoadedModel,
    LogLikelihood,
    Prompt,
    Request,
)
from harness.records import ModelRef

_THREADS = 128
"""How many calls a replica answers at a time."""
_GATHER = 0.01
"""Seconds in which what finishes is sent together."""
_LOOK = 0.5
"""Seconds between two looks at whether the model is being closed."""
_GOODBYE = 20.0
"""Seconds that a replica has to give its memory back by itself."""


@dataclass(frozen=True)
class Wanted:
    """What a replica is to be."""

    model: ModelRef
    engine: Choice
    gpus: float
    cpus: float
    stalled_after: float
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that its process is to have beside those of its machine."""


@dataclass(frozen=True)
class Found:
    """What a replica says that has opened its model."""

    ref: ModelRef
    chat_template: str | None
    context: int
    concurrent: bool
    node: str


class Holder:
    """Holds a model in a process of its own."""

    def __init__(self, threads: int, folder: str) -> None:
        # Before torch: the engine is imported only when it is opened.
        use_threads(Threads(threads, "the cores of a replica"))
        if Path(folder).is_dir():
            os.chdir(folder)  # so that what the request says means the same here
        self._stack = ExitStack()
        self._one_at_a_time = Lock()
        self._left: set[int] = set()

    def open(self, model: ModelRef, engine: Choice, is_local: bool) -> Found:
        """Open the model.

        Raises:
            DataError: its folder is not here.
        """
        if is_local and not Path(model.location).exists():
            raise DataError(
                f"{model.name} at {model.location} is not on {socket.gethostname()}; all machines "
                "of the cluster must see it under this path: keep it on a file system they share"
            )
        opened = plugins.build(plugins.ENGINES, engine).plugin.open(model)
        self._model = loaded = self._stack.enter_context(opened)
        self._concurrent = isinstance(loaded, Concurrent) and loaded.concurrent
        node = ray.get_runtime_context().get_node_id()
        return Found(loaded.ref, loaded.chat_template, loaded.context, self._concurrent, node)

    def generate(self, turn: int, requests: list[Request]) -> Iterator[list[Completion]]:
        """Complete requests, some at a time; a turn that was left ends."""
        yield from self._until_left(turn, self._model.generate, requests)

    def loglikelihood(
        self, turn: int, requests: list[Continuation]
    ) -> Iterator[list[LogLikelihood]]:
        """Score continuations, some at a time; a turn that was left ends."""
        yield from self._until_left(turn, self._model.loglikelihood, requests)

    def leave(self, turn: int) -> None:
        """End a turn: nobody waits for the rest of it."""
        self._left.add(turn)

    def count_tokens(self, prompt: Prompt) -> int:
        """Count the prompt's tokens."""
        return self._model.count_tokens(prompt)

    def close(self) -> None:
        """Give the model's memory back."""
        self._stack.close()

    def _until_left(self, turn: int, ask: Any, rows: list[Any]) -> Iterator[list[Any]]:
        with ExitStack() as stack:
            if not self._concurrent:
                stack.enter_context(self._one_at_a_time)
            for made in _gathered(ask(rows)):
                yield made
                if turn in self._left:
                    return


@dataclass(frozen=True)
class _End:
    """What follows the last row: the error that ended the stream, if one did."""

    error: BaseException | None = None


def _gathered(stream: Iterator[Any]) -> Iterator[list[Any]]:
    """Hand on what a stream yields, all that comes within `_GATHER` seconds at a time.

    A thread reads the stream, so that no row waits for the next one.
    """
    outbox: SimpleQueue[Any] = SimpleQueue()
    left = Event()

    def read() -> None:
        end = _End()
        try:
            while not left.is_set() and (made := next(stream, end)) is not end:
                outbox.put(made)
        except BaseException as error:  # noqa: BLE001  # it is raised below
            end = _End(error)
        outbox.put(end)

    thread = Thread(target=read, name="answering", daemon=True)
    thread.start()
    try:
        end = None
        while end is None:
            made = [outbox.get()]
            sleep(_GATHER)
            while not outbox.empty():
                made.append(outbox.get())
            if isinstance(made[-1], _End):
                end = made.pop()
            if made:
                yield made
        if end.error is not None:
            raise end.error
    finally:
        left.set()
        thread.join()


def machines() -> dict[str, dict[str, float]]:
    """List the machines that are there now, by id, with what each has in all (`CPU`, `GPU` ...)."""
    return {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}


@contextmanager
def opened(wanted: Wanted, closing: Event) -> Iterator[LoadedModel]:
    """Have a replica made somewhere on the cluster, as soon as there is room for it.

    Raises:
        ReplicaLost: its process or machine died, or it takes too long; or we are closing.
        ConfigError: the machine cannot run the harness.
        HarnessError: what the engine says that cannot open the model.
    """
    options = {
        "num_cpus": wanted.cpus,
        "num_gpus": wanted.gpus,
        "max_concurrency": _THREADS,
        "max_restarts": 0,  # we make a new one ourselves
        "runtime_env": {"env_vars": {**wanted.environment}} if wanted.environment else None,
    }
    holder: Any = (
        ray.remote(Holder).options(**options).remote(max(1, ceil(wanted.cpus)), os.getcwd())
    )
    replica = RayReplica(holder, wanted, closing)
    try:
        replica.open()
        yield replica
    finally:
        # A process that was never made, died or hangs is not waited for.
        with suppress(RayError):
            if replica.healthy:
                ray.get(holder.close.remote(), timeout=_GOODBYE)
        with suppress(RayError):
            ray.kill(holder)


class RayReplica:
    """A model in a process somewhere on a Ray cluster."""

    def __init__(self, holder: Any, wanted: Wanted, closing: Event) -> None:
        self.ref: ModelRef
        self.chat_template: str | None
        self.context: int
        self.concurrent = False
        self.healthy = False
        self._holder = holder
        self._wanted = wanted
        self._closing = closing
        self._node = ""
        self._turns = 0

    def open(self) -> None:
        """Wait for the process, which may have to wait for room, and have it open the model."""
        self._get(self._holder.__ray_ready__.remote(), patience=None)
        model = self._wanted.model
        is_local = Path(model.location).exists()
        self.healthy = True
        found: Found = self._get(
            self._holder.open.remote(model, self._wanted.engine, is_local),
            self._wanted.stalled_after,
        )
        self.ref, self.chat_template, self.context = found.ref, found.chat_template, found.context
        self.concurrent, self._node = found.concurrent, found.node

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Complete requests, yielding completions as they come."""
        return self._stream(self._holder.generate, requests)

    def loglikelihood(self, requests: Iterable[Continuation]) -> Iterator[LogLikelihood]:
        """Score continuations, yielding them as they come."""
        return self._stream(self._holder.loglikelihood, requests)

    def count_tokens(self, prompt: Prompt) -> int:
        """Count the prompt's tokens."""
        count: int = self._get(self._holder.count_tokens.remote(prompt), self._wanted.stalled_after)
        return count

    def _stream(self, verb: Any, requests: Iterable[Any]) -> Iterator[Any]:
        self._turns += 1
        turn, heard = self._turns, monotonic()
        streams: list[Any] = []
        verb = verb.options(num_returns="streaming")
        drawn = iter(requests)
        try:
            while True:
                if (self.concurrent or not streams) and len(streams) < _THREADS - 2:
                    if rows := list(drawn):
                        streams.append(verb.remote(turn, rows))
                    elif not streams:
                        return
                ready, _ = ray.wait(streams, timeout=_LOOK)
                for stream in ready:
                    made = next(stream, None)
                    if made is None:
                        streams.remove(stream)
                    else:
                        yield from self._value(made)
                if ready:
                    heard = monotonic()
                self._listen(heard, self._wanted.stalled_after)
        finally:
            if streams and self.healthy:
                self._holder.leave.remote(turn)

    def _get(self, ref: Any, patience: float | None) -> Any:
        asked = monotonic()
        while not ray.wait([ref], timeout=_LOOK)[0]:
            self._listen(asked, patience)
        return self._value(ref)

    def _listen(self, since: float, patience: float | None) -> None:
        """Wait no longer where we are closing, or nothing was heard for too long."""
        if self._closing.is_set():
            raise ReplicaLost("the model is being closed", blameless=True)
        if patience is not None and monotonic() - since > patience:
            self.healthy = False
            raise ReplicaLost(
                f"nothing came from it for {patience:g} seconds (engine.cluster.stalled_after)"
            )

    def _value(self, ref: Any) -> Any:
        try:
            return ray.get(ref)
        except RayTaskError as error:
            if isinstance(error.cause, Exception):
                raise error.cause from None
            raise
        except RayError as error:
            self.healthy = False
            why = " ".join(str(error).split())
            if isinstance(error, RayActorError) and error.actor_init_failed:
                raise ConfigError(
                    "a machine of the cluster cannot run the harness; install the same version "
                    f"with the same packages on all of them: {why[-300:]}"
                ) from None
            raise ReplicaLost(_short(why), blameless=self._has_lost_its_machine()) from None

    def _has_lost_its_machine(self) -> bool:
        return bool(self._node) and self._node not in machines()


def _short(why: str) -> str:
    """Leave out what Ray says of itself, before and after the cause."""
    return why.partition("The actor is dead because ")[2].partition(" Some common")[0] or why
