"""A model on a server as a loaded model: what the `openai` engine opens.

    with OpenAI(config).open(ModelRef(location="gpt-6-sol")) as model:
        model.ref.fingerprint                          "gpt-6-sol-2026-05-01@api.openai.com"
        for completion in model.generate(requests):    as they are answered, in any order
            ...

A conversation is completed as a chat, by the server's own template; text and token ids are
completed as they are, and continuations of them scored, where the server has /v1/completions and
reads back what it is sent (vLLM and SGLang do, OpenAI does not).

An answer is in the books before it is handed out: closing the generator, or Ctrl-C, loses none.
"""

import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from harness.engines.openai import OpenAI
from harness.errors import ConfigError, JudgeUnavailable
from harness.protocols import Completion, Continuation, LogLikelihood, Prompt, Request
from harness.records import Failure, ModelRef
from harness.remote import accounts, endpoint
from harness.remote.accounts import Accounts, LogprobsRefused
from harness.remote.batched import Batched
from harness.remote.calls import Call, chat, estimate_tokens, text
from harness.remote.client import Client
from harness.remote.completions import completions, likelihoods, refused, unscorable, unscored
from harness.remote.endpoint import Endpoint
from harness.remote.live import Deliver, Live, Unanswered
from harness.remote.loop import Loop
from harness.remote.pool import Server
from harness.remote.preflight import Preflight
from harness.remote.replies import Reply

CONTEXT = 128_000
"""What is taken for the context of a model that does not tell: the server knows better, and refuses
a longer prompt row by row."""

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


def load(
    model: ModelRef, config: OpenAI.Config, books: Path | None, found: Preflight | None
) -> "RemoteModel":
    """Connect to a model's server; see `OpenAI.open`.

    Args:
        model: Which one.
        config: How to ask it.
        books: The folder of the books.
        found: What a check of this model has found out.
    """
    endpoints = endpoint.find_all(config.base_urls, config.key)
    account = accounts.find(model, config, endpoint.called(endpoints), books)
    if found is not None:
        account.served = account.served or found.served
        account.target = replace(account.target, logprobs=found.logprobs)
    context = found.context if found else None
    return RemoteModel(model, config, endpoints, account, books, context or CONTEXT)


class RemoteModel:
    """A model on a server, or on all servers of a pool."""

    def __init__(
        self,
        ref: ModelRef,
        config: OpenAI.Config,
        endpoints: Sequence[Endpoint],
        accounts: Accounts,
        books: Path | None,
        context: int,
    ) -> None:
        self._ref, self._config, self._accounts = ref, config, accounts
        calls = config.calls
        rest = calls.backoff if len(endpoints) > 1 else None
        self._servers = [
            Server(one, Client(one, calls.timeout), calls.concurrency, rest) for one in endpoints
        ]
        how = (accounts, calls, config.guards.unanswered == "stop")
        first = self._servers[0]
        self._asker: Asker = (
            Batched(first.client, first.endpoint, *how, books)
            if config.batch
            else Live(self._servers, *how)
        )
        self._loop = Loop()
        self.chat_template: str | None = None
        self.context = context
        self._scores_nothing: Failure | None = None

    @property
    def ref(self) -> ModelRef:
        """With the model that answers, where, and how hard it thinks, as its fingerprint.

        Before anything has answered (see `OpenAI.check`), the model that is asked for.
        """
        target = self._accounts.target
        fingerprint = f"{self._accounts.served or target.model}@{target.host}"
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
                yield from refused(request, "empty_prompt", "servers complete no empty prompt")
        self._check_batch(all(chat(request.prompt) for request in asked))
        yield from self._ask(self._accounts.target.calls(asked), completions)

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
            failure = unscorable(request)
            if failure is None:
                asked.append(request)
            else:
                yield unscored(request, failure)
        if not asked:
            return
        self._check_batch(False)
        if self._scores_nothing is None:
            [probe] = self._ask(self._accounts.target.scoring([_PROBE]), likelihoods)
            if probe.failure is not None and probe.failure.reason == "no_likelihood":
                self._scores_nothing = probe.failure
        if self._scores_nothing is None:
            yield from self._ask(self._accounts.target.scoring(asked), likelihoods)
        else:
            for request in asked:
                yield unscored(request, self._scores_nothing)

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
            f"{self._ref.location} at {self._accounts.target.host} left {rest.causes.total()} of "
            f"{asked} calls unanswered ({causes}{unasked}; the first: "
            f"{rest.example or 'no word'}); every answer is kept, and the same command asks for "
            'the rest; to count them as failures instead, set guards.unanswered = "count"'
        )

    def count_tokens(self, prompt: Prompt) -> int:
        """Estimate the prompt's tokens, at four bytes a token: the tokenizer is the server's."""
        if isinstance(prompt, str):
            return estimate_tokens(prompt)
        return sum(1 if isinstance(turn, int) else estimate_tokens(turn[1]) for turn in prompt)

    def stop(self) -> None:
        """End what is asked now, and whatever is asked after; what was answered is kept."""
        self._loop.stop()

    def close(self) -> None:
        """Close connections and books."""
        self._loop.close(self._close())
        self._accounts.close()

    async def _close(self) -> None:
        for server in self._servers:
            await server.client.close()
