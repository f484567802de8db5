"""Make many calls through the Batch API, as `live` makes them one by one.

    calls -> reserve (budget) -> batch -> settle -> answer: deliver
      ^                                     |
      '--- next batch: what failed for ----'   what was never made: unanswered
           a passing cause, what the
           budget had no room for

A batch may take a day. What failed in it for a passing cause is put into the next one, `attempts`
times; what it never came to, because it expired or was cancelled, is left to the next run.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import openai

from harness.engines.openai import Calls
from harness.errors import BudgetExceeded, ConfigError, HarnessError, JudgeUnavailable
from harness.remote.accounts import Accounts
from harness.remote.batch import Batches
from harness.remote.calls import Call
from harness.remote.client import Client
from harness.remote.endpoint import Endpoint
from harness.remote.live import Deliver, Unanswered
from harness.remote.replies import ANSWERS, FAILURES, FATAL, PASSING, Heard, Reply

_LOOK_AGAIN = 1.0  # seconds


class Batched:
    """Asks a server in batches."""

    def __init__(
        self,
        client: Client,
        endpoint: Endpoint,
        accounts: Accounts,
        settings: Calls,
        give_up: bool,
        books: Path | None,
    ) -> None:
        """Take whom to ask, and how; see `live.Live`.

        Args:
            client: For the server.
            endpoint: Where that is.
            accounts: Where calls are reserved and settled.
            settings: How patiently to ask.
            give_up: Whether calls that are not answered are left to another run; otherwise they
                are delivered as what they came to.
            books: The folder to remember batches in.

        Raises:
            ConfigError: there is no such folder.
        """
        if books is None:
            raise ConfigError(
                "batch = true needs books to remember batches in, so that none is paid for twice; "
                "call keep_books first, or leave batch out"
            )
        self._client, self._endpoint, self._accounts = client, endpoint, accounts
        self._settings, self._give_up, self._books = settings, give_up, books

    async def ask(self, calls: Sequence[Call], deliver: Deliver) -> Unanswered:
        """Make all calls, and deliver what each comes to, unless the server does not answer it.

        Raises:
            JudgeUnavailable: the server cannot be reached, has no Batch API, refuses the batch or
                its calls, or another model answers than before.
            BudgetExceeded: the next call could cost more than is left.
            StoreError: the books cannot be read or written.
        """
        turn = self._accounts.purse.batches
        while not turn.acquire(blocking=False):  # another model's, in another thread
            await asyncio.sleep(_LOOK_AGAIN)
        try:
            return await self._ask(calls, deliver)
        finally:
            turn.release()

    async def _ask(self, calls: Sequence[Call], deliver: Deliver) -> Unanswered:
        batches = Batches(
            self._client.openai, self._books, self._settings.attempts, self._endpoint.scrub
        )
        try:
            return await _Rounds(self, batches, calls, deliver).done()
        except openai.APIStatusError as error:
            raise JudgeUnavailable(self._refusal(error)) from None
        except openai.APIConnectionError as error:
            raise JudgeUnavailable(
                f"no answer from {self._endpoint.host} "
                f"({self._endpoint.scrub(str(error.__cause__ or error))}); every answer and every "
                "batch under way is kept: give the same command once it is back"
            ) from None
        finally:
            batches.close()

    def _refusal(self, error: openai.APIStatusError) -> str:
        why = self._endpoint.scrub(" ".join(error.message.split()))[:200]
        if error.status_code in (404, 405, 501):
            return (
                f"{self._endpoint.host} has no Batch API ({why}); leave batch = true out, or ask "
                "another server"
            )
        return (
            f"{self._endpoint.host} refuses the batch ({why}); every answer and every batch under "
            "way is kept: see to that, and give the same command"
        )


class _Rounds:
    """One `Batched.ask` under way."""

    def __init__(
        self, batched: Batched, batches: Batches, calls: Sequence[Call], deliver: Deliver
    ) -> None:
        self._batched, self._batches, self._deliver = batched, batches, deliver
        # What an earlier process sent comes first: the budget had room for it then.
        sent = batches.under_way
        self._open = {call.key: call for call in sorted(calls, key=lambda one: one.key not in sent)}
        self._asked = len(self._open)
        self._made: Counter[str] = Counter()
        self._unanswered = Unanswered()
        self._stopped: HarnessError | None = None

    async def done(self) -> Unanswered:
        """Send batches until every call has come to something."""
        accounts = self._batched._accounts
        while self._open:
            granted = [one for one in self._open.values() if accounts.reserve(one, batch=True)]
            if not granted:
                raise self._budget(next(iter(self._open.values())))
            bodies = {one.key: one.body for one in granted}
            async for key, heard in self._batches.ask(bodies):
                self._made[key] += 1
                reply = accounts.settle(self._open[key], self._made[key], heard, batch=True)
                self._conclude(key, reply, heard)
            if self._stopped is not None:
                raise self._stopped
        return self._unanswered

    def _conclude(self, key: str, reply: Reply, heard: Heard) -> None:
        status = reply.status
        last = self._made[key] == self._batched._settings.attempts or heard.lost is not None
        if status in FATAL:
            # The other results of the batch are paid for, and read before it stops.
            self._stopped = self._stopped or self._fatal(reply)
        elif status in ANSWERS or status in FAILURES or (status == "empty" and last):
            self._deliver(self._open.pop(key), reply)
        elif status not in PASSING or last:
            call = self._open.pop(key)
            self._unanswered.causes[status] += 1
            self._unanswered.example = self._unanswered.example or reply.detail
            if not self._batched._give_up:
                self._deliver(call, reply)

    def _fatal(self, reply: Reply) -> HarnessError:
        """Say why no call is going to be answered."""
        if reply.status == "wrong_model":
            return self._batched._accounts.wrong(reply)
        if reply.status == "no_logprobs":
            return self._batched._accounts.no_logprobs(reply)
        return JudgeUnavailable(
            f"{self._batched._endpoint.host} answers no call to "
            f"{self._batched._accounts.target.model} ({reply.detail}); every answer is kept: see "
            "to that, and give the same command"
        )

    def _budget(self, call: Call) -> HarnessError:
        """Say that the money is spent."""
        accounts = self._batched._accounts
        return BudgetExceeded(
            f"the budget is ${accounts.most:g}, ${accounts.spent:.4f} of it are spent, and the "
            f"next call to {accounts.target.model} could cost "
            f"${accounts.most_cost(call, batch=True):.4f}; {len(self._open)} of {self._asked} "
            "calls are left to make; every answer is kept: raise guards.max_usd (or --max-usd) "
            "and give the same command"
        )
