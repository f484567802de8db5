"""The `vllm` engine: Hugging Face causal language models in vLLM, on GPUs or a CPU.

    [engine]
    name = "vllm"
    tensor_parallel = 2     # GPUs for one copy of the model
    replicas = 4            # copies, which share the rows: 8 GPUs in all

Each copy is in a process of its own, which is started when a model is opened and ended when it is
closed: then all of the GPUs' memory is free, for a training or another model. vLLM may live in an
environment beside this one (`vllm_environment` says where it is looked for).

Same prompts, same token ids: what differs from the `transformers` engine are the random numbers
that samples are drawn with, and the order in which sums are rounded.

This is the door only: what is behind it (`loaded_vllm`) takes seconds to import.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from harness.checkpoints import config_file, is_adapter, locate
from harness.engines import vllm_environment, vllm_memory
from harness.errors import ConfigError, DataError
from harness.protocols import LoadedModel
from harness.records import ModelRef, Record

if TYPE_CHECKING:
    from harness.engines.spreading import Spread


class VLLM:
    """Opens models with vLLM."""

    light: ClassVar[bool] = False

    class Config(Record):
        """How to load models, and on how many GPUs."""

        dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
        """`auto` is float32 on the CPU and the checkpoint's own elsewhere."""
        tensor_parallel: int = Field(default=1, ge=1)
        """GPUs that share one copy of the model; must divide its attention heads."""
        replicas: int = Field(default=1, ge=1)
        """Copies of the model, which share the rows."""
        gpu_memory: float = Field(default=0.9, gt=0, lt=1)
        """The share of each GPU's memory that is taken, for weights and cache."""
        context: int | None = Field(default=None, ge=1)
        """The longest prompt plus completion, in tokens; None: the model's own. A shorter one needs
        less memory."""
        chat_template: Path | None = None
        """A file with a chat template, instead of the tokenizer's own."""
        trust_remote_code: bool = False
        """Whether a hub model may run code of its own."""
        stalled_after: float = Field(default=300, gt=0)
        """Seconds without a word from vLLM after which it is ended and started anew."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def check(self, model: ModelRef) -> None:
        """Find out, before M0 is measured, whether vLLM is here and the model fits.

        Raises:
            ConfigError: vLLM is missing or of another version, there are too few GPUs or too
                small ones, fewer cores of a CPU than replicas, or what `check_model` says.
            DataError: the location holds no model, or an adapter.
        """
        python = vllm_environment.interpreter()
        found = vllm_environment.check_version(python)
        self.check_model(model)
        config = self._config
        if found.endswith("+cpu"):
            cores = len(os.sched_getaffinity(0))
            if config.replicas > cores:
                raise ConfigError(
                    f"the engine's option replicas = {config.replicas} asks for more copies than "
                    f"there are cores of this machine, {cores}; lower it"
                )
        else:
            vllm_environment.devices(python, config.tensor_parallel, config.replicas)
            vllm_memory.check(*_described(model), config)

    def check_model(self, model: ModelRef) -> None:
        """Find out what can be told by the model's configuration, wherever it is opened.

        Raises:
            ConfigError: `tensor_parallel` does not divide the model's heads, or `context` is
                longer than the model's own.
            DataError: the location holds no model, or an adapter.
        """
        if is_adapter(locate(model)):
            raise DataError(
                f"{model.name} at {model.location} is an adapter, which the vllm engine does not "
                'open; train with lora.save = "merged", or use the transformers engine'
            )
        _, about = _described(model)
        vllm_environment.check_heads(about, self._config.tensor_parallel)
        asked, own = self._config.context, about.get("max_position_embeddings")
        if asked and isinstance(own, int) and asked > own:
            raise ConfigError(
                f"the engine's option context = {asked} is more than the {own} tokens that "
                f"config.json gives {model.name}; lower it, or leave it out"
            )

    def packages(self) -> Mapping[str, str]:
        """Say which vLLM it is, with `+cpu` where it is a build for CPUs."""
        found = vllm_environment.version(vllm_environment.interpreter())
        return {"vllm": found} if found else {}

    @contextmanager
    def open(self, model: ModelRef) -> Iterator[LoadedModel]:
        """Start a model's processes, and end them on leaving the context.

        Raises:
            ConfigError: see `check`; or vLLM does not start, with its reason.
            DataError: the location holds no model that can be loaded, its weights are not those
                of the reference's fingerprint, or its outputs are not numbers.
        """
        self.check(model)
        load: Callable[[ModelRef, VLLM.Config, str], Spread]
        load = import_module("harness.engines.loaded_vllm").load
        with load(model, self._config, vllm_environment.interpreter()) as loaded:
            yield loaded


def _described(model: ModelRef) -> tuple[Path, Mapping[str, Any]]:
    """Find a model's folder, and what its config.json says; nothing where that cannot be read."""
    file = config_file(model)
    if file is None:
        return Path(locate(model)), {}
    about: Any = None
    with suppress(OSError, ValueError):  # whoever opens it will say so
        about = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(about, dict):
        return file.parent, {}
    return file.parent, about | (about.get("text_config") or {})
