"""The exact examiner as an engine: the micro-world's stronger judge, asked like any other model.

    Review the answer with the five point scale. Question: Act like a cook. Answer: I am a king.
    -> off topic, gives an answer, wrong, clear, no detail. Score: 2

    Compare the answers. Question: ... Answer A: ... Answer B: ...
    -> A 5, B 2. Better: A

Which prompts it reads, and what it answers to each: `judging`. Where its verdict is begun for it
("Score: "), it says what is left: the points. Where the likeliest tokens are asked
for they are exact too: what it wrote is certain, but for two equal answers of which it must name
one.
"""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar

from harness.errors import DataError
from harness.microworld.judging import Written, judge
from harness.protocols import (
    Completion,
    Continuation,
    LogLikelihood,
    Message,
    Prompt,
    Request,
    Step,
)
from harness.records import Failure, ModelRef, Record


class ExaminerEngine:
    """Opens the exact examiner."""

    light: ClassVar[bool] = True

    class Config(Record):
        """Nothing to configure."""

    def __init__(self, config: Config) -> None:
        self.config = config

    @contextmanager
    def open(self, model: ModelRef) -> Iterator["ExaminerModel"]:
        """Open the examiner; there is only one, at location `examiner`."""
        if model.location != "examiner":
            raise DataError(
                f"the examiner engine opens only the location 'examiner', not {model.location!r}"
            )
        yield ExaminerModel(model)


class ExaminerModel:
    """Writes exact verdicts on the micro-world's questions. It has no tokens and no chance."""

    chat_template = None
    context = 1 << 20

    def __init__(self, model: ModelRef) -> None:
        self.ref = model.model_copy(update={"name": "examiner (exact)", "fingerprint": "exact"})

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Write the verdict on every request, the same for each of its samples."""
        for request in requests:
            written = _verdict(request.prompt)
            top = request.sampling.top_logprobs
            for index in range(request.sampling.n):
                if isinstance(written, Failure):
                    yield Completion(request.id, index, "", finish_reason="failed", failure=written)
                else:
                    steps = tuple(Step(token, likely[:top]) for token, likely in written)
                    text = "".join(step.token for step in written)
                    yield Completion(request.id, index, text, steps=steps if top else None)

    def loglikelihood(self, requests: Iterable[Continuation]) -> Iterator[LogLikelihood]:
        """Refuse: an exact examiner is not a distribution."""
        for request in requests:
            failure = Failure(reason="no_likelihood", detail="the examiner gives no likelihoods")
            yield LogLikelihood(request.id, math.nan, 0, False, failure)

    def count_tokens(self, prompt: Prompt) -> int:
        """Count words, the only unit there is here."""
        return len(_text(prompt).split())


def _text(prompt: Prompt) -> str:
    if isinstance(prompt, str):
        return prompt
    return "\n".join(part.content for part in prompt if not isinstance(part, int))


def _verdict(prompt: Prompt) -> Written | Failure:
    """Write a verdict, or its last token where all before that is said already."""
    turns = tuple(part for part in prompt if isinstance(part, Message))
    begun = bool(turns) and turns[-1].role == "assistant"
    written = judge(_asked(turns[:-1] if begun else prompt))
    return written[-1:] if begun and not isinstance(written, Failure) else written


def _asked(prompt: Prompt) -> str:
    """The text of the last turn: those before it are the same for every row."""
    if isinstance(prompt, str):
        return prompt
    turns = [part.content for part in prompt if not isinstance(part, int)]
    return turns[-1] if turns else ""
