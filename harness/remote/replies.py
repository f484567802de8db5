"""Read what comes back of a call: over HTTP, or as a line of a batch's results.

    read(Heard(http=200, body={"choices": [...], ...}))     Reply("ok", answer=Answer("m", ...))
    read(Heard(http=429, body={"error": {...}}))            Reply("rate_limited")
    read(Heard(http=200, body=None))                        Reply("garbage")
    read(Heard(http=400, body={"error": {...}}), scored)    Reply("no_likelihood")

Every reply has one status, and the status alone says what happens next: an answer is kept, a
failure of the row counted, a passing failure tried again, and the rest stops the run.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Literal

from harness.protocols import Continuation
from harness.records import Failure
from harness.remote.answers import Answer, Token
from harness.remote.scores import continuation_tokens

Status = Literal[
    "ok",
    "truncated",
    "refused",
    "prompt_too_long",
    "no_likelihood",
    "empty",
    "rate_limited",
    "time_out",
    "server_error",
    "connection",
    "garbage",
    "bad_request",
    "cancelled",
    "wrong_model",
    "no_logprobs",
    "no_key",
    "no_model",
    "no_money",
]

ANSWERS: frozenset[Status] = frozenset({"ok", "truncated"})
FAILURES: frozenset[Status] = frozenset({"refused", "prompt_too_long", "no_likelihood"})
"""What the row will always get: a `records.Failure` by that name."""
PASSING: frozenset[Status] = frozenset(
    {"empty", "rate_limited", "time_out", "server_error", "connection", "garbage"}
)
"""What may be better the next time."""
FATAL: frozenset[Status] = frozenset(
    {"wrong_model", "no_logprobs", "no_key", "no_model", "no_money"}
)
"""What every other call would get as well."""

IMPOSSIBLE = -9999.0
"""What servers write for the log-probability of a token that is too unlikely to be computed."""

_NO_LOGPROBS = re.compile(r"logprobs|log.?probabilit", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"context.{0,12}(length|window)|string_above_max_length|(prompt|input).{0,40}too long"
    # vLLM's words where a prompt leaves no room for one more token
    r"|maximum model length|max_tokens must be at least 1, got (0|-)",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(r"model.{0,80}(does not exist|not found)", re.IGNORECASE)
_FILTERED = re.compile(r"content.?(filter|policy|management)|safety system", re.IGNORECASE)
_DETAIL = 200


@dataclass(frozen=True)
class Heard:
    """What came back of a call."""

    http: int | None = None
    """The status; None where no answer came."""
    body: Any = None
    """The parsed JSON; None where it is none."""
    text: str = ""
    """The body where it is no JSON, or what went wrong on the way."""
    lost: Literal["time_out", "connection", "cancelled"] | None = None
    """Why no answer came."""
    sent: bool = True
    """Whether the server can have seen the call: then it may have to be paid for."""
    pause: float | None = None
    """Seconds for which the server asks to be left alone."""
    version: str | None = None
    """Of the API, by its own header."""
    seconds: float = 0.0


@dataclass(frozen=True)
class Usage:
    """The tokens of a call, None where the server does not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    """Among the input tokens."""
    reasoning_tokens: int | None = None
    """Among the output tokens."""


@dataclass(frozen=True)
class Reply:
    """What a call came to."""

    status: Status
    answer: Answer | None = None
    """With `ok`, `truncated` and `empty`."""
    detail: str = ""
    """What a person would look at, e.g. the server's own words."""
    served: str | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None
    usage: Usage = Usage()


def read(heard: Heard, scored: Continuation | None = None) -> Reply:
    """Say what a call came to. Nothing that a server writes makes this fail.

    Args:
        heard: What came back.
        scored: The continuation, where its likelihood was asked: then the answer is its tokens.
    """
    if heard.lost is not None:
        return Reply(heard.lost, detail=heard.text[:_DETAIL])
    if heard.http is not None and heard.http >= 400:
        return _refusal(heard.http, heard.body, heard.text, scored)
    return _completion(heard.body, heard.text, scored)


def _refusal(http: int, body: Any, text: str, scored: Continuation | None) -> Reply:
    """Read an error, told by its status and, where that is not enough, by its code or words."""
    error = _at(body, "error", body)
    code, message = str(_at(error, "code") or ""), str(_at(error, "message") or text)
    if isinstance(error, str):
        message = error
    detail = f"{http} {' '.join(message.split())}"[:_DETAIL]
    words = f"{code} {_at(error, 'type')} {message}"
    status: Status = "bad_request"
    if http == 429:
        status = "no_money" if "insufficient_quota" in words else "rate_limited"
    elif http in (401, 403):
        status = "no_key"
    elif http == 402:
        status = "no_money"
    elif http == 404 and (scored is None or _NO_MODEL.search(message)):
        status = "no_model"
    elif http == 408:
        status = "time_out"
    elif http == 409 or http >= 500:
        status = "server_error"
    elif http == 413 or _TOO_LONG.search(words):
        status = "prompt_too_long"
    elif _FILTERED.search(words):
        status = "refused"
    elif scored is None and _NO_LOGPROBS.search(f"{_at(error, 'param')} {words}"):
        status = "no_logprobs"
    elif scored is not None:  # a server without text completions, or one that reads none back
        status = "no_likelihood"
    return Reply(status, detail=detail)


