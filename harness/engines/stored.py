"""The `stored` engine: answers that a model has given elsewhere, looked up instead of generated.

    [engine]
    name = "stored"
    [model]
    name = "claude-2"
    location = "claude-2.json"       # a file in one of the layouts of `harness.data.outputs`

So models that are not here, or cost money, are measured like any other, from a file: AlpacaEval's
`model_outputs.json`, FastChat's `model_answer`, or rows of prompt and response. How the answers
were sampled is whoever's wrote them: an evaluation's own sampling does not reach them, and nothing
is cut off. A prompt without an answer there fails as `not_stored`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar

from harness.data import outputs
from harness.data.outputs import Outputs
from harness.engines.scripted import prompt_text
from harness.protocols import (
    Completion,
    Continuation,
    LogLikelihood,
    Message,
    Prompt,
    Request,
)
from harness.records import Failure, ModelRef, Record

CHAT_TEMPLATE = "unknown, as the answers and their sampling are from elsewhere"
"""What stands in place of a chat template's hash."""


class Stored:
    """Opens files of answers as models."""

    light: ClassVar[bool] = True

    class Config(Record):
        """There is nothing to choose."""

    def __init__(self, config: Config) -> None:
        self.config = config

    @contextmanager
    def open(self, model: ModelRef) -> Iterator["StoredModel"]:
        """Read the answers.

        Raises:
            DataError: the location is no file of answers, or has two different ones to a prompt.
        """
        yield StoredModel(model, outputs.read(model.location))


class StoredModel:
    """A file of answers, opened as a model."""

    context = 1 << 30

    def __init__(self, ref: ModelRef, stored: Outputs) -> None:
        self.ref = ref.model_copy(update={"fingerprint": f"{stored.name}@{stored.fingerprint}"})
        self.chat_template: str | None = CHAT_TEMPLATE
        self._stored = stored

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Look every request up, by the text of its prompt or by its id."""
        for request in requests:
            for index in range(request.sampling.n):
                yield self._complete(request, index)

    def loglikelihood(self, requests: Iterable[Continuation]) -> Iterator[LogLikelihood]:
        """Refuse every continuation: how likely it was, nobody has stored."""
        failure = Failure(reason="no_likelihood", detail="stored answers have no probabilities")
        for request in requests:
            yield LogLikelihood(request.id, float("nan"), 0, greedy=False, failure=failure)

    def count_tokens(self, prompt: Prompt) -> int:
        """Count the prompt's bytes: whose answers they are had a tokenizer, and it is not here."""
        return len(prompt_text(prompt).encode())

    def _complete(self, request: Request, index: int) -> Completion:
        asked = _asked(request.prompt)
        # One answer is stored: as a second sample it would pass for agreement with itself.
        answer = self._stored.find(request.id, asked) if asked and index == 0 else None
        if answer is not None:
            return Completion(id=request.id, index=index, text=answer)
        which = "no second sample" if index else "no answer to this prompt"
        failure = Failure(reason="not_stored", detail=f"{self._stored.source} has {which}")
        return Completion(
            id=request.id, index=index, text="", finish_reason="failed", failure=failure
        )


def _asked(prompt: Prompt) -> list[str]:
    """List what the user said, turn by turn; nothing of a prompt that is token ids."""
    if isinstance(prompt, str):
        return [prompt]
    return [turn.content for turn in prompt if isinstance(turn, Message) and turn.role == "user"]
