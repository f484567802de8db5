"""Whether a model goes into the GPUs that vLLM is given: at least its weights and one whole row.

    Llama-3.1-8B in bfloat16    weights 16.1 GB, one row of 131,072 tokens 17.2 GB

vLLM starts only where the longest row that it may be asked for has room in the key-value cache.
What it needs besides, for activations and CUDA graphs, it finds out itself.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import machine
from harness.checkpoints import LIKE_LLAMA
from harness.errors import ConfigError
from harness.units import BYTES

if TYPE_CHECKING:
    from harness.engines.vllm import VLLM


def check(folder: Path, about: Mapping[str, Any], config: "VLLM.Config") -> None:
    """Check that a model goes into the GPUs of one replica.

    Args:
        folder: With the model's weights.
        about: Its config.json.
        config: The engine's options.

    Raises:
        ConfigError: it is too large.
    """
    total, weights = machine.gpu_memory(), _weights(folder, about, config.dtype)
    if not total or not weights:
        return
    gpus, there = config.tensor_parallel, min(total) * config.gpu_memory
    weights /= gpus
    on = f"on each of {gpus} GPUs, and `gpu_memory` = {config.gpu_memory:g} of one is {there:.1f}"
    if weights > there:
        raise ConfigError(
            f"the model's weights take {weights:.1f} GB {on} GB; give `tensor_parallel` more GPUs"
        )
    own = about.get("max_position_embeddings")
    longest = own if isinstance(own, int) else 0
    longest = min(longest, config.context or longest)
    row = longest * _token(about, _dtype(about, config.dtype), gpus)
    if weights + row > there:
        raise ConfigError(
            f"the model's weights and the cache of one row of {longest:,} tokens take "
            f"{weights:.1f} + {row:.1f} GB {on} GB; give the engine's options `context` fewer "
            "tokens or `tensor_parallel` more GPUs"
        )


def _weights(folder: Path, about: Mapping[str, Any], dtype: str) -> float:
    """Count the GB of the weights as they will be; 0 where that is not known."""
    # Beside them the same weights may lie once more: consolidated.safetensors, say.
    files = [*folder.glob("model*.safetensors")] or [*folder.glob("pytorch_model*.bin")]
    stored, chosen = _dtype(about, "auto"), _dtype(about, dtype)
    size = sum(file.stat().st_size for file in files) / 1e9
    return size * BYTES.get(chosen, 1) / BYTES.get(stored, 1) if stored in BYTES else size


def _dtype(about: Mapping[str, Any], asked: str) -> str:
    stored = str(about.get("dtype") or about.get("torch_dtype") or "")
    return stored if asked == "auto" else asked


def _token(about: Mapping[str, Any], dtype: str, gpus: int) -> float:
    """Count the GB of cache a token on each GPU; 0 where that is not known."""
    heads: Any = about.get("num_attention_heads")
    keys: Any = about.get("num_key_value_heads") or heads
    layers: Any = about.get("num_hidden_layers")
    hidden: Any = about.get("hidden_size")
    known = all(isinstance(one, int) and one > 0 for one in (heads, layers, keys, hidden))
    if not known or dtype not in BYTES or not _keeps_all(about):
        return 0.0
    size: int = about.get("head_dim") or hidden // heads
    # Where there are more GPUs than key heads, several keep the same one.
    return float(2 * layers * max(1, keys // gpus) * size * BYTES[dtype]) / 1e9


def _keeps_all(about: Mapping[str, Any]) -> bool:
    """Tell whether every layer keeps all keys and values; for sure, or it is vLLM's to say."""
    slides = about.get("sliding_window") and about.get("use_sliding_window", True)
    kinds, full = about.get("layer_types"), "full_attention"
    attends = not kinds or (isinstance(kinds, list) and all(kind == full for kind in kinds))
    return str(about.get("model_type")) in LIKE_LLAMA and not slides and attends
