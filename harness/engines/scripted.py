"""The `scripted` engine: answers from a script instead of a model, for testing plug-ins.

A script maps patterns to texts; the first pattern found in a prompt decides.

    [engine]
    name = "scripted"
    default = "I do not know."
    [engine.replies]
    "review" = ["Clear and right. Score: 4", "Vague. Score: 2"]     # drawn by seed, id and index
    "capital of France" = "Paris."
    [engine.failures]
    "capital of Atlantis" = "refused"

    with Scripted(Scripted.Config(default="Yes.")).open(ModelRef(location="any")) as model: ...
    with Scripted(Scripted.Config(), reply=my_function).open(ref) as model: ...

Token ids are the bytes of the UTF-8 text, and 256 is the end token. Where several texts are given,
greedy decoding takes the first. As a language model it expects exactly that text: nine tenths of
the probability are on its next byte, so `loglikelihood` prefers what the script says.
"""

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar

from pydantic import Field, field_validator

from harness.protocols import (
    Completion,
    Continuation,
    LogLikelihood,
    Message,
    Prompt,
    Request,
    Sampling,
    Step,
)
from harness.records import Failure, ModelRef, Record

END = 256
"""The end token's id; the ids below it are bytes."""

_EXPECTED, _OTHER = math.log(0.9), math.log(0.1 / 256)

Reply = Callable[[ModelRef, Request, int], str]
"""Writes the text of one completion: of which model, to which request, with which index."""


class Scripted:
    """Answers from a script."""

    light: ClassVar[bool] = True

    class Config(Record):
        """The script. Patterns are regular expressions, searched for in the prompt."""

        replies: dict[str, str | tuple[str, ...]] = Field(default_factory=dict)
        """What to say to a prompt with the pattern; of several texts one is drawn."""
        default: str | tuple[str, ...] = "Yes."
        """What to say where no pattern is found."""
        failures: dict[str, str] = Field(default_factory=dict)
        """The `Failure.reason` to give for a prompt with the pattern."""
        tells_likeliest: bool = True
        """Whether it reports the likeliest tokens where they are asked for; not all servers do."""
        context: int = Field(default=65_536, ge=1)
        """The longest prompt plus completion, in bytes."""

        @field_validator("replies", "failures")
        @classmethod
        def _are_patterns(cls, value: dict[str, object]) -> dict[str, object]:
            for pattern in value:
                try:
                    re.compile(pattern)
                except re.error as error:
                    raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
            return value

    def __init__(self, config: Config, reply: Reply | None = None) -> None:
        """Take the script from the configuration, or from a function where one is given."""
        self._config = config
        self._reply = reply

    @contextmanager
    def open(self, model: ModelRef) -> Iterator["LoadedScript"]:
        """Open the script; it is the same one for every model."""
        yield LoadedScript(model, self._config, self._reply)


