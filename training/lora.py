"""Low-rank adapters through peft: made, merged into whole weights, or loaded with their base."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, PeftModel
from peft.tuners.lora import LoraLayer
from transformers import PreTrainedModel

from training.gathering import present, weights, whole
from training.settings import LoRA


def configuration(settings: LoRA) -> LoraConfig:
    """Say it in peft's words."""
    modules = settings.target_modules
    return LoraConfig(
        r=settings.r,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=modules if isinstance(modules, str) else list(modules),
        task_type="CAUSAL_LM",
    )


def base_of(location: str) -> str:
    """Where the model is that an adapter was trained on."""
    config: dict[str, Any] = json.loads((Path(location) / "adapter_config.json").read_text())
    return str(config["base_model_name_or_path"])


def merged(base: PreTrainedModel, location: str) -> PreTrainedModel:
    """Add a saved adapter to its base, all of which can then be trained."""
    model = PeftModel.from_pretrained(base, location).merge_and_unload()
    model.requires_grad_(True)  # peft has frozen the base
    return cast(PreTrainedModel, model)


def merged_weights(model: PreTrainedModel) -> Iterator[tuple[list[str], torch.Tensor]]:
    """Give the weights with the adapters added, one after the other, and leave the model as it is.

    Merging in place and taking the adapter out again would leave rounding errors in the weights
    of a training that goes on.
    """
    layers = {
        # A block whose activations are computed again is wrapped, which its weights' names hide.
        f"{name}.base_layer.weight".replace("_checkpoint_wrapped_module.", ""): module
        for name, module in model.named_modules()
        if isinstance(module, LoraLayer)
    }
    for names, weight in weights(model, leaving_out=".lora_"):
        layer: Any = layers.get(names[0])
        if layer is not None:
            with present(layer):
                weight = weight.float() + whole(layer.get_delta_weight("default")).float()
        yield [name.replace(".base_layer.", ".") for name in names], weight
