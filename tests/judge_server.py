"""An OpenAI-compatible server for tests: real HTTP on 127.0.0.1, and as bad as a test wants it.

    def reply(body):                       # what the model says to a chat completion's body
        return "m" if "short" in body["messages"][-1]["content"] else "M"

    with JudgeServer(reply) as server:
        config = OpenAI.Config(base_url=server.url)
        ...
        assert len(server.answered) == 805

    Said("m", [{"m": 0.9, "M": 0.1}])                  a reply with token probabilities
    JudgeServer(reply, delay=0.05)                     every call takes 50 ms
    JudgeServer(reply, trouble=at_random(0.2))         a fifth of all calls fail, by a seed
    JudgeServer(reply, trouble=lambda body, nth: "error" if nth == 0 else None)
    JudgeServer(reply, trouble=without_logprobs)       400 for whatever asks for log-probabilities
    JudgeServer(reply, most_at_once=4)                 429 for the fifth call at once
    JudgeServer(reply, served="judge-2026", key="sk-x")
    JudgeServer(language=WordModel([" dog"]), context=64)   text completions too, as vLLM's
    JudgeServer(language=..., echo="refused")          that read no text back, as OpenAI's

Troubles, by name (`throttle:0.05` also asks for a pause of so many seconds):

    throttle quota error unavailable reset hang garbage no_choices empty        for `nth` calls
    cut refuse filter filtered too_long bad wrong_model unauthorized forbidden no_model echo_key
    no_logprobs

`nth` counts how often the same body came before. By hand: `python -m tests.judge_server --delay
0.05` serves until its input ends.
"""

import argparse
import asyncio
import hashlib
import json
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log
from random import Random
from typing import Any, Literal

from tests.word_model import WordModel

Body = dict[str, Any]


@dataclass(frozen=True)
class Said:
    """A reply with the probabilities of its tokens: one {token: probability} each, said first."""

    text: str
    steps: Sequence[Mapping[str, float]] = ()


Reply = Callable[[Body], "str | Said"]
Trouble = Callable[[Body, int], "str | None"]

PASSING = ("throttle", "throttle:0.02", "error", "unavailable", "reset", "hang", "garbage")


def at_random(share: float, names: Sequence[str] = PASSING, seed: int = 0) -> Trouble:
    """Trouble for a share of all calls, by seed, body and how often that came: in any order."""

    def trouble(body: Body, nth: int) -> str | None:
        random = Random(f"{seed}/{_digest(body)}/{nth}")
        return random.choice(names) if random.random() < share else None

    return trouble


def without_logprobs(body: Body, nth: int) -> str | None:
    """Trouble for every call that asks for log-probabilities."""
    return "no_logprobs" if "logprobs" in body else None


@dataclass(frozen=True)
class Received:
    """A call as it came, and what it came to."""

    method: str
    path: str
    headers: Mapping[str, str]
    content: bytes
    nth: int = 0
    trouble: str | None = None

    @property
    def body(self) -> Body:
        return json.loads(self.content) if self.content else {}


