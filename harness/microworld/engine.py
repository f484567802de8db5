"""The exact examiner as an engine: the micro-world's stronger judge, asked like any other model.

It reads the question and the answers out of a rendered judge prompt, examines them, and writes a
verdict that is then parsed like a model's:

    Review the answer with the five point scale. Question: Act like a cook. Answer: I am a king.
    -> off topic, gives an answer, wrong, clear, no detail. Score: 2

    Compare the answers. Question: ... Answer A: ... Answer B: ...
    -> A 5, B 2. Better: A

A question outside the micro-world is a failure of that row, not a guess.
"""

import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar

from harness.errors import DataError
from harness.judge import pairwise, pointwise
from harness.microworld.answers import verdict
from harness.microworld.examiner import examine
from harness.microworld.items import parse
from harness.protocols import Completion, Continuation, LogLikelihood, Prompt, Request
from harness.records import Failure, ModelRef, Record


def _pattern(template: str) -> re.Pattern[str]:
    """Turn a rubric's text into the pattern that reads its values back."""
    parts = re.split(r"\{(\w+)\}", template)
    pieces = [
        re.escape(part) if index % 2 == 0 else f"(?P<{part}>.*?)"
        for index, part in enumerate(parts)
    ]
    return re.compile("".join(pieces), re.DOTALL)


_REVIEW = _pattern(pointwise("microworld").text)
_SECOND = " Answer B: "
_COMPARE = _pattern(pairwise("microworld_compare").text)


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
            written = _write(_text(request.prompt))
            for index in range(request.sampling.n):
                if isinstance(written, Failure):
                    yield Completion(request.id, index, "", finish_reason="failed", failure=written)
                else:
                    yield Completion(request.id, index, written)

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


def _write(text: str) -> str | Failure:
    """Write the verdict that a judge prompt asks for."""
    if text.count(_SECOND) > 1 and _COMPARE.fullmatch(text):
        # An answer that holds the separator could rewrite the one it is compared with.
        return Failure(reason="ambiguous_prompt", detail=text[:160])
    if match := _COMPARE.fullmatch(text):
        outputs = [match["output_1"], match["output_2"]]
    elif match := _REVIEW.fullmatch(text):
        outputs = [match["response"]]
    else:
        return Failure(reason="no_question", detail=text[:160])
    item = parse(match["instruction"])
    if item is None:
        return Failure(reason="unknown_question", detail=match["instruction"][:160])
    marks = [examine(item, output) for output in outputs]
    if len(marks) == 1:
        return verdict(marks[0])
    first, second = (mark.score for mark in marks)
    better = "tie" if first == second else "A" if first > second else "B"
    return f"A {first}, B {second}. Better: {better}"
