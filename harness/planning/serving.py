"""How models are served: by which engine, on how many GPUs, and how well.

transformers    one device, static batches
vllm            `tensor_parallel` GPUs a replica, `replicas` of them, rows come and go
ray             `replicas` of whatever it spreads
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.planning.hardware import Device
from harness.planning.shapes import Shape
from harness.units import BYTES

_SHARE = 0.9
"""Of a GPU's memory, what an engine takes: the default of the vllm engine's `gpu_memory`."""
_WEIGHTS = 0.7
"""Of that, what weights may take when the number of GPUs is chosen here; the rest is cache."""
_RAY = 10.0
"""Seconds until a process that Ray starts has imported what it needs. Ours, on two cores."""
_ROWS, _MANY_ROWS = 256, 1024
"""The most rows that a replica of vLLM 0.32 has at once (`max_num_seqs`, by default): more on GPUs
with 70 GiB that are no A100 (vllm/engine/arg_utils.py, `LLM_CLASS`)."""


@dataclass(frozen=True)
class Serving:
    """An engine on its hardware."""

    engine: str
    device: Device
    dtype: str = "bfloat16"
    """Of weights and cache."""
    tensor_parallel: int = 1
    replicas: int = 1
    batch_rows: int = _ROWS
    """The most completions at once, a replica."""
    share: float = _SHARE
    """Of a GPU's memory, what the engine takes."""
    context: int | None = None
    """The longest row that it is told to expect; None: the longest that the model can read."""
    matrix: float = 0.5
    """The share of the device's arithmetic that reading prompts reaches."""
    decoding: float = 0.5
    """The share of it that decoding reaches: a row has one token a step."""
    bandwidth: float = 0.6
    """The share of its bandwidth that decoding reaches."""
    layer: float = 0.25e-3
    """Seconds of the host a layer and pass: kernels that are launched one by one."""
    tail: float = 1.0
    """Steps to those that full batches would take."""
    prefixes: bool = False
    """Whether what many prompts begin with is read once."""
    start: float = 0.0
    """Seconds to start the engine, beside reading weights."""

    @property
    def gpus(self) -> int:
        """How many it works on."""
        return self.tensor_parallel * self.replicas

    @property
    def memory(self) -> float:
        """Bytes that one GPU has for weights and cache."""
        return self.device.memory * (0.5 if self.device.cpu else self.share)

    def storing(self, dtype: str) -> "Serving":
        """The same for a model that is stored in another type: on a CPU all is float32."""
        return self if self.device.cpu else replace(self, dtype=dtype)


_TRANSFORMERS: Mapping[str, Any] = {
    "matrix": 0.5,
    "bandwidth": 0.6,
    "layer": 0.25e-3,
    "tail": 1.5,
    "start": 5.0,
}
"""Ours; bandwidth and layer of a GPU from Hugging Face's own figure for 8B at 32 rows and 8k tokens
(blog of 2026-05-14: 234.5 s on an H100)."""
_VLLM: Mapping[str, Any] = {
    "matrix": 0.5,
    "bandwidth": 0.7,
    "layer": 0.05e-3,
    "tail": 1.0,
    "start": 60.0,
    "prefixes": True,
}
"""Ours. Against published figures: see README.md beside this file. A start takes 30 to 100 s
(vLLM's blog on sleep mode)."""
_CPU: Mapping[str, Any] = {
    "matrix": 0.5,
    "decoding": 0.25,
    "bandwidth": 0.5,
    "layer": 0.5e-3,
    "tail": 1.5,
    "start": 0.2,
}
"""Ours: runs of the micro-world on one thread of an idle machine, within what
`tests.benchmarks.bench_ceilings` measures there for batches of one row and of 256."""


def innermost(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Find the options of the engine that opens models: the one that another one spreads."""
    inner = options.get("engine")
    return innermost(inner) if isinstance(inner, Mapping) else options


def serving(
    engine: str, options: Mapping[str, Any], device: Device, dtype: str, gpus: int = 1
) -> Serving:
    """Say how a request's own engine serves a model.

    Args:
        engine: Its name.
        options: Its own.
        device: What it runs on.
        dtype: Of the stored weights.
        gpus: How many devices there are, for an engine that takes all of them.
    """
    inner = options.get("engine")
    if isinstance(inner, Mapping):  # an engine that spreads another one
        spread = serving(str(inner.get("name", engine)), inner, device, dtype)
        room = device.processes if device.cpu else gpus // spread.gpus
        # Ray gives its replicas no more than a window of rows, whatever they could do at once.
        window = _whole(options.get("cluster", {}).get("window"), spread.batch_rows)
        return replace(
            spread,
            start=spread.start + _RAY,
            replicas=spread.replicas * _whole(options.get("replicas"), room),
            batch_rows=min(spread.batch_rows, max(1, window // spread.replicas)),
        )
    asked = options.get("dtype", "auto")
    kind = asked if asked in BYTES else "float32" if device.cpu else dtype
    figures = _CPU if device.cpu else _VLLM if engine == "vllm" else _TRANSFORMERS
    if device.cpu and engine == "vllm":
        figures = {**_CPU, "tail": 1.0, "start": 60.0}
    if engine == "vllm":
        told = {"share": options.get("gpu_memory", _SHARE), "context": options.get("context")}
        figures = {**figures, **told}
    return Serving(
        engine=engine,
        device=device,
        dtype=kind,
        tensor_parallel=_whole(options.get("tensor_parallel")),
        replicas=_whole(options.get("replicas")),
        batch_rows=_whole(options.get("batch_rows"), _rows(engine, device)),
        **figures,
    )


def spread(
    shape: Shape, device: Device, gpus: int, dtype: str, tensor_parallel: int | None
) -> Serving:
    """Serve a model on so many GPUs as the `vllm` engine would, on as few a replica as will do."""
    needed = shape.weights(dtype)
    if tensor_parallel is None:
        tensor_parallel = 1
        while 2 * tensor_parallel <= gpus and (
            needed > device.memory * _SHARE * _WEIGHTS * tensor_parallel
        ):
            tensor_parallel *= 2
    return Serving(
        engine="vllm",
        device=device,
        dtype=dtype,
        tensor_parallel=tensor_parallel,
        replicas=max(1, gpus // tensor_parallel),
        batch_rows=_rows("vllm", device),
        **_VLLM,
    )


def _rows(engine: str, device: Device) -> int:
    """How many rows an engine that is not told has at once; the cache may have room for fewer."""
    large = device.memory >= 70 << 30 and not device.cpu and not device.name.startswith("A100")
    return _MANY_ROWS if engine == "vllm" and large else _ROWS


def _whole(value: Any, otherwise: int = 1) -> int:
    return value if isinstance(value, int) and value > 0 else max(1, otherwise)
