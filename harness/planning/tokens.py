"""Counts tokens without torch, as the engines would: by the model's own tokenizer file.

    counter(ModelRef(location="microworld")).count(user("Hi"))      3
    counter(ModelRef(location="org/not-at-hand")).count(user("Hi")) 9     4 bytes a token, about

The chat template is rendered here, because transformers' own renderer imports torch.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache
from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from harness.checkpoints import is_adapter, locate
from harness.errors import DataError
from harness.protocols import Message, Prompt
from harness.records import ModelRef

BYTES_PER_TOKEN = 4
"""Of English text, about; of a model whose tokenizer is not at hand."""
_TURN = 4
"""Tokens that a chat template writes around a turn, about."""
_GENERATION = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")
"""Marks for training masks, which change no text."""


@dataclass(frozen=True)
class Counter:
    """Counts the tokens of prompts and texts."""

    text: Callable[[str], int]
    render: Callable[[tuple[Message, ...]], str] | None
    exact: bool
    """Otherwise it guesses by the bytes."""

    def count(self, prompt: Prompt) -> int:
        """Count a prompt as `LoadedModel.count_tokens` would."""
        if isinstance(prompt, str):
            return self.text(prompt)
        if not prompt or isinstance(prompt[0], int):
            return len(prompt)
        turns = tuple(turn for turn in prompt if isinstance(turn, Message))
        if self.render is not None:
            return self.text(self.render(turns))
        return sum(self.text(turn.content) + _TURN for turn in turns)


def counter(model: ModelRef, chat_template: Path | None = None) -> Counter:
    """Make a counter for a model, an approximate one where its tokenizer is not at hand.

    Raises:
        DataError: the chat template cannot be read.
    """
    try:
        location = locate(model)
    except DataError:
        return _APPROXIMATE
    file = _file(location, "tokenizer.json", model.revision)
    if file is None:
        return _APPROXIMATE
    tokenizer = Tokenizer.from_file(str(file))
    if chat_template is not None:
        template: str | None = _named(chat_template)
    else:
        template = _template(location, model.revision)

    def text(written: str) -> int:
        return len(tokenizer.encode(written, add_special_tokens=False).ids)

    return Counter(text, _renderer(template) if template else None, exact=True)


_APPROXIMATE = Counter(
    lambda written: -(-len(written.encode()) // BYTES_PER_TOKEN), render=None, exact=False
)


def _file(location: str, name: str, revision: str | None) -> Path | None:
    folder = Path(location)
    if folder.is_dir():
        if is_adapter(location) and not (folder / name).is_file():
            config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
            return _file(config["base_model_name_or_path"], name, None)
        return folder / name if (folder / name).is_file() else None
    cached = try_to_load_from_cache(location, name, revision=revision)
    return Path(cached) if isinstance(cached, str) else None


def _named(name_or_file: Path) -> str:
    """Read a chat template that an engine's option names: one of the harness's, or a file."""
    built_in = resources.files("harness") / "engines" / "chat_templates" / f"{name_or_file}.jinja"
    try:
        source = built_in if built_in.is_file() else name_or_file
        return source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"the engine's option `chat_template` names {name_or_file}, which cannot be read "
            f"({error}); give a text file with a Jinja chat template"
        ) from error


def _template(location: str, revision: str | None) -> str | None:
    alone = _file(location, "chat_template.jinja", revision)
    if alone is not None:
        return alone.read_text(encoding="utf-8")
    config = _file(location, "tokenizer_config.json", revision)
    found = json.loads(config.read_text(encoding="utf-8")).get("chat_template") if config else None
    return found if isinstance(found, str) else None


def _renderer(template: str) -> Callable[[tuple[Message, ...]], str] | None:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: "01 Jan 2026"
    environment.filters["tojson"] = json.dumps
    special: dict[str, Any] = {"bos_token": "", "eos_token": "", "tools": None}
    try:
        compiled = environment.from_string(_GENERATION.sub("", template))
        compiled.render(messages=[{"role": "user", "content": ""}], **special)
    except TemplateError:
        return None

    def render(turns: tuple[Message, ...]) -> str:
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        try:
            return compiled.render(messages=messages, add_generation_prompt=True, **special)
        except TemplateError:  # written for another model: a judge's, say, with a system message
            return "\n".join(turn.content for turn in turns)

    return render


def _refuse(message: str) -> None:
    raise TemplateError(message)
