"""A model on a server as a loaded model: what the `openai` engine opens.

    with OpenAI(config).open(ModelRef(location="gpt-6-sol")) as model:
        model.ref.fingerprint                          "gpt-6-sol-2026-05-01@api.openai.com"
        for completion in model.generate(requests):    as they are answered, in any order
            ...

A conversation is completed as a chat, by the server's own template; text and token ids are
completed as they are, and continuations of them scored, where the server has /v1/completions and
reads back what it is sent (vLLM and SGLang do, OpenAI does not).

Calls run in a thread of their own, so that whoever asks may take time over a completion. An answer
is in the books before it is handed out: closing the generator, or Ctrl-C, loses none.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, Protocol, TypeVar

import httpx2

from harness.engines.openai import OpenAI
from harness.errors import BudgetExceeded, ConfigError, JudgeUnavailable
from harness.protocols import Completion, Continuation, LogLikelihood, Prompt, Request, Step
from harness.records import Failure, ModelRef
from harness.remote import endpoint as endpoints
from harness.remote import prices
from harness.remote.accounts import Accounts, LogprobsRefused
from harness.remote.answers import Answer, Token
from harness.remote.batched import Batched
from harness.remote.calls import Call, Target, chat, estimate_tokens, text
from harness.remote.client import Client
from harness.remote.endpoint import Endpoint
from harness.remote.live import Deliver, Live, Unanswered
from harness.remote.preflight import Preflight, preflight
from harness.remote.prices import Price
from harness.remote.replies import IMPOSSIBLE, Heard, Reply
from harness.store import write_json

CONTEXT = 128_000
"""What is taken for the context of a model that does not tell: the server knows better, and refuses
a longer prompt row by row."""

_CHECK = "check"
"""What the calls of a check are called in the ledger."""

_log = logging.getLogger(__name__)


T = TypeVar("T")
_PROBE = Continuation("probe", "One two", " three")
"""Asked before all continuations, so that a server that scores none is found out once."""


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

    found: Preflight | None
    """None where nothing was left to pay the call with."""
    heard: tuple[tuple[Call, Heard], ...]
    """Calls that found it out, and what came back, where they are in no books yet."""


def check(model: ModelRef, config: OpenAI.Config, books: Path | None) -> Checked:
    """Find out whether a model can be asked; see `OpenAI.check`.

    What that costs is written down at once, where the run that keeps the books has begun.
    """
    endpoint = endpoints.find(config.base_url, config.key)
    begun = books if books and _begun(books.parent) else None
    accounts = _accounts(model, config, endpoint, begun, config.answers if begun else None)
    served = accounts.served
    try:
        checked = asyncio.run(_preflight(model, config, endpoint, accounts, begun is not None))
    finally:
        accounts.close()
    found = checked.found
    if found is None:
        _log.warning(
            "$%.4f of $%g are spent: whether %s answers at %s was not tried",
            accounts.spent,
            accounts.most,
            model.location,
            endpoint.host,
        )
        return checked
    if model.revision is None and served not in (None, found.served):
        raise JudgeUnavailable(
            f"{model.location} was {served} so far, but now {found.served} answers at "
            f"{endpoint.host}; judges are not mixed: begin a new run, or wait until it is back and "
            "give the same command"
        )
    if found.warning:
        _log.warning("%s", found.warning)
    return checked


def _begun(run: Path) -> bool:
    """Whether a run has something on disk: before that, nobody else may write there."""
    return run.is_dir() and any(run.iterdir())


async def _preflight(
    model: ModelRef, config: OpenAI.Config, endpoint: Endpoint, accounts: Accounts, begun: bool
) -> Checked:
    heard: list[tuple[Call, Heard]] = []

    def afford(body: dict[str, Any]) -> None:
        if not accounts.affords(Call(_CHECK, body)):
            raise BudgetExceeded("nothing is left for the check")

    async def note(response: httpx2.Response) -> None:
        if response.request.method == "POST":
            await response.aread()
            call = Call(_CHECK, json.loads(response.request.content))
            came = client.heard(response, response.elapsed.total_seconds())
            accounts.take_up(call, came)
            if not begun:
                heard.append((call, came))

    client = Client(endpoint, config.calls.timeout, listener=note)
    try:
        found = await preflight(
            client.openai,
            model.location,
            model.revision,
            config.reasoning_effort,
            config.prices,
            endpoint.refused,
            afford,
        )
        return Checked(found, tuple(heard))
    except BudgetExceeded:
        return Checked(None, tuple(heard))
    except JudgeUnavailable as error:
        raise JudgeUnavailable(endpoint.scrub(str(error))) from None
    finally:
        await client.close()


def load(
    model: ModelRef,
    config: OpenAI.Config,
    books: Path | None,
    checked: Checked | None,
    found: Preflight | None,
) -> "RemoteModel":
    """Connect to a model's server; see `OpenAI.open`.

    Args:
        model: Which one.
        config: How to ask it.
        books: The folder of the books.
        checked: What a check has found out that is not in the books yet.
        found: What the last check of this model has found out.
    """
    endpoint = endpoints.find(config.base_url, config.key)
    accounts = _accounts(model, config, endpoint, books, config.answers)
    for call, heard in checked.heard if checked else ():
        accounts.take_up(call, heard)
    if found is not None:
        accounts.served = accounts.served or found.served
        accounts.target = replace(accounts.target, logprobs=found.logprobs)
        if checked and books:
            name = "".join(c if c.isalnum() or c in ".-" else "_" for c in model.location)
            write_json(books / f"checked-{name}.json", found.model_dump(mode="json"))
    context = found.context if found else None
    return RemoteModel(model, config, endpoint, accounts, books, context or CONTEXT)


def _accounts(
    model: ModelRef,
    config: OpenAI.Config,
    endpoint: Endpoint,
    books: Path | None,
    answers: Path | None,
) -> Accounts:
    return Accounts(
        target=Target(endpoint.host, model.location, model.revision, config.reasoning_effort),
        books=books,
        answers=answers,
        price=_price(model, config),
        dated=prices.dated(config.prices),
        most=config.guards.max_usd,
    )


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
        context: int,
    ) -> None:
        self._ref, self._config, self._endpoint = ref, config, endpoint
        self._accounts = accounts
        self._client = Client(endpoint, config.calls.timeout)
        how = (self._client, endpoint, accounts, config.calls, config.guards.unanswered == "stop")
        self._asker: Asker = Batched(*how, books) if config.batch else Live(*how)
        self._loop = _Loop()
        self.chat_template: str | None = None
        self.context = context
        self._scores_nothing: Failure | None = None

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
            if chat(request.prompt) or text(request.prompt):
                asked.append(request)
            else:
                yield from _refused(request, "empty_prompt", "servers complete no empty prompt")
        self._check_batch(all(chat(request.prompt) for request in asked))
        yield from self._ask(self._accounts.target.calls(asked), _completions)

    def loglikelihood(self, requests: Iterable[Continuation]) -> Iterator[LogLikelihood]:
        """Score every continuation of a text by a text, or of token ids by token ids.

        The server must read back what it is sent, with the probability of every token, and predict
        one token more: a text that fills its context is too long.

        Raises:
            JudgeUnavailable: after everything that was answered: why the rest was not.
            BudgetExceeded: after everything that was answered: the next call could cost too much.
            ConfigError: continuations cannot be scored in batches.
            StoreError: the books cannot be read or written.
        """
        asked = []
        for request in requests:
            failure = _unscorable(request)
            if failure is None:
                asked.append(request)
            else:
                yield _unscored(request, failure)
        if not asked:
            return
        self._check_batch(False)
        if self._scores_nothing is None:
            [probe] = self._ask(self._accounts.target.scoring([_PROBE]), _likelihoods)
            if probe.failure is not None and probe.failure.reason == "no_likelihood":
                self._scores_nothing = probe.failure
        if self._scores_nothing is None:
            yield from self._ask(self._accounts.target.scoring(asked), _likelihoods)
        else:
            for request in asked:
                yield _unscored(request, self._scores_nothing)

    def _check_batch(self, chats_alone: bool) -> None:
        if self._config.batch and not chats_alone:
            raise ConfigError(
                "batch = true asks conversations alone, and an evaluation asked for a completion "
                "or the likelihood of plain text; leave batch out, or the evaluation"
            )

    def _ask(self, calls: list[Call], read: Callable[[Call, Reply], list[T]]) -> Iterator[T]:
        """Make calls, and yield what is read of each for everybody who asked."""

        def work(put: Callable[[list[T]], None]) -> Coroutine[Any, Any, None]:
            return self._answer(calls, lambda call, reply: put(read(call, reply)))

        with closing(self._loop.run(work)) as answered:
            for rows in answered:
                yield from rows

    async def _answer(self, calls: list[Call], deliver: Deliver) -> None:
        """Answer calls; a server that refuses log-probabilities is asked without them."""
        left = {call.key: call for call in calls}

        def take(call: Call, reply: Reply) -> None:
            del left[call.key]
            deliver(call, reply)

        try:
            await self._answer_all(calls, take)
        except LogprobsRefused as error:
            target = self._accounts.target
            if target.logprobs is not None:
                raise
            _log.warning("%s; from now on none are asked for: verdicts are discrete", error)
            self._accounts.target = replace(target, logprobs=False)
            await self._answer_all(self._accounts.target.again(left.values()), deliver)

    async def _answer_all(self, calls: list[Call], deliver: Deliver) -> None:
        """Answer calls: from the books, and by the server."""
        self._accounts.refresh()
        owed = []
        for call in calls:
            known = self._accounts.known(call)
            if known is None:
                owed.append(call)
            else:
                deliver(call, Reply("ok", known))
        if not owed:
            return
        rest = await self._asker.ask(owed, deliver)
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

    def count_tokens(self, prompt: Prompt) -> int:
        """Estimate the prompt's tokens, at four bytes a token: the tokenizer is the server's."""
        if isinstance(prompt, str):
            return estimate_tokens(prompt)
        return sum(1 if isinstance(turn, int) else estimate_tokens(turn[1]) for turn in prompt)

    def close(self) -> None:
        """Close connections and books."""
        self._loop.close(self._client.close())
        self._accounts.close()


def _completions(call: Call, reply: Reply) -> list[Completion]:
    """What a call came to, for everybody who asked."""
    if reply.answer is not None:
        return [_completion(request, index, reply.answer) for request, index in call.rows]
    failure = Failure(reason=reply.status, detail=reply.detail)
    return [_failed(request.id, index, failure) for request, index in call.rows]


def _completion(request: Request, index: int, answer: Answer) -> Completion:
    tokens, sampling = answer.tokens, request.sampling
    logprobs = steps = None
    if tokens is not None and sampling.logprobs:
        logprobs = tuple(token.logprob for token in tokens)
    if tokens is not None and sampling.top_logprobs:
        # Some servers add the sampled token where it is not one of them.
        most = sampling.top_logprobs
        steps = tuple(Step(token.text, token.alternatives[:most]) for token in tokens)
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


def _likelihoods(call: Call, reply: Reply) -> list[LogLikelihood]:
    """What a call that scores a continuation came to, for everybody who asked."""
    if reply.answer is None or reply.answer.tokens is None:
        failure = Failure(reason=reply.status, detail=reply.detail)
        return [_unscored(request, failure) for request in call.scored]
    tokens = reply.answer.tokens
    return [
        LogLikelihood(
            id=request.id,
            logprob=sum(map(_logprob, tokens)),
            tokens=len(tokens),
            greedy=all(token.logprob >= token.alternatives[0][1] for token in tokens),
        )
        for request in call.scored
    ]


def _logprob(token: Token) -> float:
    return token.logprob if token.logprob > IMPOSSIBLE else float("-inf")


def _unscorable(request: Continuation) -> Failure | None:
    """Say why no server could score a continuation."""
    if not request.continuation:
        return Failure(reason="empty_continuation")
    why = None
    if chat(request.prompt):
        why = "the server alone has the chat template, and scores no answer to a conversation"
    elif isinstance(text(request.prompt), str) != isinstance(request.continuation, str):
        why = "the server alone has the tokenizer: text goes with text, token ids with token ids"
    return Failure(reason="no_likelihood", detail=why) if why else None


def _unscored(request: Continuation, failure: Failure) -> LogLikelihood:
    return LogLikelihood(request.id, float("nan"), 0, greedy=False, failure=failure)


class _Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = Thread(target=self._loop.run_forever, name="calls", daemon=True)
        self._thread.start()

    def run(
        self, work: Callable[[Callable[[list[T]], None]], Coroutine[Any, Any, None]]
    ) -> Generator[list[T], None, None]:
        """Do work there, and yield here what it puts; stop it when nobody takes that any more."""
        outbox: SimpleQueue[list[T] | asyncio.Task[None]] = SimpleQueue()
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
