"""A model on a server as a loaded model: what the `openai` engine opens.

    with OpenAI(config).open(ModelRef(location="gpt-6-sol")) as model:
        model.ref.fingerprint                          "gpt-6-sol-2026-05-01@api.openai.com"
        for completion in model.generate(requests):    as they are answered, in any order
            ...

Calls run in a thread of their own, so that whoever asks may take time over a completion. An answer
is in the books before it is handed out: closing the generator, or Ctrl-C, loses none.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, Protocol

import httpx2

from harness.engines.openai import OpenAI
from harness.errors import ConfigError, JudgeUnavailable
from harness.protocols import Completion, Continuation, LogLikelihood, Prompt, Request, Step
from harness.records import Failure, ModelRef
from harness.remote import endpoint as endpoints
from harness.remote import ledger, prices
from harness.remote.accounts import LEDGER, Accounts
from harness.remote.answers import Answer
from harness.remote.batched import Batched
from harness.remote.calls import Call, Target, chat, estimate_tokens
from harness.remote.client import Client
from harness.remote.endpoint import Endpoint
from harness.remote.live import Deliver, Live, Unanswered
from harness.remote.preflight import Preflight, preflight
from harness.remote.prices import Price
from harness.remote.replies import Heard, Reply
from harness.store import write_json

CONTEXT = 128_000
"""What is taken for the context of a model that does not tell: the server knows better, and refuses
a longer prompt row by row."""

_log = logging.getLogger(__name__)


Rows = list[Completion]
Put = Callable[[Rows], None]
"""Hands completions over to the thread that asked."""


class Asker(Protocol):
    """A way to put many calls to a server: one by one (`Live`), or in batches (`Batched`)."""

    async def ask(self, calls: list[Call], deliver: Deliver) -> Unanswered:
        """Make all calls, and deliver what each comes to.

        Raises:
            HarnessError: nothing more can be asked; what was delivered is kept.
        """
        ...


@dataclass(frozen=True)
class Checked:
    """What was found out about a model; it goes into the books once the model is opened."""

    found: Preflight
    heard: tuple[Heard, ...]
    """What came back of the calls that found it out."""


def check(model: ModelRef, config: OpenAI.Config, books: Path | None) -> Checked:
    """Find out whether a model can be asked; see `OpenAI.check`. Nothing is written."""
    endpoint = endpoints.find(config.base_url, config.key)
    _price(model, config)
    entries = ledger.read(books / LEDGER) if books else []
    served = ledger.first_served(entries, endpoint.host, model.location)
    checked = asyncio.run(_preflight(model, config, endpoint))
    if model.revision is None and served not in (None, checked.found.served):
        raise JudgeUnavailable(
            f"{model.location} was {served} so far, but now {checked.found.served} answers at "
            f"{endpoint.host}; judges are not mixed: begin a new run, or wait until it is back and "
            "give the same command"
        )
    if checked.found.warning:
        _log.warning("%s", checked.found.warning)
    return checked


async def _preflight(model: ModelRef, config: OpenAI.Config, endpoint: Endpoint) -> Checked:
    heard: list[Heard] = []

    async def note(response: httpx2.Response) -> None:
        if response.request.method == "POST":
            await response.aread()
            heard.append(client.heard(response, response.elapsed.total_seconds()))

    client = Client(endpoint, config.calls.timeout, listener=note)
    try:
        found = await preflight(
            client.openai, model.location, model.revision, config.reasoning_effort, config.prices
        )
        return Checked(found, tuple(heard))
    except JudgeUnavailable as error:
        raise JudgeUnavailable(endpoint.scrub(str(error))) from None
    finally:
        await client.close()


def load(
    model: ModelRef, config: OpenAI.Config, books: Path | None, checked: Checked | None
) -> "RemoteModel":
    """Connect to a model's server; see `OpenAI.open`."""
    endpoint = endpoints.find(config.base_url, config.key)
    accounts = Accounts(
        target=Target(endpoint.host, model.location, model.revision, config.reasoning_effort),
        books=books,
        answers=config.answers,
        price=_price(model, config),
        dated=prices.dated(config.prices),
        most=config.guards.max_usd,
    )
    if checked is not None:
        accounts.take_up(checked.found.served, checked.heard)
        if books is not None:
            name = "".join(c if c.isalnum() or c in ".-" else "_" for c in model.location)
            write_json(books / f"checked-{name}.json", checked.found.model_dump(mode="json"))
    return RemoteModel(model, config, endpoint, accounts, books)


def _price(model: ModelRef, config: OpenAI.Config) -> Price | None:
    """Find what the model costs; a cap on the cost cannot be kept where that is unknown."""
    price, most = prices.find(model.location, config.prices), config.guards.max_usd
    if most is not None and price is None:
        raise ConfigError(
            f"max_usd = {most:g} cannot be kept: nobody knows what {model.location} costs; give "
            f"its price in a file of your own (`prices`, or {prices.OVERRIDE}), or leave max_usd "
            "out"
        )
    return price


