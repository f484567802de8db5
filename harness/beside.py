"""Work beside the main path: a thread that takes what is ready as soon as it is.

    with Beside(judge) as judging:      judge(batches) runs in a thread of its own,
        for answers in ...:
            judging.put(answers)        where each batch is all that was put since the last
    # here everything is done, or the first error, whoever made it, has been raised

What goes wrong there ends the run at its next check, and what goes wrong here ends the thread.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from threading import Condition, Thread, current_thread
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")


class Halted(Exception):
    """Nobody wants any more of what this thread does; the error of another one says why."""


class Halt:
    """What has gone wrong in a thread beside, so that a run is to end; the first error counts."""

    def __init__(self) -> None:
        self._home = current_thread()
        self._why: BaseException | None = None
        self.changed = Condition()
        """What threads of the run wait on; a halt wakes all of them."""

    @property
    def pulled(self) -> bool:
        """Whether the run is to end."""
        return self._why is not None

    def pull(self, why: BaseException) -> None:
        """Have all threads stop at their next check."""
        with self.changed:
            self._why = self._why or why
            self.changed.notify_all()

    def check(self) -> None:
        """Stop here, if the run is to end, or this thread.

        Raises:
            BaseException: what has gone wrong, on the main path.
            Halted: in any other thread.
        """
        mine = _MINE.get()
        if mine is not None and mine.unwanted:
            raise Halted
        if self._why is not None:
            raise self._why if current_thread() is self._home else Halted


class Beside(Generic[T]):
    """A thread that is handed what is ready; it begins with the first thing that is."""

    def __init__(
        self,
        work: Callable[[Iterator[list[T]]], None],
        halt: Halt | None = None,
        waiting: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        """Take the work.

        Args:
            work: Is given batches, each of all that is ready; it waits for the next one there.
            halt: Tells the run what has gone wrong there, and this thread what has elsewhere.
            waiting: Is entered while the main path waits for the thread.
        """
        self._work, self._halt, self._waiting = work, halt or Halt(), waiting
        self._changed = self._halt.changed
        self._ready: list[T] = []
        self._busy = self._closed = False
        self.unwanted = False
        """Whether nobody wants the rest of the work."""
        self._thread: Thread | None = None

    def put(self, one: T) -> None:
        """Hand something over.

        Raises:
            BaseException: what has gone wrong in the thread; it takes no more.
        """
        self._halt.check()
        with self._changed:
            self._ready.append(one)
            self._changed.notify_all()
        if self._thread is None:
            self._thread = Thread(target=self._run, name="beside", daemon=True)
            self._thread.start()

    @property
    def under_way(self) -> bool:
        """Whether something that was put is not done, and may yet be."""
        return not self._halt.pulled and bool(self._ready or self._busy)

    def wait(self) -> None:
        """Wait until all that was put is done.

        Raises:
            BaseException: what has gone wrong in the thread.
        """
        with self._waiting(), self._changed:
            self._changed.wait_for(lambda: not self.under_way)
        self._halt.check()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the thread: when everything is done or, after an error, as soon as may be."""
        with self._changed:
            self._closed, self.unwanted = True, error is not None
            self._changed.notify_all()
        if self._thread is not None:
            with self._waiting():
                self._thread.join()
        if error is None:
            self._halt.check()

    def _run(self) -> None:
        _MINE.set(self)
        try:
            self._work(self._batches())
        except BaseException as error:  # noqa: BLE001  # the main path raises it
            if not self.unwanted:
                self._halt.pull(error)
        finally:
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _batches(self) -> Iterator[list[T]]:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._ready or self._closed or self._halt.pulled)
                self._halt.check()
                if not self._ready:
                    return
                ready, self._ready = self._ready, []
                self._busy = True
            yield ready


_MINE: ContextVar[Beside[Any] | None] = ContextVar("mine", default=None)
"""Whose thread the present one is."""
