"""Find out whether a model on a server can be asked, before anything depends on it.

    await preflight(client, "gpt-4.1", pinned="gpt-4.1-2025-04-14")
        Preflight(exists=True, served="gpt-4.1-2025-04-14", shutdown=2027-01-14, logprobs=True, ...)
    await preflight(client, "gpt-4", pinned=None)
        JudgeUnavailable: gpt-4 was shut down on 2026-10-23; its provider names gpt-6-luna instead

Three questions are asked: for the model, for all models where the server does not know the first
question, and for one token, which tells the model that really answers and whether its
log-probabilities come along.
"""

from collections.abc import Awaitable, Callable, Sequence, Set
from dataclasses import dataclass, replace
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import openai
from openai import AsyncOpenAI
from openai.pagination import AsyncPage
from openai.types import Model
from openai.types.chat import ChatCompletion

from harness.errors import JudgeUnavailable
from harness.protocols import Message, Sampling
from harness.records import Record
from harness.remote import prices
from harness.remote.families import body, family
from harness.remote.prices import Retirement

T = TypeVar("T")
SOON = 30
"""A model that is shut down within so many days is warned about."""
ATTEMPTS = 5
"""How often a question is asked of a server that fails or answers garbage."""
_QUESTION = (Message("user", "Answer with the letter m alone."),)
_ONE_TOKEN = Sampling(temperature=0, max_tokens=1, top_logprobs=2)
_ROOM_TO_REASON = Sampling(max_tokens=512)
_NO_SUCH_QUESTION = {404, 405, 501}
_NOT_LIKE_THAT = {400, 422}


class Unreachable(JudgeUnavailable):
    """The server does not answer at all; it may be back."""


class Preflight(Record):
    """What a server says about a model."""

    model: str
    """As it was asked for."""
    checked: date
    exists: bool | None
    """Whether the server lists it; None where it has no list."""
    served: str
    """What answered, by its own name."""
    system_fingerprint: str | None = None
    shutdown: date | None = None
    replacement: str | None = None
    """What its provider names instead."""
    logprobs: bool
    """Whether log-probabilities of the likeliest tokens come back."""
    context: int | None = None
    """The longest prompt plus completion, in tokens, where the server tells."""

    @property
    def days_left(self) -> int | None:
        """Days until it is shut down; None where no day is known."""
        return None if self.shutdown is None else (self.shutdown - self.checked).days

    @property
    def warning(self) -> str | None:
        """What a user should know before relying on the model."""
        if self.days_left is None or self.days_left >= SOON:
            return None
        if self.days_left < 0:
            return (
                f"{self.model} was to be shut down on {self.shutdown} by the prices file, but this "
                "server still has it; make sure that it is that model"
            )
        instead = f"; its provider names {self.replacement} instead" if self.replacement else ""
        return f"{self.model} is shut down on {self.shutdown}, in {self.days_left} days{instead}"


async def preflight(
    client: AsyncOpenAI,
    model: str,
    pinned: str | None,
    effort: str | None = None,
    override: Path | None = None,
    refused: str = "",
    before: Callable[[dict[str, Any]], None] = lambda body: None,
) -> Preflight:
    """Ask a server about a model; one call is paid, of one token where the model does not reason.

    Args:
        client: For the server, with its key.
        model: The id to ask for.
        pinned: The id that must answer; None takes whichever does.
        effort: The `reasoning_effort` to ask with.
        override: A prices file of the user's own, for shutdown dates.
        refused: What to say where the server does not take the key.
        before: Is shown what is going to be asked for money; may raise.

    Raises:
        JudgeUnavailable: the model does not exist (any more), is not the pinned one, or cannot be
            asked: no right to it, no money.
        Unreachable: there is no such server.
        ConfigError: the family takes no such effort, or the prices file cannot be read.
    """
    today = date.today()
    known = prices.retirement(model, override)
    server = _Server(
        client.with_options(max_retries=ATTEMPTS - 1), model, known, today, refused, before
    )
    listed = await server.listed()
    told = _day(listed.shutdown_date) if listed else None
    if told is not None and told <= today:
        raise JudgeUnavailable(_shut_down(model, Retirement(told, known and known.replacement)))
    answer, logprobs = await server.answer(effort)
    if pinned is not None and answer.model != pinned:
        raise JudgeUnavailable(
            f"{model} is pinned to {pinned}, but the server answered as {answer.model}; ask for "
            f"{pinned} itself, or pin {answer.model} and judge everything with it again"
        )
    return Preflight(
        model=model,
        checked=today,
        exists=True if listed else None,
        served=answer.model,
        system_fingerprint=answer.system_fingerprint,
        shutdown=told or (known.day if known else None),
        replacement=known.replacement if known else None,
        logprobs=logprobs,
        context=_whole_number(getattr(listed, "max_model_len", None)),
    )


