"""Where a model's files are, which weights they hold, and whether its tokenizer can be used.

    locate(ModelRef(location="microworld"))     -> ".../harness/microworld/m0"
    locate(ModelRef(location="runs/a/M1"))      -> "runs/a/M1"            (a checkpoint folder)
    locate(ModelRef(location="org/llama"))      -> "org/llama"            (a hub id)
    fingerprint(".../harness/microworld/m0")    -> "9f86d081884c7d65"
    chat_ids(tokenizer, (Message("user", "Hi"),), add_generation_prompt=True) -> [2, 41, 3]

Nothing here imports torch, so that a wrong location is an error before anything slow happens.
Generation and training tokenize conversations through the same `chat_ids`, so the tokens that a
model is trained on start with exactly the tokens it is later prompted with.
"""

import hashlib
import logging
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import try_to_load_from_cache
from jinja2 import TemplateError

from harness.errors import DataError
from harness.protocols import Message
from harness.records import ModelRef

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Of a hub that cannot be reached its client would tell every attempt; the error at the end will do.
logging.getLogger("huggingface_hub.utils._http").setLevel(logging.ERROR)

LIKE_LLAMA = frozenset({"llama", "mistral", "qwen2", "qwen3", "smollm3"})
"""What config.json calls decoders that can be reckoned with from it: gated feed-forward layers, and
attention in every block."""

MICROWORLD = "microworld"
"""The location that stands for the embedded M0."""

_CONFIGS = ("config.json", "adapter_config.json")
_WEIGHTS = ("*.safetensors", "*.bin")
_NOT_WEIGHTS = {"training_args.bin"}  # transformers' Trainer leaves it beside the weights
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")


def locate(ref: ModelRef) -> str:
    """Resolve a model's location to a checkpoint folder or a hub id.

    Raises:
        DataError: the location looks like a folder and holds no model.
    """
    if ref.location == MICROWORLD:
        folder = Path(str(resources.files("harness"))) / "microworld" / "m0"
        return _checked(folder, ref, "make it with `harness microworld pretrain`")
    path = Path(ref.location).expanduser()
    if path.exists() or not _looks_like_hub_id(ref.location):
        return _checked(path, ref, "give a folder that `save_pretrained` wrote, or a hub id")
    return ref.location


def fingerprint(location: str, revision: str | None = None) -> str | None:
    """Hash the weights and configuration in a folder; for a hub id, the commit it resolves to.

    Args:
        location: What `locate` returned.
        revision: The branch, tag or commit asked for, where `location` is a hub id.

    Returns:
        16 hexadecimal digits of a SHA-256, a hub commit, or None where a hub model was never
        downloaded.
    """
    folder = Path(location)
    if not folder.is_dir():
        cached = try_to_load_from_cache(location, "config.json", revision=revision)
        return Path(cached).parent.name if isinstance(cached, str) else None
    configs = [folder / name for name in _CONFIGS if (folder / name).is_file()]
    states = ((file, file.stat()) for file in configs + _weights(folder))
    return _hash(tuple((file, state.st_size, state.st_mtime_ns) for file, state in states))


