"""Human rows into the very tokens that a model will see when it is asked, and shall answer.

    "What does the cow eat?"     <|user|>What does the cow eat?<|assistant|>     prompt
    "The cow eats grass."        The cow eats grass.<|end|>                      completion

Prompts are tokenized as the engines do it, by the same functions. A completion is what the chat
template writes after its prompt, up to the first end token: nothing after that is ever sampled.
"""

from collections.abc import Iterable
from pathlib import Path

from transformers import AutoConfig, GenerationConfig

from harness.checkpoints import chat_ids, chat_template_hash, chat_text, is_adapter, locate
from harness.data.examples import Demonstration
from harness.engines.loading import adapter_base, load_tokenizer, unloadable
from harness.errors import DataError
from harness.judge import Rubric
from harness.protocols import Message
from harness.records import ModelRef
from training.self_rewarding.seeds import Judgement
from training.sft import Example


class Tokenizer:
    """A model's tokenizer and chat template, and how much the model can read."""

    def __init__(self, model: ModelRef, chat_template: Path | None = None) -> None:
        """Load them, or say at once what is missing.

        Args:
            model: Whose.
            chat_template: A file with a chat template, instead of the tokenizer's own.

        Raises:
            DataError: there is no tokenizer, or it has no chat template or no end token.
        """
        self._name = model.name
        self._tokenizer = load_tokenizer(model, chat_template, trust_remote_code=False)
        if self._tokenizer.chat_template is None:
            raise DataError(
                f"the tokenizer of {model.location} has no chat template, which training on "
                "questions and answers needs; put one beside it as chat_template.jinja, or name a "
                "file in trainer.chat_template and in the engine's option `chat_template`"
            )
        if self._tokenizer.eos_token_id is None:
            raise DataError(
                f"the tokenizer of {model.location} has no end token; set `eos_token` in its "
                "tokenizer_config.json"
            )
        self._end: int = self._tokenizer.eos_token_id
        self._ends = {self._end, *_configured_ends(model)}
        self.chat_template = chat_template_hash(self._tokenizer)
        self.context = _context(model)
        """The longest prompt plus completion, in tokens; None where the model has no limit."""

    def check_template(self, engines: str | None) -> None:
        """Compare the chat template with the engine's, by hash.

        Raises:
            DataError: the model would be asked in another form than it is trained in.
        """
        own = self.chat_template
        if engines != own:
            raise DataError(
                f"the engine prompts {self._name} with the chat template {engines}, and training "
                f"would use {own}; name the same file in the engine's option `chat_template` and "
                "in trainer.chat_template"
            )

    def check_room(self, rubric: Rubric, new_tokens: int) -> None:
        """Check that a judge prompt, with nothing in it yet, and its verdict fit the context.

        Raises:
            DataError: they do not, so that not one answer could be judged.
        """
        empty = rubric.fill({"instruction": "", "response": ""})
        prompt = len(self._prompt_ids(empty))
        if self.context is not None and prompt + new_tokens > self.context:
            raise DataError(
                f"context too short for the judge prompt: rubric {rubric.name!r} takes {prompt} "
                f"tokens before question and answer, and a verdict up to {new_tokens}, but the "
                f"context of {self._name} is {self.context}; take a model with a longer context, a "
                "shorter rubric or fewer max_tokens for the verdict"
            )

    def demonstrations(self, rows: Iterable[Demonstration]) -> list[Example]:
        """Tokenize demonstrations."""
        return [self._example(row.prompt, row.response) for row in rows]

    def judgements(self, rows: Iterable[Judgement], rubric: Rubric) -> list[Example]:
        """Tokenize judgements, each after the rubric's prompt."""
        return [
            self._example(
                rubric.fill({"instruction": row.prompt, "response": row.response}), row.verdict
            )
            for row in rows
        ]

    def _example(self, prompt: str, response: str) -> Example:
        before = self._prompt_ids(prompt)
        turns = (Message("user", prompt), Message("assistant", response))
        whole = chat_ids(self._tokenizer, turns, add_generation_prompt=False)
        if whole[: len(before)] == before:
            after = whole[len(before) :]
        else:
            after = self._ids(self._after(turns, response))
        # At the first token that ends an answer: nothing after it is ever sampled.
        last = next((place for place, id in enumerate(after) if id in self._ends), None)
        ended = [*after, self._end] if last is None else after[: last + 1]
        return Example(tuple(before), tuple(ended))

    def _after(self, turns: tuple[Message, ...], response: str) -> str:
        """Find what is answered where its first token would reach into the prompt.

        A template that writes an answered prompt otherwise than an open one leaves the response.
        """
        before = chat_text(self._tokenizer, turns[:1], add_generation_prompt=True)
        whole = chat_text(self._tokenizer, turns, add_generation_prompt=False)
        return whole[len(before) :] if whole.startswith(before) else response

    def _prompt_ids(self, prompt: str) -> list[int]:
        return chat_ids(self._tokenizer, (Message("user", prompt),), add_generation_prompt=True)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids


def _context(model: ModelRef) -> int | None:
    location, revision = locate(model), model.revision
    if is_adapter(location):
        location, revision = locate(adapter_base(location, model.name)), None
    try:
        config = AutoConfig.from_pretrained(location, revision=revision)
    except (OSError, ValueError) as error:
        raise unloadable(model, error) from error
    context: int | None = getattr(config.get_text_config(), "max_position_embeddings", None)
    return context


def _configured_ends(model: ModelRef) -> list[int]:
    """Read which tokens, beside the tokenizer's, end an answer when this model generates."""
    place, revision = locate(model), model.revision or "main"
    try:
        config = GenerationConfig.from_pretrained(place, revision=revision)
    except OSError:  # a model need not have one; generation then goes by the model's configuration
        if is_adapter(place):
            return []
        config = GenerationConfig.from_model_config(
            AutoConfig.from_pretrained(place, revision=revision)
        )
    ends = config.eos_token_id
    return [id for id in (ends if isinstance(ends, list) else [ends]) if isinstance(id, int)]
