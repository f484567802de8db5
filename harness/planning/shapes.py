"""How large a model is, from its config.json alone.

    >>> shape_of(ModelRef(location="meta-llama/Llama-2-70b-hf")).parameters
    68976648192

A folder and a hub model in the local cache are read; well-known models that are not at hand are in
`shapes.toml`. The embedded model is a folder like any other. All are decoders with gated
feed-forward layers, as Llama is: another architecture is refused rather than guessed at.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache

from harness.checkpoints import LIKE_LLAMA, is_adapter, locate
from harness.errors import DataError
from harness.records import ModelRef
from harness.units import BYTES


@dataclass(frozen=True)
class Shape:
    """A decoder, in the figures of its configuration."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    vocabulary: int
    context: int
    head: int = 0
    """Size of an attention head; hidden / heads where it is 0."""
    tied: bool = False
    """Whether the output layer is the embedding."""
    attention_biases: int = 0
    """How many of an attention layer's four projections, in the order q, k, v, o, have a bias."""
    head_norms: bool = False
    """Whether queries and keys are normalised, head by head (Qwen 3)."""
    dtype: str = "bfloat16"
    """Of the stored weights."""

    @property
    def head_size(self) -> int:
        """Size of an attention head."""
        return self.head or self.hidden // self.heads

    @property
    def linear(self) -> Mapping[str, tuple[int, int]]:
        """The linear layers of a block by the names that all these models share: (in, out)."""
        inner, keys = self.heads * self.head_size, self.kv_heads * self.head_size
        return {
            "q_proj": (self.hidden, inner),
            "k_proj": (self.hidden, keys),
            "v_proj": (self.hidden, keys),
            "o_proj": (inner, self.hidden),
            "gate_proj": (self.hidden, self.intermediate),
            "up_proj": (self.hidden, self.intermediate),
            "down_proj": (self.intermediate, self.hidden),
        }

    @property
    def embedding(self) -> int:
        """Parameters of the embedding, and as many of the output layer."""
        return self.vocabulary * self.hidden

    @property
    def block(self) -> int:
        """Parameters of a block."""
        weights = sum(a * b for a, b in self.linear.values())
        biases = sum(out for _, out in [*self.linear.values()][: self.attention_biases])
        norms = 2 * self.hidden + (2 * self.head_size if self.head_norms else 0)
        return weights + biases + norms

    @property
    def parameters(self) -> int:
        """All of them."""
        embeddings = self.embedding * (1 if self.tied else 2)
        return embeddings + self.layers * self.block + self.hidden

    @property
    def multiplied(self) -> int:
        """Parameters that every token is multiplied with: all but the embedding's, once looked up.

        A tied embedding is multiplied with as the output layer.
        """
        return self.layers * self.block + self.embedding

    def weights(self, dtype: str) -> int:
        """Bytes of the weights."""
        return self.parameters * BYTES[dtype]

    def kv_bytes(self, dtype: str) -> int:
        """Bytes of the key-value cache, a token."""
        return 2 * self.layers * self.kv_heads * self.head_size * BYTES[dtype]

    def adapters(self, rank: int, modules: tuple[str, ...] | None = None) -> int:
        """Parameters of low-rank adapters, on every linear layer of a block or on those named."""
        sizes = (size for name, size in self.linear.items() if modules is None or name in modules)
        return self.layers * sum(rank * (a + b) for a, b in sizes)


def shape_of(model: ModelRef) -> Shape:
    """Find a model's shape.

    Raises:
        DataError: there is no such folder, its configuration is of another architecture, or the
            hub model is neither here nor well known.
    """
    location = locate(model)
    if is_adapter(location):
        adapter = json.loads((Path(location) / "adapter_config.json").read_text(encoding="utf-8"))
        return shape_of(model.model_copy(update={"location": adapter["base_model_name_or_path"]}))
    cached: Any = (
        location
        if Path(location).is_dir()
        else try_to_load_from_cache(location, "config.json", revision=model.revision)
    )
    if Path(location).is_dir():
        return read_shape(Path(location) / "config.json")
    if isinstance(cached, str):
        return read_shape(Path(cached))
    known = _known().get(location.lower())
    if known is None:
        raise DataError(
            f"the size of {location} is not known here: fetch its configuration (`hf download "
            f"{location} config.json`), or give a folder with the model"
        )
    return known


def read_shape(file: Path) -> Shape:
    """Read a config.json.

    Raises:
        DataError: it cannot be read, or is of an architecture that cannot be reckoned with.
    """
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        if config.get("model_type") not in LIKE_LLAMA:
            raise DataError(
                f"{file} is of the architecture {config.get('model_type')!r}, whose size cannot be "
                f"told from its configuration; this is known of {', '.join(sorted(LIKE_LLAMA))}"
            )
        return _shape(config)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{file} cannot be read as a model's configuration ({error!r}); restore it"
        ) from error


def _shape(config: Mapping[str, Any]) -> Shape:
    heads = config["num_attention_heads"]
    biases = 3 if config["model_type"] == "qwen2" else 4 if config.get("attention_bias") else 0
    stored = config.get("dtype") or config.get("torch_dtype") or "float32"
    return Shape(
        layers=config["num_hidden_layers"],
        hidden=config["hidden_size"],
        intermediate=config["intermediate_size"],
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        vocabulary=config["vocab_size"],
        context=config["max_position_embeddings"],
        head=config.get("head_dim") or 0,
        tied=bool(config.get("tie_word_embeddings", False)),
        attention_biases=biases,
        head_norms=config["model_type"] == "qwen3",
        dtype=stored if stored in BYTES else "float32",
    )


@cache
def _known() -> Mapping[str, Shape]:
    text = (resources.files("harness.planning") / "shapes.toml").read_text(encoding="utf-8")
    found: dict[str, Shape] = {}
    for name, figures in tomllib.loads(text).items():
        also = figures.pop("also", [])
        shape = Shape(**figures)
        found |= {one.lower(): shape for one in (name, *also)}
    return found
