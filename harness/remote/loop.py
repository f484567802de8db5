"""An event loop in a thread of its own, so that whoever asks may take time over an answer.

with closing(loop.run(work)) as rows:    work(put) runs there, and what it puts comes out here
    for row in rows: ...
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from harness.beside import Halted

T = TypeVar("T")


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False
        self._thread = Thread(target=self._loop.run_forever, name="calls", daemon=True)
        self._thread.start()

    def run(
        self, work: Callable[[Callable[[list[T]], None]], Coroutine[Any, Any, None]]
    ) -> Generator[list[T], None, None]:
        """Do work there, and yield here what it puts; stop it when nobody takes that any more.

        Raises:
            Halted: it was stopped by `stop`.
        """
        outbox: SimpleQueue[list[T] | asyncio.Task[None]] = SimpleQueue()
        begun: list[asyncio.Task[None]] = []

        def begin() -> None:
            task = self._loop.create_task(work(lambda rows: outbox.put(rows)))
            begun.append(task)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda task: outbox.put(task))
            if self._stopped:
                task.cancel()

        self._loop.call_soon_threadsafe(begin)
        ended = None
        try:
            while not isinstance(ended := outbox.get(), asyncio.Task):
                yield ended
        finally:
            if not isinstance(ended, asyncio.Task):
                if not self._loop.is_closed():
                    self._loop.call_soon_threadsafe(lambda: begun[0].cancel())
                while not isinstance(ended := outbox.get(), asyncio.Task):
                    pass  # what was answered meanwhile is in the books
            error = Halted() if ended.cancelled() else ended.exception()
        if error is not None:
            raise error

    def stop(self) -> None:
        """Stop what is under way there, and whatever is begun after, from any thread."""
        with suppress(RuntimeError):  # it is closed: nothing is under way
            self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        self._stopped = True
        for task in self._tasks:
            task.cancel()

    def close(self, last: Coroutine[Any, Any, None]) -> None:
        """Stop what is under way there, do one last thing, and end the thread."""
        asyncio.run_coroutine_threadsafe(self._end(last), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self, last: Coroutine[Any, Any, None]) -> None:
        under_way = list(self._tasks)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await last
