"""One model, spread over replicas: processes, GPUs, nodes.

    with Spread([open_first, open_second], window=256) as model:
        for completion in model.generate(requests):
            ...

Each replica has a thread that opens it, asks it for rows (`backlog` says which), and opens it anew
when it is lost. What a lost replica had finished is kept, what it had not is asked of the others.
Replicas may come late and come back: whoever is there is given work.
"""

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from threading import Condition, Event, Thread
from time import monotonic
from typing import Any, cast

from harness.engines.backlog import Asked, Backlog, Made, Turn
from harness.errors import DataError, HarnessError
from harness.protocols import (
    Completion,
    Continuation,
    LoadedModel,
    LogLikelihood,
    Prompt,
    Request,
)
from harness.records import Failure, ModelRef

_LOG = logging.getLogger(__name__)

Open = Callable[[], AbstractContextManager[LoadedModel]]

_ATTEMPTS = 5
"""How often a replica is opened without being given a row, before it is given up."""
_FRUITLESS = 8
"""How many losses more than two for each replica, without a row finished in between, end it all:
so many in a row are not the rows' fault."""
_BACKOFF, _LONGEST = 1.0, 30.0
"""Seconds before a replica is opened again: at first, doubled each time, and at most."""


class ReplicaLost(Exception):
    """A replica's process or node died, or hangs: raised by the replica, when opened or asked.

    `blameless` says that its rows cannot be why: its node went away, say.
    """

    def __init__(self, why: str, blameless: bool = False) -> None:
        super().__init__(why)
        self.blameless = blameless


@dataclass(eq=False)
class _Replica:
    number: int
    open: Open
    model: LoadedModel | None = None
    """What it opened, while it is there."""
    attempts: int = 0
    """How often it was opened since it was last given a row."""
    gone: bool = False
    """Whether it was given up."""


class _Drawn(Iterator[Asked]):
    """What a replica is given, drawn one by one, from whichever thread.

    It ends where there is nothing for now; drawn again later, it may have something again.
    """

    def __init__(self, draw: Callable[[], Asked | None]) -> None:
        self._draw = draw

    def __next__(self) -> Asked:
        asked = self._draw()
        if asked is None:
            raise StopIteration
        return asked


