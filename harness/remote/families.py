"""What a model takes: its family's parameters of a chat completion, and those of a text completion.

    body("gpt-4.1", messages, Sampling(temperature=0, max_tokens=8), None)
        {"model": "gpt-4.1", "messages": [...], "max_tokens": 8, "temperature": 0, "top_p": 1, ...}
    body("gpt-6-sol", messages, Sampling(temperature=0, max_tokens=8), "none")
        {"model": "gpt-6-sol", ..., "max_completion_tokens": 8, "reasoning_effort": "none", ...}

One fact orders the table: a model that reasons before it answers is drawn at temperature 1, has no
log-probabilities and no stop strings, and its thoughts count against the token limit. A sampling
that a family cannot honour is refused, never changed: a judge asked to be greedy would otherwise
be another judge than the one that is written down. Text completions have no families: where they
are served at all, it is with the parameters that they have always had.

A conversation that ends in an assistant's turn is gone on with by vLLM and SGLang, by none of
OpenAI's models. The server's template may trim what that turn ends with, and its tokenizer may make
a token of a space or not: so it goes without white space at its end, and one token more is asked
for the space that may come first (`completions` drops it).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from harness.errors import ConfigError
from harness.protocols import Message, Sampling

Text = str | list[int]
"""What a text completion goes on from: text, or token ids."""


@dataclass(frozen=True)
class Family:
    """Models whose servers accept the same parameters."""

    name: str
    models: str
    """A pattern that the whole model id matches."""
    token_limit: Literal["max_tokens", "max_completion_tokens"]
    reasoning: Literal["never", "always", "unless none", "unknown"]
    """Whether they reason first: `unless none` is unless `reasoning_effort` is "none"; `unknown`
    is for models that are not listed, which are sent whatever they are asked."""

    def reasons(self, effort: str | None) -> bool:
        """Whether they reason at this `reasoning_effort` (None: the server's default)."""
        return self.reasoning == "always" or (self.reasoning == "unless none" and effort != "none")


FAMILIES = (
    Family("GPT-5 chat", r"gpt-5-chat-.*", "max_completion_tokens", "never"),
    Family("GPT-5", r"gpt-5(-.*)?", "max_completion_tokens", "always"),
    Family("GPT-5.1 and later", r"gpt-([5-9]|\d\d).*", "max_completion_tokens", "unless none"),
    Family("o-series", r"o[134](-.*)?", "max_completion_tokens", "always"),
    Family("GPT-4 and before", r"(chat)?gpt-[34].*", "max_tokens", "never"),
    Family("other", r".*", "max_tokens", "unknown"),
)
"""The first that matches counts. The last takes every other model: open weights behind vLLM or
SGLang, or a provider's own."""


def family(model: str) -> Family:
    """Find a model's family by its id, with or without OpenRouter's `openai/` before it."""
    name = model.removeprefix("openai/")
    return next(one for one in FAMILIES if re.fullmatch(one.models, name, re.DOTALL))


def body(
    model: str, messages: Sequence[Message], sampling: Sampling, reasoning_effort: str | None
) -> dict[str, Any]:
    """Write the parameters of one chat completion that asks for all `sampling.n` samples.

    Raises:
        ConfigError: the family cannot sample like that.
    """
    kind = family(model)
    begun = messages[-1].role == "assistant"
    check(model, sampling, reasoning_effort, begun)
    asked: dict[str, Any] = {
        "model": model,
        "messages": [{"role": one.role, "content": one.content} for one in messages],
        kind.token_limit: sampling.max_tokens + begun,
        "n": sampling.n,
        "seed": sampling.seed,
    }
    if not kind.reasons(reasoning_effort):
        # Written out even where they are 1: a server may have defaults of its own for a model.
        asked |= {"temperature": sampling.temperature, "top_p": sampling.top_p}
    if sampling.logprobs or sampling.top_logprobs:
        asked["logprobs"] = True
    if sampling.top_logprobs:
        asked["top_logprobs"] = sampling.top_logprobs
    if sampling.stop:
        asked["stop"] = list(sampling.stop)
    if reasoning_effort is not None:
        asked["reasoning_effort"] = reasoning_effort
    if begun:
        asked["messages"][-1]["content"] = messages[-1].content.rstrip()
        asked |= {"continue_final_message": True, "add_generation_prompt": False}
    return asked


def text_body(model: str, prompt: Text, sampling: Sampling) -> dict[str, Any]:
    """Write the parameters of one text completion that asks for all `sampling.n` samples."""
    asked: dict[str, Any] = {
        "model": model,
        "prompt": prompt,
        "max_tokens": sampling.max_tokens,
        "n": sampling.n,
        "seed": sampling.seed,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
    }
    if sampling.logprobs or sampling.top_logprobs:
        # Some servers take 0, which would do for the sampled tokens alone, for none at all.
        asked["logprobs"] = max(1, sampling.top_logprobs)
    if sampling.stop:
        asked["stop"] = list(sampling.stop)
    return asked


def scoring_body(model: str, text: Text) -> dict[str, Any]:
    """Write the parameters that have a text read back with the log-probability of every token.

    One token is generated after it, and dropped: not every server takes 0 for "none".
    """
    return {
        "model": model,
        "prompt": text,
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": 1,
        "echo": True,
    }


def check(model: str, sampling: Sampling, effort: str | None, begun: bool = False) -> None:
    """Find out whether a model's family can sample like that at this `reasoning_effort`.

    Args:
        model: Which one.
        sampling: Like what.
        effort: The `reasoning_effort`.
        begun: Whether the conversation ends in an assistant's turn, to be gone on with.

    Raises:
        ConfigError: it cannot.
    """
    kind = family(model)
    if begun and kind.reasoning != "unknown":
        raise ConfigError(
            f"{model} ({kind.name}) begins every answer itself and goes on with none, which "
            'read = "one_token" needs; take "sampled", or a model behind vLLM or SGLang'
        )
    if kind.reasoning == "never" and effort is not None:
        raise ConfigError(
            f"{model} takes no reasoning_effort ({kind.name}), and {effort!r} was asked; "
            "leave it out"
        )
    if kind.reasoning == "always" and effort == "none":
        raise ConfigError(
            f'{model} always reasons ({kind.name}) and takes no reasoning_effort = "none"; '
            "leave it out, or name another model"
        )
    if not kind.reasons(effort):
        return
    refused = [
        asked
        for asked, present in (
            (f"temperature {sampling.temperature:g}", sampling.temperature != 1),
            (f"top_p {sampling.top_p:g}", sampling.top_p != 1),
            ("log-probabilities", sampling.logprobs or sampling.top_logprobs > 0),
            ("stop strings", bool(sampling.stop)),
        )
        if present
    ]
    if refused:
        remedy = (
            'set reasoning_effort = "none" in [judge.engine] (or [engine], for a model under test)'
            if kind.reasoning == "unless none"
            else "it never does without: take another judge, or another model to measure"
        )
        raise ConfigError(
            f"{model} reasons before it answers, and then takes temperature 1 and top_p 1 alone, "
            f"without log-probabilities or stop strings; asked: {', '.join(refused)}; {remedy}"
        )