def _completion(body: Any, text: str, scored: Continuation | None) -> Reply:
    """Read a completion, of a chat or of text, or a text that was read back."""
    choice = _first(_at(body, "choices"))
    chat, written = _at(choice, "message"), _text(_at(choice, "text"))
    is_chat = isinstance(chat, Mapping)
    if not is_chat and written is None:
        return Reply("garbage", detail=text[:_DETAIL] or "no choices")
    served = _text(_at(body, "model"))
    told: dict[str, Any] = {
        "served": served,
        "system_fingerprint": _text(_at(body, "system_fingerprint")),
        "service_tier": _text(_at(body, "service_tier")),
    }
    usage = _usage(_at(body, "usage"))
    logprobs = _at(choice, "logprobs")
    if scored is not None:
        return _likelihood(_text_tokens(logprobs), usage, scored, told)
    refusal, reason = _text(_at(chat, "refusal")), _at(choice, "finish_reason")
    if refusal or reason == "content_filter":
        detail = (refusal or "content_filter")[:_DETAIL]
        return Reply("refused", detail=detail, usage=usage, **told)
    content = (_text(_at(chat, "content")) if is_chat else written) or ""
    answer = Answer(
        text=content,
        finish_reason="length" if reason == "length" else "stop",
        served=served,
        tokens=_chat_tokens(logprobs) if is_chat else _all_known(_text_tokens(logprobs)),
    )
    # A text may be at its end already, where a chat is owed an answer.
    silent = is_chat and not content
    status: Status = "truncated" if reason == "length" else "empty" if silent else "ok"
    return Reply(status, answer, usage=usage, **told)


def _likelihood(
    tokens: tuple[Token, ...] | None, usage: Usage, scored: Continuation, told: Mapping[str, Any]
) -> Reply:
    """Keep what a continuation's likelihood is made of: its tokens."""
    found = continuation_tokens(tokens, usage.input_tokens, scored)
    if isinstance(found, Failure):
        return Reply("no_likelihood", detail=found.detail, usage=usage, **told)
    text = "".join(token.text for token in found)
    answer = Answer(text=text, finish_reason="stop", served=told["served"], tokens=found)
    return Reply("ok", answer, usage=usage, **told)


def _usage(given: Any) -> Usage:
    return Usage(
        input_tokens=_count(_at(given, "prompt_tokens")),
        output_tokens=_count(_at(given, "completion_tokens")),
        cached_tokens=_count(_at(_at(given, "prompt_tokens_details"), "cached_tokens")),
        reasoning_tokens=_count(_at(_at(given, "completion_tokens_details"), "reasoning_tokens")),
    )


def _chat_tokens(given: Any) -> tuple[Token, ...] | None:
    """Read tokens with their log-probabilities; None where any of them cannot be read."""
    content = _at(given, "content")
    if not isinstance(content, Sequence) or not content:
        return None
    try:
        return tuple(
            _token(
                one["token"],
                one["logprob"],
                ((other["token"], other["logprob"]) for other in one.get("top_logprobs") or ()),
            )
            for one in content
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        return None


def _text_tokens(given: Any) -> tuple[Token, ...] | None:
    """Read the same as lists side by side; what has no log-probability gets nan."""
    try:
        return tuple(
            _token(text, math.nan if logprob is None else logprob, (top or {}).items())
            for text, logprob, top in zip(
                given["tokens"],
                given["token_logprobs"],
                given.get("top_logprobs") or repeat(None, len(given["tokens"])),
                strict=True,
            )
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        return None


def _token(text: Any, logprob: Any, likeliest: Iterable[tuple[Any, Any]]) -> Token:
    possible = [(_string(one), float(value)) for one, value in likeliest if value > IMPOSSIBLE]
    return Token(_string(text), float(logprob), tuple(sorted(possible, key=lambda one: -one[1])))


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _all_known(tokens: tuple[Token, ...] | None) -> tuple[Token, ...] | None:
    """Keep tokens only where every one has a log-probability."""
    return None if any(math.isnan(one.logprob) for one in tokens or ()) else tokens or None


def _at(value: Any, key: str, default: Any = None) -> Any:
    return value.get(key, default) if isinstance(value, Mapping) else default


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
