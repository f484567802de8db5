"""The servers of a pool, which all serve the same model: which of them is there, and makes a call.

    calls  0-15, 32-47 ...   are at home on server 1     up to `concurrency` at once
    calls 16-31, 48-63 ...   are at home on server 2     the same

Calls come in the order of their prompts, so that neighbours share most of what they begin with: the
samples of a prompt all of it, verdicts on its answers the rubric and the prompt. Where they stay
together a server has read that before. A server that has nothing left to do takes what is at home
elsewhere, so that none is idle; a call that failed on one is at home on the next.

A server that fails three times in a row is away: it is tried again, with one call, after a rest
that doubles as long as it stays away. What is the only server is asked on and on (`live`).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from harness.remote.calls import Call
from harness.remote.client import Client
from harness.remote.concurrency import Concurrency
from harness.remote.endpoint import Endpoint
from harness.remote.replies import Status

_NEIGHBOURS = 16
"""So many calls in a row are at home on one server."""
_GONE = 3
"""A server that fails so often in a row is away."""
_LONGEST = 60.0  # seconds of rest
_THROTTLED: frozenset[Status] = frozenset({"rate_limited", "time_out"})
_LOST: frozenset[Status] = frozenset({"connection", "server_error", "time_out", "garbage"})


class Server:
    """One server: where it is, how much it does at once, and whether it is there."""

    def __init__(self, endpoint: Endpoint, client: Client, most: int, rest: float | None) -> None:
        """Take in a server.

        Args:
            endpoint: Where it is.
            client: Calls it.
            most: Calls at once.
            rest: Seconds to leave it alone when it goes away; None where there is no other.
        """
        self.endpoint, self.client = endpoint, client
        self.room = Concurrency(most)
        self._shortest = self._rest = rest
        self._failed = 0
        self._found_away = self._away_until = float("-inf")

    def wait(self, now: float) -> float | None:
        """Seconds until a call may begin; None where one has to end first."""
        if now < self._away_until:
            return self._away_until - now
        if self._rest is not None and self._failed >= _GONE and self.room.in_flight:
            return self._shortest  # until the one call that tries it is back
        return self.room.wait(now)

    def answered(self) -> None:
        """A call was answered: it is there."""
        self._failed, self._rest = 0, self._shortest
        self.room.answered()

    def failed(self, began: float, now: float, pause: float, status: Status) -> None:
        """A call that began then failed for a passing cause; see `Concurrency.failed`."""
        self.room.failed(began, now, pause, status in _THROTTLED)
        if status not in _LOST or self._rest is None or began < self._found_away:
            return
        self._failed += 1
        if self._failed >= _GONE:
            self._found_away, self._away_until = now, now + self._rest
            self._rest = min(_LONGEST, 2 * self._rest)


@dataclass
class Try:
    """A call that has not come to anything yet."""

    call: Call
    number: int
    made: int = 0
    """How often it was made."""
    failed: int = 0
    """How often that counted."""
    begun: int = 0
    """How many calls of all had been answered when it was first made or, since it may be made
    again, first failed."""
    seen: int = 0
    """How many when it last failed."""

    def __lt__(self, other: "Try") -> bool:
        """What has failed comes first, so that trouble shows early; the rest comes in order."""
        return (-self.failed, self.number) < (-other.failed, other.number)


class Ready:
    """The calls that are ready to be made, by the server that each is at home on."""

    def __init__(self, calls: Sequence[Call], servers: int) -> None:
        self._heaps: list[list[Try]] = [[] for _ in range(servers)]
        self._count = asyncio.Semaphore(0)
        for number, call in enumerate(calls):
            self.put(Try(call, number))

    def put(self, one: Try) -> None:
        """Have a call made, by another server than the one on which it failed last."""
        home = one.number // _NEIGHBOURS + one.failed
        heappush(self._heaps[home % len(self._heaps)], one)
        self._count.release()

    async def take(self, server: int) -> Try:
        """Take the next call that a server, by its number, is to make; wait for one."""
        await self._count.acquire()
        return heappop(self._heaps[server] or max(self._heaps, key=len))
