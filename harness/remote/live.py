"""Make many calls at once, each as often as it takes, and none more than is allowed.

    ready calls -> turn (concurrency, budget) -> call -> settle -> answer: deliver
         ^                                                  |
         '------ wait: backoff, or as the server asks ------'

Every server has as many lanes as it may do calls at once, and all lanes take from the same calls;
which server takes which is `pool`'s to say.

A call that fails for a passing cause waits, off the road, and is made again, `attempts` times; a
call that is throttled while others are answered was only in a queue, and has that attempt back.
Waits are drawn with full jitter from 0 to `backoff * 2^(attempts so far)` seconds (Brooker 2015,
"Exponential Backoff and Jitter"), never shorter than what the server asks for.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from random import Random

from harness.engines.openai import Calls
from harness.errors import BudgetExceeded, HarnessError, JudgeUnavailable
from harness.remote.accounts import Accounts
from harness.remote.calls import Call
from harness.remote.endpoint import Endpoint
from harness.remote.pool import Ready, Server, Try
from harness.remote.replies import ANSWERS, FAILURES, FATAL, PASSING, Heard, Reply, Status

Deliver = Callable[[Call, Reply], None]
"""Takes a call, and what it finally came to."""

_LONGEST = 60.0  # seconds of backoff
_PATIENCE = 300.0  # seconds; a server that wants to be left alone for longer is not there
_STAGGER = 0.0015  # seconds; calls that begin together come back together, and have to queue
_LOOK_AGAIN = 0.1  # seconds; for money that another model's calls have set aside


@dataclass
class Unanswered:
    """What the server did not answer, although it was asked as often as was allowed."""

    causes: Counter[Status] = field(default_factory=Counter)
    example: str = ""
    not_asked: int = 0
    """How many calls were not made any more."""


class Live:
    """Asks servers call by call."""

    def __init__(
        self, servers: Sequence[Server], accounts: Accounts, settings: Calls, give_up: bool
    ) -> None:
        """Take whom to ask, and how.

        Args:
            servers: Who makes the calls; any of them may make any.
            accounts: Where calls are reserved and settled.
            settings: How fast, and how patiently.
            give_up: Whether to ask for nothing more once a call has failed as often as is allowed
                and no other was answered meanwhile.
        """
        self._servers, self._accounts = servers, accounts
        self._settings, self._give_up = settings, give_up
        self._random = Random(0)
        self._changed = asyncio.Event()
        """Set when a call of any round ends: there is room."""

    @property
    def in_flight(self) -> int:
        """How many calls are under way."""
        return sum(server.room.in_flight for server in self._servers)

    async def change(self) -> None:
        """Wait until a call ends."""
        await self._changed.wait()

    def wake(self) -> None:
        """Say that a call has ended."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def ask(self, calls: Sequence[Call], deliver: Deliver) -> Unanswered:
        """Make all calls, and deliver what each comes to, unless the server does not answer it.

        Raises:
            JudgeUnavailable: the server refuses every call, or another model answers than before.
            BudgetExceeded: the next call could cost more than is left.
            StoreError: the books cannot be written.
        """
        return await _Round(self, calls, deliver).done()