class LoadedScript:
    """A script, opened as a model."""

    def __init__(self, ref: ModelRef, config: Scripted.Config, reply: Reply | None) -> None:
        script = hashlib.sha256(config.model_dump_json().encode()).hexdigest()[:16]
        self.ref = ref.model_copy(update={"fingerprint": ref.fingerprint or script})
        self.chat_template: str | None = "scripted"
        self.context = config.context
        self._config = config
        self._reply = reply

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Answer every request from the script, one after the other."""
        for request in requests:
            for index in range(request.sampling.n):
                yield self._complete(request, index)

    def loglikelihood(self, requests: Iterable[Continuation]) -> Iterator[LogLikelihood]:
        """Score every continuation by how far it is what the script says."""
        for request in requests:
            prompt = _ids(request.prompt)
            ids = _ids(request.continuation)
            failure = self._failure(request.prompt, len(prompt) + len(ids) - 1)
            expected = self._expected(request.id, request.prompt)
            yield LogLikelihood(
                id=request.id,
                logprob=float("nan") if failure else sum(_logprobs(expected, ids)),
                tokens=len(ids),
                greedy=failure is None and expected[: len(ids)] == ids,
                failure=failure,
            )

    def count_tokens(self, prompt: Prompt) -> int:
        """Count the prompt's bytes."""
        return len(_ids(prompt))

    def _complete(self, request: Request, index: int) -> Completion:
        prompt_ids, sampling = _ids(request.prompt), request.sampling
        failure = self._failure(request.prompt, len(prompt_ids) + 1)
        if failure is not None:
            return Completion(
                id=request.id,
                index=index,
                text="",
                prompt_ids=prompt_ids,
                finish_reason="failed",
                failure=failure,
            )
        ids = (*self._say(request, index).encode(), END)
        room = min(sampling.max_tokens, self.context - len(prompt_ids))
        stops = [end for stop in sampling.stop if (end := _end_of(ids, stop.encode()))]
        token_ids = ids[: min([room, *stops])]
        ended = token_ids[-1:] == (END,) or len(token_ids) in stops
        text = _text(token_ids)
        logprobs: tuple[float, ...] = ()
        if sampling.logprobs or sampling.top_logprobs:
            logprobs = tuple(_logprobs(self._expected(request.id, request.prompt), token_ids))
        for stop in sampling.stop:
            text = text.partition(stop)[0]
        return Completion(
            id=request.id,
            index=index,
            text=text,
            prompt_ids=prompt_ids,
            token_ids=token_ids,
            finish_reason="stop" if ended else "length",
            logprobs=logprobs if sampling.logprobs else None,
            steps=(
                tuple(map(_step, token_ids, logprobs))
                if sampling.top_logprobs and self._config.tells_likeliest
                else None
            ),
        )

    def _say(self, request: Request, index: int) -> str:
        if self._reply is not None:
            return self._reply(self.ref, request, index)
        texts = self._texts(request.prompt)
        if request.sampling.temperature == 0:
            return texts[0]
        key = f"{request.sampling.seed}\0{index}\0{request.id}".encode()
        return texts[int.from_bytes(hashlib.sha256(key).digest()[:8]) % len(texts)]

    def _texts(self, prompt: Prompt) -> tuple[str, ...]:
        """Find what the script has for a prompt."""
        text = prompt_text(prompt)
        found = self._config.default
        for pattern, reply in self._config.replies.items():
            if re.search(pattern, text):
                found = reply
                break
        return (found,) if isinstance(found, str) else found

    def _expected(self, id: str, prompt: Prompt) -> tuple[int, ...]:
        """Find what greedy decoding says."""
        greedy = Request(id, prompt, Sampling(temperature=0))
        return (*self._say(greedy, 0).encode(), END)

    def _failure(self, prompt: Prompt, length: int) -> Failure | None:
        text = prompt_text(prompt)
        for pattern, reason in self._config.failures.items():
            if re.search(pattern, text):
                return Failure(reason=reason, detail="as scripted")
        if length > self.context:
            detail = f"{length} tokens, and the context of {self.ref.name} is {self.context}"
            return Failure(reason="prompt_too_long", detail=detail)
        return None


def prompt_text(prompt: Prompt) -> str:
    """Render what patterns are searched in: `user: Hi` lines, or the text itself."""
    if isinstance(prompt, str):
        return prompt
    messages = [turn for turn in prompt if isinstance(turn, Message)]
    if messages:
        return "\n".join(f"{message.role}: {message.content}" for message in messages)
    return _text([id for id in prompt if isinstance(id, int)])


def _ids(prompt: Prompt) -> tuple[int, ...]:
    if isinstance(prompt, str) or any(isinstance(turn, Message) for turn in prompt):
        return tuple(prompt_text(prompt).encode())
    return tuple(id for id in prompt if isinstance(id, int))


def _text(ids: Iterable[int]) -> str:
    return bytes(id for id in ids if id < END).decode(errors="replace")


def _step(id: int, logprob: float) -> Step:
    token = "" if id == END else chr(id)
    return Step(token, ((token, logprob),))


def _end_of(ids: tuple[int, ...], stop: bytes) -> int:
    """Count the tokens up to the end of a stop string, 0 where it is not said."""
    start = bytes(ids[:-1]).find(stop)
    return start + len(stop) if start >= 0 else 0


def _logprobs(expected: tuple[int, ...], ids: tuple[int, ...]) -> list[float]:
    """Give each token's log-probability: what the script says next, or anything else."""
    said = [a == b for a, b in zip(ids, expected, strict=False)]
    on_script = said.index(False) if False in said else len(said)
    return [_EXPECTED] * on_script + [_OTHER] * (len(ids) - on_script)
