"""Weights from disk and back: what is loaded to be trained, and what a training leaves.

    load(M1, settings)                        -> Start(model in float32, tokenizer, ...)
    save(model, start, settings, folder)
        config.json generation_config.json model.safetensors tokenizer.json chat_template.jinja ...

Training changes weights and nothing else: configuration, tokenizer and chat template are saved as
they were read, whatever a trainer did to the objects in memory. Sampling defaults, which would act
silently on whoever generates next, are left out.
"""

import copy
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState, init_empty_weights
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.integrations.fsdp import is_fsdp_enabled

from harness.checkpoints import identified, is_adapter, locate, pad_id
from harness.errors import DataError, HarnessError
from harness.pretrained import UNREADABLE, load_whole, silence
from harness.records import ModelRef
from training.agreeing import agreed
from training.fitting import Limits
from training.gathering import weights
from training.job import aside, unwritable
from training.lora import base_of, merged, merged_weights
from training.settings import Settings

_DROPOUTS = (
    *("attention_dropout", "hidden_dropout", "activation_dropout", "dropout", "embd_pdrop"),
    *("attn_pdrop", "resid_pdrop", "attention_probs_dropout_prob", "hidden_dropout_prob"),
)
"""What transformers' configuration classes call their dropout rates."""

_SHARD = "5GB"
"""The most that a file of weights holds: as on the hub. transformers' own 50 GB load slowly, and
without a sign of life for minutes."""


@dataclass(frozen=True)
class Start:
    """A model as it was before training."""

    model: PreTrainedModel
    """To be trained in place."""
    tokenizer: PreTrainedTokenizerBase
    config: PreTrainedConfig
    """As read: without the training's dropout, and with its own special tokens."""
    generation: GenerationConfig
    """The special tokens only."""
    limits: Limits


def load(ref: ModelRef, settings: Settings) -> Start:
    """Load a model to be trained, with the settings' precision and dropout.

    Raises:
        DataError: there is no such model, its weights are not those that were measured, or it has
            no dropout to set.
    """
    # Hashing takes minutes where a model is large.
    location = locate(agreed(lambda: identified(ref)))
    dtype = torch.bfloat16 if settings.precision == "bfloat16" else torch.float32
    adapter = is_adapter(location)
    if adapter and settings.lora is not None and settings.lora.save == "adapter":
        raise DataError(
            f"{ref.name} is itself an adapter, and an adapter needs whole weights to lie on; "
            'set lora.save = "merged"'
        )
    try:
        whole = base_of(location) if adapter else location
        config = AutoConfig.from_pretrained(whole, revision=ref.revision)
        dropping = copy.deepcopy(config)
        found = _set_dropout(dropping, settings.dropout)
        model: Any
        if is_fsdp_enabled() and not PartialState().is_main_process:
            model = _unread(dropping, dtype)
        else:
            model = load_whole(ref, whole, revision=ref.revision, config=dropping, dtype=dtype)
            if adapter:
                model = merged(model, location)
        tokenizer = AutoTokenizer.from_pretrained(location, revision=ref.revision)
    except UNREADABLE as error:
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise DataError(f"{ref.name} at {ref.location!r} cannot be loaded: {reason}") from error
    if settings.dropout and not found:
        raise DataError(
            f"dropout {settings.dropout:g} was asked for, but the architecture of {ref.name} "
            f"({config.model_type}) has none; set dropout = 0"
        )
    pad_id(tokenizer, config.get_text_config().vocab_size)  # refuses a tokenizer without any
    return Start(
        model=model,
        tokenizer=tokenizer,
        config=config,
        generation=GenerationConfig.from_dict(
            {
                name: getattr(model.generation_config, name)
                for name in ("bos_token_id", "eos_token_id", "pad_token_id")
            }
        ),
        limits=_limits(ref, config, tokenizer, settings.max_length),
    )


def _unread(config: PreTrainedConfig, dtype: torch.dtype) -> PreTrainedModel:
    """Make a model whose weights take no memory: FSDP hands it its share of the first process's.

    transformers would have every process of a machine hold zeros for all of them.
    """
    build: Any = AutoModelForCausalLM.from_config
    with init_empty_weights(include_buffers=False), silence():
        model: PreTrainedModel = build(config, dtype=dtype)
    model.tie_weights()  # within, each of a tied pair becomes a weight of its own
    model.train(False)  # as loaded ones are
    return model


def _limits(
    ref: ModelRef,
    config: PreTrainedConfig,
    tokenizer: PreTrainedTokenizerBase,
    asked: int | None,
) -> Limits:
    text = config.get_text_config()
    context = getattr(text, "max_position_embeddings", None) or sys.maxsize
    if asked is not None and asked > context:
        raise DataError(
            f"max_length {asked} was asked for, but the context of {ref.name} is {context} tokens"
        )
    return Limits(asked or context, text.vocab_size, tokenizer.bos_token_id)


def _set_dropout(config: PreTrainedConfig, rate: float) -> list[str]:
    """Set every dropout rate a configuration has, and name them.

    It has to be the configuration: attention takes its rate from there as a number, which
    switching off the dropout modules of a finished model leaves at work.
    """
    text = config.get_text_config()
    found = [name for name in _DROPOUTS if isinstance(getattr(text, name, None), int | float)]
    for name in found:
        setattr(text, name, rate)
    return found


def save(model: PreTrainedModel, start: Start, settings: Settings, folder: Path) -> None:
    """Save a trained model; the folder appears only when it is whole.

    Of several processes all must call it; the first one writes.

    Args:
        model: The trained model, wrapped by peft where `settings.lora` is set; it stays as it is.
        start: What it was trained from.
        settings: Say the dtype and, with LoRA, whether adapters are merged.
        folder: Replaced where it exists.

    Raises:
        HarnessError: a weight is not a finite number.
        StoreError: the folder cannot be written.
    """
    base: Any = model
    adapter = settings.lora is not None and settings.lora.save == "adapter"
    if settings.lora is not None and not adapter:
        base = base.get_base_model()
        state = _kept(merged_weights(base), settings)
    else:
        state = _kept(weights(model, containing=".lora_" if adapter else ""), settings)
    if PartialState().is_main_process:
        try:
            with aside(folder) as partial:
                if adapter:
                    base.save_pretrained(partial, state_dict=state)
                else:
                    base.save_pretrained(partial, state_dict=state, max_shard_size=_SHARD)
                    config = copy.deepcopy(start.config)
                    config.dtype = settings.dtype
                    config.save_pretrained(partial)
                    start.generation.save_pretrained(partial)
                start.tokenizer.save_pretrained(partial)
        except SafetensorError as error:
            raise unwritable(folder, str(error)) from error
    PartialState().wait_for_everyone()


def _kept(
    whole: Iterable[tuple[list[str], torch.Tensor]], settings: Settings
) -> dict[str, torch.Tensor]:
    """Check the weights in every process, and cast and keep them in the one that writes."""
    writes = PartialState().is_main_process
    dtype = getattr(torch, settings.dtype)
    state: dict[str, torch.Tensor] = {}
    for names, weight in whole:
        if not torch.isfinite(weight).all():
            raise HarnessError(f"training diverged: {names[0]} is not finite; lower learning_rate")
        if writes:
            cast = weight.to(dtype) if weight.is_floating_point() else weight
            # Tied ones share a tensor, by which they are known as tied.
            state |= dict.fromkeys(names, cast.cpu())
    return state
