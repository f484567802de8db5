"""The `transformers` engine: Hugging Face causal language models, on CPU or CUDA.

    with Transformers(Transformers.Config()).open(ModelRef(location="microworld")) as model:
        for completion in model.generate([Request("1", user("Hi"), Sampling(n=4))]):
            ...

This is the door only: what is behind it (`loaded_transformers`) takes seconds to import, and a run
that has nothing left to ask a model needs none of it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from harness.records import ModelRef, Record

if TYPE_CHECKING:
    from harness.engines.loaded_transformers import LoadedTransformers


class Transformers:
    """Opens models with the `transformers` library."""

    light: ClassVar[bool] = False

    class Config(Record):
        """How to load models, and how much to do at once."""

        device: str = "auto"
        """A torch device; `auto` is CUDA where there is one, else the CPU."""
        dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
        """`auto` is float32 on the CPU and the checkpoint's own elsewhere."""
        batch_rows: int = Field(default=256, ge=1)
        """The most completions in a batch."""
        batch_tokens: int = Field(default=65_536, ge=1)
        """The most tokens in a batch, prompts and the longest completions: what the cache holds."""
        chat_template: Path | None = None
        """A file with a chat template instead of the tokenizer's own, or `tulu` for a base model
        that has none: plain roles, and the tokenizer's end token after each answer."""
        trust_remote_code: bool = False
        """Whether a hub model may run code of its own."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @contextmanager
    def open(self, model: ModelRef) -> Iterator["LoadedTransformers"]:
        """Load a model, and give its memory back on leaving the context.

        Raises:
            ConfigError: there is no such device here.
            DataError: the location holds no model that can be loaded, its weights are not those
                of the reference's fingerprint, or its tokenizer has no token to pad with.
        """
        load: Callable[[ModelRef, Transformers.Config], LoadedTransformers]
        load = import_module("harness.engines.loaded_transformers").load
        loaded = load(model, self._config)
        try:
            yield loaded
        finally:
            loaded.close()
