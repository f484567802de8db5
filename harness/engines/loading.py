"""Load a Hugging Face model and its tokenizer from wherever a `ModelRef` points.

Every reason why a location is no usable model ends here as a one-line `DataError`.
"""

import json
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from harness.checkpoints import is_adapter, locate
from harness.engines.attention import GROUPED
from harness.errors import DataError
from harness.pretrained import UNREADABLE, check_loaded, load_whole, silence
from harness.records import ModelRef


def load_model(
    ref: ModelRef, device: torch.device, dtype: str, trust_remote_code: bool
) -> PreTrainedModel:
    """Load weights for inference, with a peft adapter merged into its base model.

    Raises:
        DataError: the location holds no model that can be loaded.
    """
    location = locate(ref)
    adapter = location if is_adapter(location) else None
    base = locate(adapter_base(location, ref.name)) if adapter else location
    try:
        model = load_whole(
            ref,
            base,
            revision=None if adapter else ref.revision,
            dtype="float32" if dtype == "auto" and device.type == "cpu" else dtype,
            attn_implementation=GROUPED,
            trust_remote_code=trust_remote_code,
        )
        if adapter:
            with silence():
                found: Any = model.load_adapter(adapter)
            check_loaded(ref, location, model, vars(found))
            for module in model.modules():
                merge = getattr(module, "merge", None)
                if merge is not None:
                    merge()
    except torch.OutOfMemoryError:
        raise
    except UNREADABLE as error:
        raise unloadable(ref, error) from error
    model.to(device)  # type: ignore[arg-type]  # its decorator hides that it takes a device
    model.eval()  # type: ignore[no-untyped-call]
    return model


def load_tokenizer(
    ref: ModelRef, chat_template: Path | None, trust_remote_code: bool
) -> PreTrainedTokenizerBase:
    """Load the tokenizer beside the weights, with another chat template where one is given.

    Raises:
        DataError: there is no tokenizer, or no template by that name, nor a file to be read.
    """
    location = locate(ref)
    if is_adapter(location) and not (Path(location) / "tokenizer_config.json").is_file():
        location = locate(adapter_base(location, ref.name))
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            location, revision=ref.revision, trust_remote_code=trust_remote_code
        )
    except UNREADABLE as error:
        raise unloadable(ref, error) from error
    if chat_template is not None:
        try:
            tokenizer.chat_template = _template(chat_template).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            built_in = ", ".join(sorted(file.name.removesuffix(".jinja") for file in _built_in()))
            raise DataError(
                f"the engine's option `chat_template` names {chat_template}, which is neither "
                f"{built_in} nor a file that can be read ({error}); give a text file with a Jinja "
                "chat template"
            ) from error
    return tokenizer


def _built_in() -> list[Traversable]:
    return list((resources.files("harness") / "engines" / "chat_templates").iterdir())


def _template(name_or_file: Path) -> Traversable:
    """Find a chat template: a built-in name, or a file of the user's own."""
    built_in = (file for file in _built_in() if file.name == f"{name_or_file}.jinja")
    return next(built_in, name_or_file)


def end_ids(
    ref: ModelRef, generation: GenerationConfig | None, tokenizer: PreTrainedTokenizerBase
) -> frozenset[int]:
    """Collect every token that ends an answer: the tokenizer's, and the generation config's.

    Raises:
        DataError: there is none.
    """
    configured = None if generation is None else generation.eos_token_id
    ends = configured if isinstance(configured, list) else [configured]
    found = frozenset(id for id in (*ends, tokenizer.eos_token_id) if isinstance(id, int))
    if not found:
        raise DataError(
            f"{ref.name} at {ref.location} has no end token, so that its answers would never "
            "end; set `eos_token` in its tokenizer_config.json"
        )
    return found


def adapter_base(location: str, name: str) -> ModelRef:
    """Read from a peft adapter which model it adapts."""
    file = Path(location) / "adapter_config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        return ModelRef(name=f"{name}'s base model", location=config["base_model_name_or_path"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{file} does not name the base model of the adapter; set its `base_model_name_or_path`"
        ) from error


def unloadable(ref: ModelRef, error: Exception) -> DataError:
    """Say in one line why a model cannot be loaded."""
    reason = str(error).strip().splitlines()
    return DataError(
        f"model {ref.name} cannot be loaded from {ref.location!r} "
        f"({reason[0] if reason else type(error).__name__}); give a folder that "
        "`save_pretrained` wrote for a causal language model, or the id of one on the hub"
    )
