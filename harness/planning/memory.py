"""Bytes on one GPU, or of a machine that has none: of an engine, and of a training.

    Llama-2-70B, full, 64 GPUs, FSDP2: 4 bytes of weights, 4 of gradients, 8 of AdamW a parameter,
    all divided by 64: 17.2 GB; activations and logits of what a process holds at once on top

The sixteen bytes a parameter are those of mixed precision (Rajbhandari et al. 2020, ZeRO, section
3.1), with float32 weights instead of their 2 + 4 bytes of a copy; the activations of a layer those
of Korthikanti et al. 2022 for a fused attention.
"""

from harness.planned import Lesson
from harness.planning.hardware import Device
from harness.planning.serving import Serving
from harness.planning.shapes import Shape
from harness.records import MemoryNeed
from harness.units import BYTES

_ACTIVATIONS = 34
"""Bytes a token and unit of width that a layer keeps in 16 bits (Korthikanti et al. 2022, equation
1, without the attention matrix that fused kernels do not keep); with a gated feed-forward layer of
another width about as much."""
_LOGITS = 1 << 30
"""The most bytes of logits at once: TRL computes them in chunks."""
OVERHEAD = int(1.5e9)
"""Of the CUDA context, the libraries' workspaces and fragmentation. Ours."""
NODE = 8
"""GPUs in one machine."""
_NO_GPU = "a smaller model, or GPUs, which this machine has not: --gpu H100 plans for some"
_FREE = 0.95
"""Of a GPU's memory, what can be used before fragments of it are all that is left. Ours."""


def cache_room(shape: Shape, serving: Serving) -> float:
    """Bytes that a replica has for the cache of its rows; not less than one token's."""
    total = serving.memory * serving.tensor_parallel
    return max(total - shape.weights(serving.dtype), shape.kv_bytes(serving.dtype))


def serving_need(shape: Shape, serving: Serving, longest: int, what: str) -> MemoryNeed:
    """Memory of an engine that holds at least one row of so many tokens.

    vLLM takes its share of a GPU and no more, and does not start without room there for a row of
    its whole context, with the token more that it is asked for (`engines.vllm_orders.begin`).
    """
    cpu, vllm = serving.device.cpu, serving.engine == "vllm"
    weights, why = shape.weights(serving.dtype) // serving.tensor_parallel, ""
    available = int(serving.memory if vllm and not cpu else serving.device.memory * _FREE)
    remedy = "more GPUs a replica (tensor_parallel of the vllm engine)"
    if vllm:
        longest = min(serving.context or shape.context, shape.context) + 1
        why = " (the context, as vLLM wants)"
        if weights + OVERHEAD < available:
            remedy = f"a shorter `context` of the vllm engine; {remedy}"
    if cpu:
        remedy = _NO_GPU
    elif serving.dtype == "float32":
        remedy = f'dtype = "bfloat16" in [trainer.sft] and [trainer.dpo], or {remedy}'
    cache = shape.kv_bytes(serving.dtype) * longest // serving.tensor_parallel
    parts = {
        "weights": weights,
        f"cache of a row of {longest:,} tokens{why}": cache,
        "overhead": 0 if cpu else OVERHEAD,
    }
    if cpu:
        parts = {name: serving.gpus * count for name, count in parts.items()}
    return MemoryNeed(
        what=what,
        place="machine" if cpu else "gpu",
        gpus=serving.gpus,
        parts=parts,
        available=available,
        remedy=remedy,
    )