class _Round:
    """One `Live.ask` under way."""

    def __init__(self, live: Live, calls: Sequence[Call], deliver: Deliver) -> None:
        self._live, self._deliver = live, deliver
        self._ready = Ready(calls, len(live._servers))
        self._asked = self._open = len(calls)
        self._answered = self._under_way = 0
        self._unanswered = Unanswered()
        self._stopped: HarnessError | None = None
        self._down = False
        self._finished = asyncio.Event()

    async def done(self) -> Unanswered:
        """Do everything; whatever goes wrong, no call is left under way."""
        lanes = min(self._live._settings.concurrency, self._open)
        turns = product(range(lanes), range(len(self._live._servers)))
        tasks = [
            asyncio.create_task(self._lane(server, place * _STAGGER))
            for place, (_, server) in enumerate(turns)
        ]
        finished = asyncio.create_task(self._finished.wait())
        try:
            if tasks:
                await asyncio.wait([finished, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (finished, *tasks):
                task.cancel()
            ended = await asyncio.gather(finished, *tasks, return_exceptions=True)
        for error in ended:
            if isinstance(error, BaseException) and not isinstance(error, asyncio.CancelledError):
                raise error
        if self._stopped is not None:
            raise self._stopped
        self._unanswered.not_asked = self._open
        return self._unanswered

    async def _lane(self, number: int, begin: float) -> None:
        """Have a server, by its number, make calls, one after the other."""
        await asyncio.sleep(begin)
        server = self._live._servers[number]
        while True:
            one = await self._ready.take(number)
            wait = self._wait_for(server, one)
            if wait == 0:
                await self._make(one, server)
            else:
                self._ready.put(one)  # another server may have room for it
            if not self._open or (self._over and not self._under_way):
                self._finished.set()  # whatever other rounds still have under way
            if wait is None:
                await self._live.change()
            elif wait:
                await asyncio.sleep(wait)

    @property
    def _over(self) -> bool:
        return self._stopped is not None or self._down

    def _wait_for(self, server: Server, one: Try) -> float | None:
        """Seconds until a call may be made, 0 if it is to be now; None: once another has ended."""
        if self._over:
            return None
        wait = server.wait(time.monotonic())
        if wait != 0 or self._live._accounts.reserve(one.call):
            return wait
        others = self._live._accounts.others_call
        if self._live.in_flight:
            return None
        if others:
            return _LOOK_AGAIN
        self._stopped = self._budget(one.call)
        return None

    async def _make(self, one: Try, server: Server) -> None:
        """Make a call, write it down, and see what becomes of it."""
        live = self._live
        began = time.monotonic()
        if not one.made:
            one.begun = one.seen = self._answered
        one.made += 1
        self._under_way += 1
        server.room.begin()
        try:
            heard = await server.client.ask(one.call.body)
        except asyncio.CancelledError:
            heard = Heard(lost="cancelled", seconds=time.monotonic() - began)
            live._accounts.settle(one.call, one.made, heard)
            raise
        finally:
            self._under_way -= 1
            server.room.end()
        reply = live._accounts.settle(one.call, one.made, heard)
        self._conclude(one, server, reply, heard, began)
        live.wake()

    def _conclude(self, one: Try, server: Server, reply: Reply, heard: Heard, began: float) -> None:
        live, status = self._live, reply.status
        if status in FATAL:
            self._stopped = self._stopped or self._fatal(one.call, server.endpoint, reply)
            return
        queued = status == "rate_limited" and self._answered > one.seen
        one.failed, one.seen = one.failed + (not queued), self._answered
        last = one.failed >= live._settings.attempts
        if one.failed == 1 and not last:
            one.begun = self._answered
        wait = self._wait(one.failed, heard.pause)
        if status in ANSWERS or status in FAILURES or (status == "empty" and last):
            # A model that says nothing, however often it is asked, has answered.
            server.answered()
            self._answered += 1
            self._open -= 1
            self._deliver(one.call, reply)
        elif heard.pause is not None and heard.pause > _PATIENCE:
            self._stopped = self._stopped or JudgeUnavailable(
                f"{live._accounts.target.model} at {server.endpoint.host} wants to be left alone "
                f"for {heard.pause:.0f} seconds ({reply.detail}); every answer is kept: give the "
                "same command after that"
            )
        elif status in PASSING and not last:
            asked = "rate_limited" if heard.pause is not None else status
            server.failed(began, time.monotonic(), wait, asked)
            asyncio.get_running_loop().call_later(wait, self._ready.put, one)
        else:
            self._open -= 1
            self._unanswered.causes[status] += 1
            self._unanswered.example = self._unanswered.example or reply.detail
            self._deliver_unanswered(one, reply)

    def _deliver_unanswered(self, one: Try, reply: Reply) -> None:
        if not self._live._give_up:
            self._deliver(one.call, reply)
        elif self._answered == one.begun:
            self._down = True

    def _wait(self, failed: int, pause: float | None) -> float:
        """Draw how long to wait before a call is made again."""
        settings = self._live._settings
        longest = min(_LONGEST, settings.backoff * 2.0 ** max(0, failed - 1))
        drawn = self._live._random.uniform(0, longest)
        return drawn if pause is None else pause + min(drawn, settings.backoff)

    def _fatal(self, call: Call, endpoint: Endpoint, reply: Reply) -> HarnessError:
        """Say why no call is going to be answered."""
        model = self._live._accounts.target.model
        match reply.status:
            case "no_key" if not endpoint.has_key:
                return JudgeUnavailable(
                    f"{endpoint.refused}; every answer is kept: give the same command after that"
                )
            case "no_key":
                return JudgeUnavailable(
                    f"{endpoint.host} refuses the key in {endpoint.variable} ({reply.detail}); "
                    "every answer is kept: set one that it takes, and give the same command"
                )
            case "no_model" if "prompt" in call.body:
                return JudgeUnavailable(
                    f"{endpoint.host} has no model {model}, or completes no plain text with it "
                    f"({reply.detail}); every answer is kept: give the same command once it does, "
                    "or begin anew with a server that does, or without what asks for plain text"
                )
            case "no_model":
                return JudgeUnavailable(
                    f"{endpoint.host} has no model {model} ({reply.detail}); every answer is "
                    "kept: give the same command once it is back, or begin anew with another one"
                )
            case "no_money":
                return JudgeUnavailable(
                    f"the account at {endpoint.host} has no money left ({reply.detail}); every "
                    "answer is kept: top it up, and give the same command"
                )
            case "no_logprobs":
                return self._live._accounts.no_logprobs(reply)
        return self._live._accounts.wrong(reply)

    def _budget(self, call: Call) -> HarnessError:
        """Say that the money is spent."""
        accounts = self._live._accounts
        return BudgetExceeded(
            f"the budget is ${accounts.most:g}, ${accounts.spent:.4f} of it are spent, and the "
            f"next call to {accounts.target.model} could cost ${accounts.most_cost(call):.4f}; "
            f"{self._open} of {self._asked} calls are left to make; every answer is kept: raise "
            "guards.max_usd (or --max-usd) and give the same command"
        )
