"""A model's answers to prompts, each in the row log as soon as it is there.

    answer/w17  {"text": "The dog barks.", "tokens": 5, "finish_reason": "stop", "failure": null}

An answer is asked for once: what the log holds is not asked again.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from harness.data.examples import PromptRow
from harness.protocols import LoadedModel, Request, Sampling, user
from harness.records import Failure, Record
from harness.rows import RowLog


class Questions(Record):
    """Which prompts are asked, and how answers are drawn. The defaults suit the embedded world."""

    data: str = "microworld:evaluation"
    """Prompts that no training has seen: see `harness.data.datasets.prompts`."""
    limit: int | None = Field(default=None, gt=0)
    """How many prompts to draw; all without it."""
    temperature: float = Field(default=0.7, ge=0)
    top_p: float = Field(default=0.9, gt=0, le=1)
    max_tokens: int = Field(default=48, gt=0)
    """Of an answer; a longer one is cut off, judged as it is, and counted."""
    seed: int = 0

    @property
    def sampling(self) -> Sampling:
        """One answer a prompt, drawn so."""
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            seed=self.seed,
        )


class Answer(Record):
    """What a model answered to one prompt."""

    text: str
    tokens: int | None
    """Sampled tokens, the end token included where it was sampled; None where no ids came back."""
    finish_reason: Literal["stop", "length", "failed"]
    failure: Failure | None

    @property
    def truncated(self) -> bool:
        """Whether it was cut off. It is still an answer: what a user would have received."""
        return self.finish_reason == "length"


def ask(model: LoadedModel, prompts: Sequence[PromptRow], sampling: Sampling, log: RowLog) -> None:
    """Have the model answer the prompts that the log holds no answer to."""
    keep_chat_template(model, log)
    missing = [
        Request(id=row.id, prompt=user(row.prompt), sampling=sampling)
        for row in prompts
        if f"answer/{row.id}" not in log
    ]
    for completion in model.generate(missing):
        answer = Answer(
            text=completion.text,
            tokens=len(completion.token_ids) or None,
            finish_reason=completion.finish_reason,
            failure=completion.failure,
        )
        log.append(f"answer/{completion.id}", answer.model_dump(mode="json"))


def read(prompts: Sequence[PromptRow], log: RowLog) -> dict[str, Answer]:
    """Read the answers back, by prompt id."""
    return {row.id: Answer.model_validate(log[f"answer/{row.id}"]) for row in prompts}


def keep_chat_template(model: LoadedModel, log: RowLog) -> None:
    """Note the hash of the model's chat template: it may explain why two models differ."""
    if "chat_template" not in log:
        log.append("chat_template", model.chat_template)


def chat_template(log: RowLog) -> str:
    """Say with which chat template the model was asked."""
    return f"chat template {log['chat_template'] or 'none'}"