def training_need(shape: Shape, lesson: Lesson, device: Device, what: str) -> MemoryNeed:
    """Memory of a training at its longest step."""
    divided = 1 if lesson.strategy == "ddp" else lesson.processes
    here = 0 if lesson.offload and not device.cpu else 1
    parts = {name: here * count // divided for name, count in states(shape, lesson).items()}
    parts |= {
        "activations": _activations(shape, lesson, device),
        "logits": _logits(shape, lesson),
    }
    if divided > 1:
        # The layer that is computed and the one that is fetched ahead, and the embeddings.
        parts["gathered layers"] = (2 * shape.block + shape.embedding) * BYTES["bfloat16"]
    elif lesson.precision == "mixed" and not device.cpu:
        parts["16-bit copies"] = 2 * _copied(shape, lesson)
    if lesson.strategy == "ddp" and lesson.processes > 1:
        # DistributedDataParallel exchanges gradients in buckets, which are a second copy of them.
        parts["gradient buckets"] = parts["gradients"]
    parts["overhead"] = 0 if device.cpu else OVERHEAD
    if device.cpu:  # all processes are in one memory
        parts = {name: lesson.processes * count for name, count in parts.items()}
    return MemoryNeed(
        what=what,
        place="machine" if device.cpu else "gpu",
        gpus=lesson.processes,
        parts=parts,
        available=int(device.memory * _FREE),
        remedy=_NO_GPU if device.cpu else "; ".join(_remedies(lesson)),
    )


def loading_need(shape: Shape, lesson: Lesson, available: int | None, what: str) -> MemoryNeed:
    """Memory of a machine, outside of its GPUs, while a model that is to be trained is read there.

    Under FSDP2 one process of all reads it, under DDP every process.
    """
    copies = min(lesson.processes, NODE) if lesson.strategy == "ddp" else 1
    name = "the whole model" if copies == 1 else f"{copies} times the whole model"
    return MemoryNeed(
        what=what,
        place="machine",
        gpus=lesson.processes,
        parts={name: copies * states(shape, lesson)["weights"]},
        available=available,
        remedy='launcher strategy "fsdp2"' if copies > 1 else 'lora with precision = "bfloat16"',
    )


def offload_need(shape: Shape, lesson: Lesson, available: int | None, what: str) -> MemoryNeed:
    """Memory of a machine, outside of its GPUs, for what a training with `offload` keeps there."""
    together = min(lesson.processes, NODE) / lesson.processes
    return MemoryNeed(
        what=what,
        place="machine",
        gpus=lesson.processes,
        parts={name: round(count * together) for name, count in states(shape, lesson).items()},
        available=available,
        remedy="more machines; lora; offload = false on more GPUs",
    )


def states(shape: Shape, lesson: Lesson) -> dict[str, int]:
    """Bytes of all that lasts from step to step, undivided."""
    held = 2 if lesson.precision == "bfloat16" else BYTES["float32"]
    found, trained = {"weights": shape.parameters * held}, shape.parameters
    if lesson.lora is not None:
        trained, held = adapters(shape, lesson), BYTES["float32"]
        found["adapters"] = trained * held
    return found | {"gradients": trained * held, "optimizer": 2 * trained * held}


def _copied(shape: Shape, lesson: Lesson) -> int:
    """Parameters that autocast holds in 16 bits: of what is trained all, until the pass is over."""
    if lesson.lora is not None and lesson.gradient_checkpointing:
        return shape.embedding
    return shape.parameters


def adapters(shape: Shape, lesson: Lesson) -> int:
    """Parameters of a training's adapters; 0 where it has none."""
    return 0 if lesson.lora is None else shape.adapters(lesson.lora, lesson.lora_modules)


def _activations(shape: Shape, lesson: Lesson, device: Device) -> int:
    tokens = lesson.micro_batch_size * lesson.sequences * lesson.longest
    width = 2 if device.cpu else 1  # float32 instead of 16 bits
    layer = _ACTIVATIONS * tokens * shape.hidden * width
    if lesson.gradient_checkpointing and not device.cpu:
        # A layer's input is kept, and one layer at a time computed again.
        return 2 * width * tokens * shape.hidden * shape.layers + layer
    return layer * shape.layers


def _logits(shape: Shape, lesson: Lesson) -> int:
    tokens = lesson.micro_batch_size * lesson.sequences * lesson.longest
    return min(2 * 4 * tokens * shape.vocabulary, _LOGITS)


def _remedies(lesson: Lesson) -> list[str]:
    found = []
    if lesson.micro_batch_size > 1:
        found.append("a smaller micro_batch_size")
    if not lesson.gradient_checkpointing:
        found.append("gradient_checkpointing = true")
    if lesson.strategy == "ddp":
        found.append('launcher strategy "fsdp2" on more GPUs')
    if lesson.lora is None:
        found.append('lora with precision = "bfloat16"')
    if lesson.strategy != "ddp" and not lesson.offload:
        found.append("launcher offload = true")
    return [*found, "a smaller max_length"]
