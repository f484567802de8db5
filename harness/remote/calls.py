"""What is asked of a server: one call a sample, each by a hash of all that its answer depends on.

    Request("w17", user("..."), Sampling(n=2))   ->   Call(key="9f2c...", body={...}, rows=(w17, 0))
                                                      Call(key="03ab...", body={...}, rows=(w17, 1))

Samples are drawn with seeds of their own, from the request's seed, its id and their index, so that
every sample can be had again alone, on servers with and without `n`, as far as a server keeps to
seeds at all. Greedy samples share the request's seed: rows that ask the same greedily are one call.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from harness.protocols import Message, Request, Sampling
from harness.remote.families import body

_PER_MESSAGE = 16  # tokens around a message's text, at the very most
_BYTES_PER_TOKEN = 4  # of English; for estimates, never for bounds


@dataclass(frozen=True)
class Call:
    """One call, and who asked for it."""

    key: str
    body: dict[str, Any]
    rows: list[tuple[Request, int]] = field(default_factory=list)
    """Requests and which of their samples this is."""

    @property
    def most_input_tokens(self) -> int:
        """More than the messages can have: no token is shorter than a byte."""
        messages = self.body["messages"]
        return sum(len(one["content"].encode()) + _PER_MESSAGE for one in messages)

    @property
    def most_output_tokens(self) -> int:
        """The token limit, by whichever name."""
        most: int = self.body.get("max_completion_tokens") or self.body["max_tokens"]
        return most


@dataclass(frozen=True)
class Target:
    """Which model is asked where: what all calls of an opened model share."""

    host: str
    model: str
    pinned: str | None
    reasoning_effort: str | None

    def calls(self, requests: Iterable[Request]) -> list[Call]:
        """Plan the calls that answer requests, each question once.

        Raises:
            ConfigError: the model's family cannot sample like that.
        """
        calls: dict[str, Call] = {}
        for request in requests:
            messages = chat(request)
            assert messages is not None, "what is no chat was refused before"
            for index in range(request.sampling.n):
                sampling = _one(request, index)
                asked = body(self.model, messages, sampling, self.reasoning_effort)
                key = self._key(asked, index)
                calls.setdefault(key, Call(key, asked)).rows.append((request, index))
        return list(calls.values())

    def _key(self, asked: dict[str, Any], index: int) -> str:
        depends = {
            "host": self.host,
            "model": self.model,
            "pinned": self.pinned,
            "body": asked,
            "sample": index,
        }
        return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()


def chat(request: Request) -> list[Message] | None:
    """Read a prompt as a conversation; None where it is plain text or token ids."""
    if isinstance(request.prompt, str):
        return None
    messages = [turn for turn in request.prompt if isinstance(turn, Message)]
    return messages if messages and len(messages) == len(request.prompt) else None


def estimate_tokens(text: str) -> int:
    """Estimate how many tokens a text has, without its tokenizer."""
    return -(-len(text.encode()) // _BYTES_PER_TOKEN)


def _one(request: Request, index: int) -> Sampling:
    """The sampling of one sample."""
    sampling = request.sampling
    if sampling.temperature == 0:
        return replace(sampling, n=1)
    drawn = hashlib.sha256(f"{sampling.seed}\0{index}\0{request.id}".encode()).digest()
    # Servers take 32-bit seeds, some of them signed.
    return replace(sampling, n=1, seed=int.from_bytes(drawn[:4]) >> 1)