@lru_cache(maxsize=64)
def _hash(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Hash files once while their sizes and times stay: large weights are opened many times."""
    digest = hashlib.sha256()
    for file, size, _ in files:
        digest.update(f"{file.name}:{size}\n".encode())
        with file.open("rb") as data:
            while block := data.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()[:16]


def identified(ref: ModelRef) -> ModelRef:
    """Fill in the fingerprint of the weights, or check it where the reference has one.

    Raises:
        DataError: the weights are not those that the reference was made for.
    """
    location = locate(ref)
    found = fingerprint(location, ref.revision)
    if ref.fingerprint is not None and found != ref.fingerprint:
        raise DataError(
            f"{ref.name} at {ref.location} has the fingerprint {found}, but {ref.fingerprint} was "
            "recorded: the weights were changed; restore them, or start a new run directory"
        )
    on_hub = not Path(location).is_dir()
    return ref.model_copy(
        update={"fingerprint": found, "revision": found if on_hub else ref.revision}
    )


def config_file(ref: ModelRef) -> Path | None:
    """Find a model's config.json, in its folder or the hub's local cache; the hub is not asked.

    Raises:
        DataError: the location looks like a folder and holds no model.
    """
    location = locate(ref)
    if Path(location).is_dir():
        file = Path(location) / "config.json"
        return file if file.is_file() else None
    cached = try_to_load_from_cache(location, "config.json", revision=ref.revision)
    return Path(cached) if isinstance(cached, str) else None


def is_adapter(location: str) -> bool:
    """Whether a folder holds a peft adapter rather than whole weights."""
    folder = Path(location)
    return (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file()


def chat_template_hash(tokenizer: "PreTrainedTokenizerBase") -> str | None:
    """Hash the chat template, or None where the tokenizer has none."""
    template = tokenizer.chat_template
    return None if template is None else hashlib.sha256(str(template).encode()).hexdigest()[:12]


def chat_ids(
    tokenizer: "PreTrainedTokenizerBase",
    messages: Sequence[Message],
    add_generation_prompt: bool,
) -> list[int]:
    """Tokenize a conversation: the chat template once, and no special token beyond it.

    Args:
        tokenizer: A tokenizer with a chat template.
        messages: The conversation, oldest first.
        add_generation_prompt: Whether the assistant speaks next.

    Raises:
        DataError: the tokenizer has no chat template.
    """
    text = chat_text(tokenizer, messages, add_generation_prompt)
    # The template has already written its own BOS, so the tokenizer may not add another.
    ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return ids


def chat_text(
    tokenizer: "PreTrainedTokenizerBase",
    messages: Sequence[Message],
    add_generation_prompt: bool,
) -> str:
    """Render a conversation with the chat template; `chat_ids` is this, tokenized."""
    if tokenizer.chat_template is None:
        raise DataError(
            f"the tokenizer of {tokenizer.name_or_path} has no chat template, which a prompt made "
            "of messages needs; name a template file in the engine's option `chat_template`"
        )
    turns = [{"role": message.role, "content": message.content} for message in messages]
    try:
        return str(
            tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=add_generation_prompt
            )
        )
    except TemplateError as error:
        raise DataError(
            f"the chat template of {tokenizer.name_or_path} refuses a conversation of "
            f"{', '.join(message.role for message in messages)} ({error}); use roles that it "
            "knows, or name another template in the engine's option `chat_template`"
        ) from error


def pad_id(tokenizer: "PreTrainedTokenizerBase", vocabulary: int) -> int:
    """Find a token id to pad with where an attention mask says what is padding.

    Under a mask any id that has an embedding does, so the end token stands in for a missing pad
    token; the masks, never the ids, say which tokens count.

    Args:
        tokenizer: The model's tokenizer.
        vocabulary: How many embeddings the model has.

    Raises:
        DataError: there is no such token, or the model has no embedding for it.
    """
    found = next(
        (id for id in (tokenizer.pad_token_id, tokenizer.eos_token_id) if isinstance(id, int)), None
    )
    if found is None:
        raise DataError(
            f"the tokenizer of {tokenizer.name_or_path} has neither a pad token nor an end token; "
            "set `pad_token` in its tokenizer_config.json"
        )
    if not 0 <= found < vocabulary:
        raise DataError(
            f"the pad token of {tokenizer.name_or_path} has id {found}, but the model has only "
            f"{vocabulary} embeddings; set `pad_token` in its tokenizer_config.json to a token "
            "that the model knows"
        )
    return found


def _looks_like_hub_id(location: str) -> bool:
    first = location.split("/")[0]
    is_path = "/" in location and Path(first).is_dir()  # e.g. a typing error below runs/
    return _HUB_ID.fullmatch(location) is not None and not is_path


def _checked(folder: Path, ref: ModelRef, remedy: str) -> str:
    """Return the folder if it holds a configuration and weights."""
    asked = f"model {ref.name} was asked for at {ref.location!r}"
    if not folder.exists():
        raise DataError(f"{asked}, but there is no such folder; {remedy}")
    if not folder.is_dir():
        raise DataError(f"{asked}, which is a file; {remedy}")
    if not any((folder / name).is_file() for name in _CONFIGS):
        raise DataError(f"{asked}, but that folder has no config.json; {remedy}")
    if not _weights(folder):
        raise DataError(f"{asked}, but that folder has no *.safetensors or *.bin weights; {remedy}")
    return str(folder)


def _weights(folder: Path) -> list[Path]:
    files = {file for pattern in _WEIGHTS for file in folder.glob(pattern)}
    return sorted(file for file in files if file.name not in _NOT_WEIGHTS)