class RemoteModel:
    """A model on a server."""

    def __init__(
        self,
        ref: ModelRef,
        config: OpenAI.Config,
        endpoint: Endpoint,
        accounts: Accounts,
        books: Path | None,
    ) -> None:
        self._ref, self._config, self._endpoint = ref, config, endpoint
        self._accounts = accounts
        self._client = Client(endpoint, config.calls.timeout)
        how = (self._client, endpoint, accounts, config.calls, config.guards.unanswered == "stop")
        self._asker: Asker = Batched(*how, books) if config.batch else Live(*how)
        self._loop = _Loop()
        self.chat_template: str | None = None
        self.context = CONTEXT

    @property
    def ref(self) -> ModelRef:
        """With the model that answers, where, and how hard it thinks, as its fingerprint.

        Before anything has answered (see `OpenAI.check`), the model that is asked for.
        """
        fingerprint = f"{self._accounts.served or self._ref.location}@{self._endpoint.host}"
        if self._config.reasoning_effort is not None:
            fingerprint += f" effort={self._config.reasoning_effort}"
        return self._ref.model_copy(update={"fingerprint": fingerprint})

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Complete every request, yielding completions as they are answered.

        Every sample is a call of its own. What was answered before, in this attempt of the run or
        in another, is not asked again.

        Raises:
            JudgeUnavailable: after everything that was answered: why the rest was not.
            BudgetExceeded: after everything that was answered: the next call could cost too much.
            ConfigError: the model's family cannot sample like that.
            StoreError: the books cannot be read or written.
        """
        asked = []
        for request in requests:
            if chat(request) is None:
                yield from _refused(request, "not_a_chat", "the server takes messages alone")
            else:
                asked.append(request)
        calls = self._accounts.target.calls(asked)
        with closing(self._loop.run(lambda put: self._answer(calls, put))) as answered:
            for rows in answered:
                yield from rows

    async def _answer(self, calls: list[Call], put: Put) -> None:
        """Answer calls: from the books, and by the server."""
        self._accounts.refresh()
        owed = []
        for call in calls:
            known = self._accounts.known(call)
            if known is None:
                owed.append(call)
            else:
                put(_answered(call, known))
        if not owed:
            return
        rest = await self._asker.ask(owed, lambda call, reply: put(_completions(call, reply)))
        if self._config.guards.unanswered == "stop" and rest.causes:
            raise self._unanswered(rest, len(calls))

    def _unanswered(self, rest: Unanswered, asked: int) -> JudgeUnavailable:
        causes = ", ".join(f"{count} {cause}" for cause, count in rest.causes.most_common())
        unasked = f", and {rest.not_asked} were not asked after that" if rest.not_asked else ""
        return JudgeUnavailable(
            f"{self._ref.location} at {self._endpoint.host} left {rest.causes.total()} of {asked} "
            f"calls unanswered ({causes}{unasked}; the first: {rest.example or 'no word'}); every "
            "answer is kept, and the same command asks for the rest; to count them as failures "
            'instead, set guards.unanswered = "count"'
        )

    def loglikelihood(self, requests: Iterable[Continuation]) -> Iterator[LogLikelihood]:
        """Refuse every row: chat servers do not tell how likely a given text is."""
        failure = Failure(reason="no_likelihood", detail="chat servers score no given text")
        for request in requests:
            yield LogLikelihood(request.id, float("nan"), 0, greedy=False, failure=failure)

    def count_tokens(self, prompt: Prompt) -> int:
        """Estimate the prompt's tokens, at four bytes a token: the tokenizer is the server's."""
        if isinstance(prompt, str):
            return estimate_tokens(prompt)
        return sum(1 if isinstance(turn, int) else estimate_tokens(turn[1]) for turn in prompt)

    def close(self) -> None:
        """Close connections and books."""
        self._loop.close(self._client.close())
        self._accounts.close()


def _completions(call: Call, reply: Reply) -> Rows:
    """What a call came to, for everybody who asked."""
    if reply.answer is not None:
        return _answered(call, reply.answer)
    failure = Failure(reason=reply.status, detail=reply.detail)
    return [_failed(request.id, index, failure) for request, index in call.rows]


def _answered(call: Call, answer: Answer) -> Rows:
    return [_completion(request, index, answer) for request, index in call.rows]


def _completion(request: Request, index: int, answer: Answer) -> Completion:
    tokens, sampling = answer.tokens, request.sampling
    logprobs = steps = None
    if tokens is not None and sampling.logprobs:
        logprobs = tuple(token.logprob for token in tokens)
    if tokens is not None and sampling.top_logprobs:
        steps = tuple(Step(token.text, token.alternatives) for token in tokens)
    return Completion(
        id=request.id,
        index=index,
        text=answer.text,
        finish_reason=answer.finish_reason,
        logprobs=logprobs,
        steps=steps,
    )


def _refused(request: Request, reason: str, detail: str) -> Iterator[Completion]:
    for index in range(request.sampling.n):
        yield _failed(request.id, index, Failure(reason=reason, detail=detail))


def _failed(id: str, index: int, failure: Failure) -> Completion:
    return Completion(id=id, index=index, text="", finish_reason="failed", failure=failure)


class _Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = Thread(target=self._loop.run_forever, name="calls", daemon=True)
        self._thread.start()

    def run(self, work: Callable[[Put], Coroutine[Any, Any, None]]) -> Generator[Rows, None, None]:
        """Do work there, and yield here what it puts; stop it when nobody takes that any more."""
        outbox: SimpleQueue[Rows | asyncio.Task[None]] = SimpleQueue()
        begun: list[asyncio.Task[None]] = []

        def begin() -> None:
            task = self._loop.create_task(work(lambda rows: outbox.put(rows)))
            begun.append(task)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda task: outbox.put(task))

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
            error = None if ended.cancelled() else ended.exception()
        if error is not None:
            raise error

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
