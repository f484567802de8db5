"""What is asked of a server: one call a sample, each by a hash of all that its answer depends on.

    Request("w17", user("..."), Sampling(n=2))   ->   Call(key="9f2c...", body={...}, rows=(w17, 0))
                                                      Call(key="03ab...", body={...}, rows=(w17, 1))
    Continuation("q3", "The sky is", " blue")    ->   Call(key="51eb...", body={...}, scored=(q3))

Messages are completed as a chat; text and token ids as they are, like continuations, which are sent
with their prompt to be read back with the probability of every token.

Samples are drawn with seeds of their own, from the request's seed, its id and their index, so that
every sample can be had again alone, on servers with and without `n`, as far as a server keeps to
seeds at all. Greedy samples share the request's seed: rows that ask the same greedily are one call.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from harness.protocols import Continuation, Message, Prompt, Request, Sampling
from harness.remote.families import Text, body, scoring_body, text_body

_PER_MESSAGE = 16  # tokens around a message's text, at the very most
_LOGPROBS = {"logprobs", "top_logprobs"}
_BYTES_PER_TOKEN = 4  # of English; for estimates, never for bounds


@dataclass(frozen=True)
class Call:
    """One call, and who asked for it."""

    key: str
    body: dict[str, Any]
    rows: list[tuple[Request, int]] = field(default_factory=list)
    """Requests and which of their samples this is."""
    scored: list[Continuation] = field(default_factory=list)
    """Or the continuations whose likelihood this is: the same after the same prompt."""

    @property
    def most_input_tokens(self) -> int:
        """More than the prompt can have: no token is shorter than a byte."""
        if "prompt" in self.body:
            prompt: Text = self.body["prompt"]
            return _PER_MESSAGE + len(prompt.encode() if isinstance(prompt, str) else prompt)
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
    logprobs: bool | None = None
    """Whether it gives log-probabilities: where not, none are asked for. None: nobody knows."""

    def calls(self, requests: Iterable[Request]) -> list[Call]:
        """Plan the calls that answer requests, each question once.

        Raises:
            ConfigError: the model's family cannot sample like that.
        """
        return self._plan((one, index) for one in requests for index in range(one.sampling.n))

    def again(self, calls: Iterable[Call]) -> list[Call]:
        """Plan the same calls by what is known now."""
        return self._plan(row for call in calls for row in call.rows)

    def _plan(self, rows: Iterable[tuple[Request, int]]) -> list[Call]:
        calls: dict[str, Call] = {}
        for request, index in rows:
            asked = self._asked(request.prompt, _one(request, index))
            key = self._key(asked, sample=index)
            calls.setdefault(key, Call(key, asked)).rows.append((request, index))
        return list(calls.values())

    def scoring(self, continuations: Iterable[Continuation]) -> list[Call]:
        """Plan the calls that score continuations, text after text or ids after ids, each once."""
        calls: dict[str, Call] = {}
        for one in continuations:
            asked = scoring_body(self.model, whole(one))
            # The same text may be parted in more than one place.
            key = self._key(asked, scored=one.continuation)
            calls.setdefault(key, Call(key, asked)).scored.append(one)
        return list(calls.values())

    def _asked(self, prompt: Prompt, sampling: Sampling) -> dict[str, Any]:
        messages = chat(prompt)
        if messages is None:
            asked = text_body(self.model, text(prompt), sampling)
        else:
            asked = body(self.model, messages, sampling, self.reasoning_effort)
        if self.logprobs is False:
            return {name: value for name, value in asked.items() if name not in _LOGPROBS}
        return asked

    def _key(self, asked: dict[str, Any], **which: object) -> str:
        depends = {
            "host": self.host,
            "model": self.model,
            "pinned": self.pinned,
            "body": asked,
            **which,
        }
        return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()


def chat(prompt: Prompt) -> list[Message] | None:
    """Read a prompt as a conversation; None where it is plain text or token ids."""
    if isinstance(prompt, str):
        return None
    return [turn for turn in prompt if isinstance(turn, Message)] or None


def begun(prompt: Prompt) -> bool:
    """Whether a prompt is a conversation in which the assistant has begun to speak."""
    turns = chat(prompt)
    return turns is not None and turns[-1].role == "assistant"


def text(prompt: Prompt) -> Text:
    """Read a prompt that is no conversation."""
    if isinstance(prompt, str):
        return prompt
    return [id for id in prompt if isinstance(id, int)]


def whole(scored: Continuation) -> Text:
    """Join a prompt and its continuation, both of them text or both token ids."""
    if isinstance(scored.continuation, str):
        return f"{scored.prompt}{scored.continuation}"
    return [*text(scored.prompt), *scored.continuation]


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