@dataclass(frozen=True)
class _Server:
    """The server, asked about one model."""

    client: AsyncOpenAI
    model: str
    known: Retirement | None
    """What the prices file knows of its end."""
    today: date
    refused: str
    """What to say where it does not take the key."""
    before: Callable[[dict[str, Any]], None]

    async def listed(self) -> Model | None:
        """Look the model up; None where the server cannot tell.

        Raises:
            JudgeUnavailable: the server lists models, and this is not one of them.
        """
        one = await self._ask(
            lambda: self.client.models.retrieve(self.model), Model, _NO_SUCH_QUESTION
        )
        if one is not None and getattr(one, "id", None) == self.model:
            return one
        page = await self._ask(self._list, AsyncPage, _NO_SUCH_QUESTION)
        there = {one.id: one for one in page.data} if page else {}
        if there and self.model not in there:
            raise JudgeUnavailable(self._missing(list(there)))
        return there.get(self.model)

    async def _list(self) -> AsyncPage[Model]:
        return await self.client.models.list()

    async def answer(self, effort: str | None) -> tuple[ChatCompletion, bool]:
        """Have the model answer once, and say whether log-probabilities came along."""
        if family(self.model).reasons(effort):
            return await self._complete(_ROOM_TO_REASON, effort), False
        answer = await self._ask(
            self._completion(_ONE_TOKEN, effort), ChatCompletion, _NOT_LIKE_THAT
        )
        if answer is None:
            return await self._complete(replace(_ONE_TOKEN, top_logprobs=0), effort), False
        steps = answer.choices[0].logprobs
        return answer, bool(steps and steps.content and steps.content[0].top_logprobs)

    async def _complete(self, sampling: Sampling, effort: str | None) -> ChatCompletion:
        answer = await self._ask(self._completion(sampling, effort), ChatCompletion)
        assert answer is not None, "only questions that may be refused go unanswered"
        return answer

    def _completion(
        self, sampling: Sampling, effort: str | None
    ) -> Callable[[], Awaitable[ChatCompletion]]:
        asked = body(self.model, _QUESTION, sampling, effort)

        def question() -> Awaitable[ChatCompletion]:
            self.before(asked)
            return self.client.chat.completions.create(**asked)

        return question

    async def _ask(
        self, question: Callable[[], Awaitable[T]], kind: type[T], unless: Set[int] = frozenset()
    ) -> T | None:
        """Ask a question; None where the answer is one of the statuses `unless`.

        Raises:
            JudgeUnavailable: why there is no answer.
        """
        for _ in range(ATTEMPTS):
            try:
                answer = await question()
                if isinstance(answer, kind) and _whole(answer):
                    return answer
            except openai.APIStatusError as error:
                if error.status_code in unless:
                    return None
                raise JudgeUnavailable(self._refusal(error)) from error
            except openai.APIConnectionError as error:
                raise Unreachable(
                    f"no answer from {self._host} ({error.__cause__ or error}); "
                    "check the base URL and the connection"
                ) from error
            except (openai.APIError, ValueError):
                continue  # not even JSON
        raise JudgeUnavailable(
            f"{self._host} does not answer as an OpenAI-compatible server does; check the base URL"
        )

    def _refusal(self, error: openai.APIStatusError) -> str:
        """Say why a server refused, without what it may have quoted of the key."""
        match error.status_code:
            case 401:
                return self.refused or (
                    f"{self._host} refused the key; check the environment variable it is in"
                )
            case 403:
                return f"the key may not ask {self.model} at {self._host}"
            case 404:
                return self._missing([])
        said = " ".join(error.message.replace(self.client.api_key, "<key>").split())[:300]
        if error.status_code == 402 or "insufficient_quota" in said:
            return f"the account at {self._host} has no money left ({said}); add credit"
        if error.status_code == 429:
            return f"{self._host} takes no more calls of {self.model} for now ({said}); try later"
        if error.status_code >= 500:
            return f"{self._host} fails when it is asked {self.model} ({said}); try later"
        return f"{self._host} refused to ask {self.model}: {said}"

    def _missing(self, there: Sequence[str]) -> str:
        """Say that there is no such model, and why, or which there are."""
        if self.known is not None and self.known.day <= self.today:
            return _shut_down(self.model, self.known)
        if not there:
            return f"{self._host} has no model {self.model}, or no API at {self.client.base_url}"
        close = get_close_matches(self.model, there, n=3, cutoff=0.4) or sorted(there)[:3]
        return (
            f"{self._host} has no model {self.model}; of the {len(there)} it has, the closest are "
            f"{', '.join(close)}"
        )

    @property
    def _host(self) -> str:
        return self.client.base_url.netloc.decode()


def _whole(answer: object) -> bool:
    """Whether an answer has what is read of it: the package takes any JSON for any type."""
    match answer:
        case ChatCompletion():
            return isinstance(getattr(answer, "model", None), str) and bool(
                getattr(answer, "choices", None)
            )
        case AsyncPage():
            models = getattr(answer, "data", None)
            return isinstance(models, list) and all(hasattr(one, "id") for one in models)
    return True


def _shut_down(model: str, end: Retirement) -> str:
    instead = f"; its provider names {end.replacement} instead" if end.replacement else ""
    return f"{model} was shut down on {end.day}{instead}"


def _whole_number(given: object) -> int | None:
    return given if isinstance(given, int) and given > 0 else None


def _day(given: object) -> date | None:
    """Read a day as the API gives it, YYYY-MM-DD; None where it is something else."""
    try:
        return date.fromisoformat(str(given))
    except ValueError:
        return None