@dataclass(frozen=True)
class Response:
    """What is sent back; raw bytes go as they are."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Received], "Response | Awaitable[Response]"]


class Reset(Exception):
    """The connection is cut."""


class JudgeServer:
    """The server; it listens inside its `with` block."""

    def __init__(
        self,
        reply: Reply = lambda body: "Yes.",
        *,
        delay: float = 0.0,
        trouble: Trouble = lambda body, nth: None,
        models: Sequence[str] = ("judge",),
        served: str | None = None,
        most_at_once: int | None = None,
        per_second: float | None = None,
        key: str | None = None,
        hang: float = 60.0,
        shutdown_date: str | None = None,
        language: WordModel | None = None,
        echo: Literal["given", "refused", "ignored"] = "given",
        context: int | None = None,
        port: int = 0,
    ) -> None:
        self.reply, self.delay, self.trouble = reply, delay, trouble
        self.models, self.served, self.key = models, served, key
        self.most_at_once, self.per_second, self.hang = most_at_once, per_second, hang
        self.shutdown_date = shutdown_date
        self.language, self.echo, self.context = language, echo, context
        self.received: list[Received] = []
        """Every call for a completion, troubled or not."""
        self.at_once = self.most_seen_at_once = 0
        self.routes: list[tuple[str, str, Handler]] = [
            ("POST", r"/v1/chat/completions", self._completion),
            *([("POST", r"/v1/completions", self._completion)] if language else []),
            ("GET", r"/v1/models", lambda _: Response({"object": "list", "data": self._listed()})),
            ("GET", r"/v1/models/.+", self._model),
        ]
        """(method, pattern of the whole path, handler); the first that matches answers."""
        self._port = port
        self._times: Counter[str] = Counter()
        self._tokens, self._filled = 1.0, time.monotonic()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def answered(self) -> list[Body]:
        """The bodies of all calls that were answered as asked."""
        return [one.body for one in self.received if one.trouble is None]

    def answered_twice(self) -> list[Body]:
        """What was asked again although it had been answered."""
        times = Counter(_digest(body) for body in self.answered)
        return [body for body in self.answered if times[_digest(body)] > 1]

    # Serving

    def __enter__(self) -> "JudgeServer":
        listening = threading.Event()
        self._loop = asyncio.new_event_loop()

        async def serve() -> None:
            self._stop = asyncio.Event()
            server = await asyncio.start_server(
                self._connection, "127.0.0.1", self._port, backlog=1024
            )
            self._port = server.sockets[0].getsockname()[1]
            listening.set()
            await self._stop.wait()
            server.close()
            # Again, since connections that were just taken begin their tasks a little later.
            while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)

        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(serve()))
        self._thread.start()
        listening.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.run_until_complete(asyncio.sleep(0))  # transports close
        self._loop.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (received := await _read(reader)) is not None:
                response = await self._response(received)
                writer.write(_written(response))
                await writer.drain()
        except (Reset, ConnectionError):
            writer.transport.abort()
        except asyncio.CancelledError:
            pass  # the server ends
        finally:
            writer.close()

    async def _response(self, received: Received) -> Response:
        if self.key and received.headers.get("authorization") != f"Bearer {self.key}":
            return _error(401, "invalid_api_key", f"not {received.headers.get('authorization')}")
        for method, pattern, handler in self.routes:
            if method == received.method and re.fullmatch(pattern, received.path):
                response = handler(received)
                return await response if isinstance(response, Awaitable) else response
        return _error(404, None, "no such place")

    # Models

    def _listed(self) -> list[Body]:
        extra: Body = {"shutdown_date": self.shutdown_date} if self.shutdown_date else {}
        if self.context:
            extra["max_model_len"] = self.context
        return [
            {"id": name, "object": "model", "created": 1, "owned_by": "tests", **extra}
            for name in self.models
        ]

    def _model(self, received: Received) -> Response:
        name = received.path.removeprefix("/v1/models/")
        found = next((model for model in self._listed() if model["id"] == name), None)
        return Response(found) if found else _error(404, "model_not_found", f"no model {name}")

    # Completions

    async def _completion(self, received: Received) -> Response:
        body = received.body
        digest = _digest(body)
        nth = self._times[digest]
        self._times[digest] += 1
        self.at_once += 1
        self.most_seen_at_once = max(self.most_seen_at_once, self.at_once)
        try:
            over = self._over_limit()
            trouble = "throttle" if over else self.trouble(body, nth)
            self.received.append(
                Received(
                    received.method,
                    received.path,
                    received.headers,
                    received.content,
                    nth,
                    trouble,
                )
            )
            if over:
                return _throttled(None)
            if self.delay:
                await asyncio.sleep(self.delay)
            name, _, value = (trouble or "").partition(":")
            return await self._troubled(name, value, received) if name else self.complete(body)
        finally:
            self.at_once -= 1

    def _over_limit(self) -> bool:
        if self.most_at_once is not None and self.at_once > self.most_at_once:
            return True
        if self.per_second is None:
            return False
        now = time.monotonic()
        self._tokens = min(1.0, self._tokens + (now - self._filled) * self.per_second)
        self._filled = now
        if self._tokens < 1:
            return True
        self._tokens -= 1
        return False

    def complete(self, body: Body, finish: str = "stop") -> Response:
        """Answer a completion: also for whoever adds routes, such as batches."""
        model = body.get("model")
        if model not in self.models:
            return _error(404, "model_not_found", f"The model `{model}` does not exist")
        if "prompt" in body:
            return self._text(body, finish)
        said = self.reply(body)
        said = said if isinstance(said, Said) else Said(said)
        choices = [_choice(index, said, body, finish) for index in range(body.get("n") or 1)]
        prompt = sum(len(message["content"].split()) for message in body["messages"])
        new = len(choices) * max(1, len(said.text.split()))
        return self._completed("chat.completion", body, choices, prompt, new)

    def _completed(
        self, kind: str, body: Body, choices: Sequence[Body], prompt: int, new: int
    ) -> Response:
        return Response(
            {
                "id": "chatcmpl-1",
                "object": kind,
                "created": 1,
                "model": self.served or body["model"],
                "system_fingerprint": "fp_tests",
                "service_tier": "default",
                "choices": choices,
                "usage": {
                    "prompt_tokens": prompt,
                    "completion_tokens": new,
                    "total_tokens": prompt + new,
                    "prompt_tokens_details": {"cached_tokens": 0},
                    "completion_tokens_details": {"reasoning_tokens": 0},
                },
            },
            headers={"openai-version": "2020-10-01"},
        )

    def _text(self, body: Body, finish: str) -> Response:
        """Complete a text by the language model, one sample at a time, as the harness asks."""
        language, echo = self.language, body.get("echo", False)
        if echo and self.echo == "refused":
            return _error(400, None, "echo and logprobs are not supported together")
        echo = echo and self.echo == "given"
        given = body["prompt"]
        ids = language.encode(given) if isinstance(given, str) else tuple(given)
        if not ids:
            return _error(400, None, "You must pass at least one prompt")
        if self.context is not None and len(ids) >= self.context:
            return _error(400, None, f"This model's maximum context length is {self.context}")
        room = min(body["max_tokens"], (self.context or 1 << 20) - len(ids))
        random, stop, new = Random(body.get("seed")), body.get("stop", []), []
        ended = False
        while len(new) < room and not ended:
            new.append(language.draw([*ids, *new], body["temperature"], random))
            text = language.decode(new)
            ended = new[-1] == language.end or any(string in text for string in stop)
        for string in stop:
            text = text.partition(string)[0]
        choice = {
            "index": 0,
            "text": language.decode(ids) + text if echo else text,
            "finish_reason": finish if ended else "length",
            "logprobs": None,
        }
        if (top := body.get("logprobs")) is not None:
            begin = 0 if echo else len(ids)
            choice["logprobs"] = _side_by_side(language, [*ids, *new], begin, top)
        return self._completed("text_completion", body, [choice], len(ids), len(new))

    async def _troubled(self, name: str, value: str, received: Received) -> Response:
        body = received.body
        match name:
            case "throttle":
                return _throttled(value)
            case "quota":
                return _error(429, "insufficient_quota", "You exceeded your current quota")
            case "error":
                return _error(500, None, "The server had an error")
            case "unavailable":
                return Response(b"<html>upstream is busy</html>", 503)
            case "reset":
                raise Reset
            case "hang":
                await asyncio.sleep(self.hang)
                raise Reset
            case "garbage":
                return Response(b'{"id": "chatcmpl-1", "choi')
            case "no_choices":
                return Response({"id": "chatcmpl-1", "object": "chat.completion", "choices": []})
            case "cut":
                return self.complete(body, finish="length")
            case "filtered":
                return _error(400, "content_filter", "The response was filtered")
            case "too_long":
                return _error(
                    400, "context_length_exceeded", "This model's maximum context length is 8"
                )
            case "bad":
                return _error(400, "unsupported_parameter", "Unsupported parameter: 'seed'")
            case "no_logprobs":
                return _error(400, None, "logprobs are not supported with this model")
            case "unauthorized" | "echo_key":
                return _error(401, "invalid_api_key", f"not {received.headers['authorization']}")
            case "forbidden":
                return _error(403, None, "not for you")
            case "no_model":
                return _error(404, "model_not_found", "The model does not exist")
        whole = self.complete(body)
        message = whole.body["choices"][0].get("message")
        match name:
            case "empty":
                message["content"] = ""
            case "refuse":
                message |= {"content": None, "refusal": "I cannot judge that."}
            case "filter":
                whole.body["choices"][0]["finish_reason"] = "content_filter"
            case "wrong_model":
                whole.body["model"] = "another-judge"
            case _:
                raise ValueError(f"no trouble called {name!r}")
        return whole


def _side_by_side(language: WordModel, ids: Sequence[int], begin: int, top: int) -> Body:
    """Lay out the tokens from a place on, as vLLM does: the first of all has no probability."""
    logprobs, likeliest = [], []
    for place in range(begin, len(ids)):
        before = language.logprobs(tuple(ids[:place][-2:])) if place else None
        logprobs.append(before and before[ids[place]])
        best = sorted(range(len(before or ())), key=lambda id: -before[id])[:top]
        shown = [ids[place], *best] if before else []
        likeliest.append({language.piece(id): before[id] for id in shown} or None)
    pieces = [language.piece(id) for id in ids[begin:]]
    ends = [sum(map(len, pieces[:count])) for count in range(len(pieces))]
    return {
        "tokens": pieces,
        "token_logprobs": logprobs,
        "top_logprobs": likeliest,
        "text_offset": ends,
    }


def _choice(index: int, said: Said, body: Body, finish: str) -> Body:
    logprobs = None
    if body.get("logprobs"):
        steps = said.steps or [{token: 0.9} for token in re.findall(r"\s*\S+|\s+$", said.text)]
        logprobs = {"content": [_token(step, body.get("top_logprobs") or 0) for step in steps]}
    return {
        "index": index,
        "message": {"role": "assistant", "content": said.text, "refusal": None},
        "finish_reason": finish,
        "logprobs": logprobs,
    }


def _token(step: Mapping[str, float], top: int) -> Body:
    ranked = sorted(step.items(), key=lambda one: -one[1])[:top]
    token, probability = next(iter(step.items()))
    return {
        "token": token,
        "logprob": _log(probability),
        "bytes": list(token.encode()),
        "top_logprobs": [
            {"token": token, "logprob": _log(p), "bytes": list(token.encode())}
            for token, p in ranked
        ],
    }


def _log(probability: float) -> float:
    return log(probability) if probability else -9999.0


def _error(status: int, code: str | None, message: str) -> Response:
    kind = "insufficient_quota" if code == "insufficient_quota" else "error"
    return Response(
        {"error": {"message": message, "type": kind, "param": None, "code": code}}, status
    )


def _throttled(seconds: str | None) -> Response:
    response = _error(429, "rate_limit_exceeded", "Rate limit reached")
    headers = {"retry-after-ms": str(float(seconds) * 1000)} if seconds else {}
    return Response(response.body, 429, headers)


def _digest(body: Body) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


async def _read(reader: asyncio.StreamReader) -> Received | None:
    """Read one request; None where the other side has closed the connection."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip().split("\r\n")
        method, path, _ = first.split(" ")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        content = await reader.readexactly(int(headers.get("content-length", 0)))
    except asyncio.IncompleteReadError:
        return None
    return Received(method, path.partition("?")[0], headers, content)


def _written(response: Response) -> bytes:
    raw = isinstance(response.body, bytes)
    content = response.body if raw else json.dumps(response.body).encode()
    headers = {
        "content-type": "application/json",
        "content-length": str(len(content)),
        **response.headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {response.status} Said\r\n{lines}\r\n".encode() + content


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--model", default="judge")
    parser.add_argument("--text", default="m")
    options = parser.parse_args()
    server = JudgeServer(
        lambda body: options.text,
        delay=options.delay,
        models=(options.model,),
        port=options.port,
    )
    with server:
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