class Spread:
    """A loaded model over replicas. Several threads may ask at once.

    Args:
        replicas: Each opens one. It may raise `ReplicaLost`, to be tried again, and so may what
            it opens; any other error while opening is final for the replica.
        window: The most completions that a replica is given at a time.
        closing: Set when the model is closed, for those who open or wait to look at.
    """

    concurrent = True

    def __init__(self, replicas: Sequence[Open], window: int, closing: Event | None = None) -> None:
        self.ref: ModelRef
        self.chat_template: str | None
        self.context: int
        self._backlog = Backlog(window)
        self._replicas = [_Replica(number, open) for number, open in enumerate(replicas)]
        self._closing = closing or Event()
        self._changed = Condition()
        self._opened = False
        self._error: Exception | None = None
        """Why nothing is to be hoped for any more."""
        self._fruitless = 0
        self._threads = [
            Thread(target=self._keep, args=(replica,), name=f"replica {number}", daemon=True)
            for number, replica in enumerate(self._replicas)
        ]

    def __enter__(self) -> "Spread":
        """Open all replicas; go on as soon as the first of them is there.

        Raises:
            HarnessError: what the first one said that cannot be opened.
        """
        for thread in self._threads:
            thread.start()
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._opened or self._error)
                if self._error is not None:
                    raise self._error
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all replicas; rows that are under way are waited for no longer than the next."""
        self._closing.set()
        with self._changed:
            self._backlog.fail(self._backlog.calls, self._closed())
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Complete every request, yielding the completions of a row when all are there."""
        return cast(Iterator[Completion], self._ask(Request, requests))

    def loglikelihood(self, requests: Iterable[Continuation]) -> Iterator[LogLikelihood]:
        """Score every continuation, yielding in any order."""
        return cast(Iterator[LogLikelihood], self._ask(Continuation, requests))

    def count_tokens(self, prompt: Prompt) -> int:
        """Count the prompt's tokens as `generate` would see them."""
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._serving or self._error or self._closing.is_set()
                )
                if not self._serving or self._closing.is_set():
                    raise self._error or self._closed()
                model = self._serving[0].model
            try:
                assert model is not None, "it serves"
                return model.count_tokens(prompt)
            except ReplicaLost:
                # Its thread finds out when it is asked next; another one may do.
                with self._changed:
                    self._changed.wait_for(lambda: self._error, timeout=_BACKOFF)

    def _ask(self, kind: type[Asked], requests: Iterable[Asked]) -> Iterator[Made]:
        asked = list(requests)
        with self._changed:
            if self._closing.is_set():
                raise self._closed()
            if self._error is not None:
                raise self._error
            call = self._backlog.call(kind, asked, len(self._replicas))
            left = len(call.waiting)
            self._changed.notify_all()
        try:
            for _ in range(left):
                row = call.results.get()
                if isinstance(row, Exception):
                    raise row
                yield from row
        finally:
            with self._changed:
                self._backlog.drop(call)

    def _closed(self) -> Exception:
        return RuntimeError("the model is closed; use it inside its `with` block")

    @property
    def _serving(self) -> Sequence[_Replica]:
        return [one for one in self._replicas if one.model is not None]

    def _keep(self, replica: _Replica) -> None:
        """Open a replica and have it serve, again and again."""
        while not self._closing.is_set():
            replica.attempts += 1
            began = monotonic()
            try:
                with replica.open() as model:
                    self._join(replica, model)
                    self._serve(replica, model)
            except ReplicaLost as lost:
                if self._closing.is_set():
                    return
                _LOG.warning("replica %d is lost: %s", replica.number, lost)
                if replica.attempts == _ATTEMPTS:
                    self._give_up(replica, lost)
                    return
                pause = min(_LONGEST, _BACKOFF * 2.0 ** max(0, replica.attempts - 1))
                self._closing.wait(max(0.0, began + pause - monotonic()))
            except Exception as error:  # noqa: BLE001  # whatever it is, somebody waits for it
                if not self._closing.is_set():
                    self._give_up(replica, error)
                return

    def _join(self, replica: _Replica, model: LoadedModel) -> None:
        """Let a replica take part, if it is like the others."""
        with self._changed:
            mine = (model.ref, model.chat_template, model.context)
            if not self._opened:
                self.ref, self.chat_template, self.context = mine
            elif mine != (self.ref, self.chat_template, self.context):
                raise DataError(
                    f"replica {replica.number} opened {model.ref.known_as}, with a context of "
                    f"{model.context}, and the others {self.ref.known_as}, with {self.context}; "
                    f"{model.ref.location} must hold the same on all machines"
                )
            self._opened = True
            replica.model = model
            self._changed.notify_all()

    def _serve(self, replica: _Replica, model: LoadedModel) -> None:
        """Ask a replica for rows until the model is closed.

        Raises:
            ReplicaLost: it was lost; its rows are with the others again.
        """
        try:
            while (turn := self._begin()) is not None:
                try:
                    self._take_turn(turn, model)
                except ReplicaLost as lost:
                    self._lose(replica, turn, lost)
                    raise
                except Exception as error:  # noqa: BLE001  # it is the caller's to see
                    self._end(turn, error)
                else:
                    self._end(turn)
                replica.attempts = 0
        finally:
            with self._changed:  # `count_tokens` may be about to take it
                replica.model = None

    def _take_turn(self, turn: Turn, model: LoadedModel) -> None:
        ask = cast(Any, model.generate if turn.kind is Request else model.loglikelihood)
        answers = ask(_Drawn(partial(self._draw, turn)))
        try:
            for made in answers:
                if not self._finish(turn, made):
                    return
        finally:
            if isinstance(answers, Generator):
                answers.close()

    def _begin(self) -> Turn | None:
        """Wait for a turn; None where there is none to come."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing.is_set() or self._backlog.waits)
            return None if self._closing.is_set() else self._backlog.turn()

    def _draw(self, turn: Turn) -> Asked | None:
        with self._changed:
            return self._backlog.draw(turn, len(self._serving))

    def _finish(self, turn: Turn, made: Made) -> bool:
        with self._changed:
            wanted = self._backlog.finish(turn, made)
            if made.id not in turn.rows:
                self._fruitless = 0
                self._changed.notify_all()  # shares have changed
            return wanted

    def _end(self, turn: Turn, error: Exception | None = None) -> None:
        """A turn is over; whoever still waits for a row of it hears why there is none."""
        with self._changed:
            turn.over = True
            waiting = {row.call for row in turn.rows.values()}
            if error is not None and not waiting:
                _LOG.warning("an engine failed after its last row", exc_info=error)
            left = RuntimeError(f"the engine left {len(turn.rows)} rows unanswered")
            self._backlog.fail(waiting, error or left)
            self._changed.notify_all()

    def _lose(self, replica: _Replica, turn: Turn, lost: ReplicaLost) -> None:
        """Put the rows of a lost replica back."""
        detail = f"alone with it a replica was lost, at last: {lost}"
        suspect = None if lost.blameless else Failure(reason="replica_lost", detail=detail)
        with self._changed:
            if turn.rows:
                replica.attempts = 0
            self._backlog.put_back(turn, suspect)
            self._fruitless += 1
            if self._fruitless > _FRUITLESS + 2 * len(self._replicas):
                self._despair(lost)
            self._changed.notify_all()

    def _give_up(self, replica: _Replica, error: Exception) -> None:
        with self._changed:
            replica.gone = True
            if not self._opened and not isinstance(error, ReplicaLost):
                self._error = error  # what is wrong with the first is wrong with all
            elif all(one.gone for one in self._replicas):
                self._despair(error)
            else:
                _LOG.warning("replica %d is given up: %s", replica.number, error)
            self._changed.notify_all()

    def _despair(self, error: Exception) -> None:
        """There is nobody left to ask."""
        self._error = HarnessError(
            f"no replica of the model can be had any more, the last one because: {error}; every "
            "finished row is kept: see to that, and give the same command"
        )
        self._backlog.fail(self._backlog.calls, self._error)
