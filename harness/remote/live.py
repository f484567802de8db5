"""Make many calls at once, each as often as it takes, and none more than is allowed.

    ready calls -> turn (concurrency, budget) -> call -> settle -> answer: deliver
         ^                                                  |
         '------ wait: backoff, or as the server asks ------'

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
from random import Random

from harness.engines.openai import Calls
from harness.errors import BudgetExceeded, HarnessError, JudgeUnavailable
from harness.remote.accounts import Accounts
from harness.remote.calls import Call
from harness.remote.client import Client
from harness.remote.concurrency import Concurrency
from harness.remote.endpoint import Endpoint
from harness.remote.replies import ANSWERS, FAILURES, FATAL, PASSING, Heard, Reply, Status

Deliver = Callable[[Call, Reply], None]
"""Takes a call, and what it finally came to."""

_LONGEST = 60.0  # seconds of backoff
_PATIENCE = 300.0  # seconds; a server that wants to be left alone for longer is not there
_STAGGER = 0.0015  # seconds; calls that begin together come back together, and have to queue
_LOOK_AGAIN = 0.1  # seconds; for money that another model's calls have set aside
_THROTTLED: frozenset[Status] = frozenset({"rate_limited", "time_out"})


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
    """How many calls of all had been answered when it was first made."""
    seen: int = 0
    """How many when it last failed."""

    def __lt__(self, other: "Try") -> bool:
        """In order, so that what was tried before comes first, and trouble shows early."""
        return self.number < other.number


@dataclass
class Unanswered:
    """What the server did not answer, although it was asked as often as was allowed."""

    causes: Counter[Status] = field(default_factory=Counter)
    example: str = ""
    not_asked: int = 0
    """How many calls were not made any more."""


class Live:
    """Asks a server call by call."""

    def __init__(
        self, client: Client, endpoint: Endpoint, accounts: Accounts, settings: Calls, give_up: bool
    ) -> None:
        """Take whom to ask, and how.

        Args:
            client: Makes a call.
            endpoint: Where it calls.
            accounts: Where calls are reserved and settled.
            settings: How fast, and how patiently.
            give_up: Whether to ask for nothing more once a call has failed as often as is allowed
                and no other was answered meanwhile.
        """
        self._client, self._endpoint, self._accounts = client, endpoint, accounts
        self._settings, self._give_up = settings, give_up
        self._room = Concurrency(settings.concurrency)
        self._random = Random(0)

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
        self._ready: asyncio.PriorityQueue[Try] = asyncio.PriorityQueue()
        for number, call in enumerate(calls):
            self._ready.put_nowait(Try(call, number))
        self._asked = self._open = len(calls)
        self._answered = 0
        self._unanswered = Unanswered()
        self._stopped: HarnessError | None = None
        self._down = False
        self._changed = asyncio.Event()
        self._finished = asyncio.Event()

    async def done(self) -> Unanswered:
        """Do everything; whatever goes wrong, no call is left under way."""
        lanes = min(self._live._settings.concurrency, self._open)
        tasks = [asyncio.create_task(self._lane(number)) for number in range(lanes)]
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

    async def _lane(self, number: int) -> None:
        await asyncio.sleep(number * _STAGGER)
        while True:
            one = await self._ready.get()
            if await self._turn(one):
                await self._make(one)
            if not self._open or (self._over and not self._live._room.in_flight):
                self._finished.set()

    @property
    def _over(self) -> bool:
        return self._stopped is not None or self._down

    async def _turn(self, one: Try) -> bool:
        """Wait until a call may be made; say whether it still is to be."""
        room = self._live._room
        while not self._over:
            wait = room.wait(time.monotonic())
            if wait == 0:
                if self._live._accounts.reserve(one.call):
                    return True
                others = self._live._accounts.others_call
                if not room.in_flight and not others:
                    self._stopped = self._budget(one.call)
                    return False
                wait = None if room.in_flight else _LOOK_AGAIN
            await self._change(wait)
        return False

    async def _change(self, at_most: float | None) -> None:
        """Wait until a call ends, or for some seconds."""
        try:
            async with asyncio.timeout(at_most):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _make(self, one: Try) -> None:
        """Make a call, write it down, and see what becomes of it."""
        live = self._live
        began = time.monotonic()
        if not one.made:
            one.begun = one.seen = self._answered
        one.made += 1
        live._room.begin()
        try:
            heard = await live._client.ask(one.call.body)
        except asyncio.CancelledError:
            heard = Heard(lost="cancelled", seconds=time.monotonic() - began)
            live._accounts.settle(one.call, one.made, heard)
            raise
        finally:
            live._room.end()
        reply = live._accounts.settle(one.call, one.made, heard)
        self._conclude(one, reply, heard, began)
        self._wake()

    def _conclude(self, one: Try, reply: Reply, heard: Heard, began: float) -> None:
        live, status = self._live, reply.status
        if status in FATAL:
            self._stopped = self._stopped or self._fatal(one.call, reply)
            return
        queued = status == "rate_limited" and self._answered > one.seen
        one.failed, one.seen = one.failed + (not queued), self._answered
        last = one.failed >= live._settings.attempts
        wait = self._wait(one.failed, heard.pause)
        if status in ANSWERS or status in FAILURES or (status == "empty" and last):
            # A model that says nothing, however often it is asked, has answered.
            live._room.answered()
            self._answered += 1
            self._open -= 1
            self._deliver(one.call, reply)
        elif heard.pause is not None and heard.pause > _PATIENCE:
            self._stopped = self._stopped or JudgeUnavailable(
                f"{live._accounts.target.model} at {live._endpoint.host} wants to be left alone "
                f"for {heard.pause:.0f} seconds ({reply.detail}); every answer is kept: give the "
                "same command after that"
            )
        elif status in PASSING and not last:
            throttled = status in _THROTTLED or heard.pause is not None
            live._room.failed(began, time.monotonic(), wait, throttled)
            asyncio.get_running_loop().call_later(wait, self._ready.put_nowait, one)
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

    def _fatal(self, call: Call, reply: Reply) -> HarnessError:
        """Say why no call is going to be answered."""
        endpoint, model = self._live._endpoint, self._live._accounts.target.model
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
