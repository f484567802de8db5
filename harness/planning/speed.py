"""Seconds that a part takes: its work over what the hardware can do at most, by an efficiency.

    a token forward               2 operations a parameter that it is multiplied with
    a token trained on            6; 8 where activations are computed twice; under LoRA 4 or 6
    a step of decoding            all weights once, over the bandwidth, or the operations of its
                                  rows, whichever takes longer; then the cache of every row
    a step of sharded training    the weights gathered twice and the gradients scattered once, over
                                  the links, or the operations, whichever takes longer
    a step with offloaded states  beside it, all that from and to the machine's memory, and there
                                  AdamW, which moves 28 bytes a parameter
    a model that is opened        its files read, and hashed

Attention is counted beside the parameters: 4 operations a layer, head and pair of tokens, half of
them masked (Kaplan et al. 2020; PaLM, appendix B). The efficiencies are those of published runs, or
ours; an earlier run or a pilot replaces them (`evidence.py`).
"""

import math

from harness.planned import Lesson, Work
from harness.planning.disk import model, state
from harness.planning.hardware import Device
from harness.planning.memory import NODE, adapters, cache_room, states
from harness.planning.serving import Serving
from harness.planning.shapes import Shape
from harness.units import BYTES

PADDING = 1.03
"""Tokens that a training computes to those of its rows (`training.batches`)."""
DISK = 2e9
"""Bytes a second that weights are read with: a local NVMe disk, carefully. Ours."""
HASH = 1e9
"""Bytes a second of the SHA-256 that tells whether weights are those that were measured: 1.0 to 1.4
on one core of an AMD EPYC (ours). A process hashes a file once; here every opening is counted."""
TOGETHER = 0.8
"""The share of several GPUs' speed that is left when they hold one copy together. Ours."""
TRAINING = 0.40
"""The share of a GPU's arithmetic that training reaches: 0.38 to 0.43 for Llama 3 on H100 (Llama
Team 2024, table 4), 0.46 for PaLM."""
TRAINING_CPU = 0.58
"""The same of a CPU's. Ours: `tests.benchmarks.bench_ceilings` has 0.55 to 0.62."""
UPDATE = 0.02
"""Seconds of the host an update, beside arithmetic: logging, the optimizer's loops. Ours."""
LAUNCH = 10.0
"""Seconds in which several processes start, import their libraries and find each other. Ours."""
_EXCHANGE = 0.7
"""The share of a link's bandwidth that collective operations reach. Ours."""
_PCIE = 25e9
"""Bytes a second between a GPU and its machine's memory, where states are kept there."""
HOST = 300e9
"""Bytes a second that an optimizer reaches in a machine's own memory. Ours: half of what two
Sapphire Rapids can do at most, with 8 channels of DDR5-4800 each (614 GB/s)."""
_ADAMW = 7
"""Numbers a parameter that fused AdamW moves in a step: it reads weight, gradient and two moments,
and writes all but the gradient."""


def load_seconds(shape: Shape, serving: Serving, hashed: bool = True) -> float:
    """Time to open a model."""
    return serving.start + read_seconds(shape.weights(serving.dtype), hashed)


def read_seconds(weights: int, hashed: bool = True) -> float:
    """Time to read a model's files; those of a hub's commit are not hashed before."""
    return weights / DISK + (weights / HASH if hashed else 0.0)


def ask_seconds(work: Work, shape: Shape, serving: Serving) -> float:
    """Time to generate or score, all replicas at work.

    Args:
        work: Of kind `generate` or `score`.
        shape: Of the model that is asked.
        serving: How it is served.
    """
    if not work.rows:
        return 0.0
    device = serving.device
    replicas = device.at_work(serving.replicas)
    flops = device.flops * serving.matrix * serving.tensor_parallel * replicas
    prompts = work.rows / work.samples
    each = work.prompt_tokens / prompts
    known = work.shared * (prompts - serving.replicas) if serving.prefixes else 0.0
    tokens = work.prompt_tokens - max(known, 0.0)
    read = 2 * shape.multiplied * tokens + _attention(shape, each) * prompts
    passes = math.ceil(work.rows / replicas / serving.batch_rows)
    seconds = read / flops + passes * shape.layers * serving.layer
    if work.kind == "score" or not work.new_tokens:
        return seconds
    return seconds + _decode_seconds(work, shape, serving, each)


def _decode_seconds(work: Work, shape: Shape, serving: Serving, prompt: float) -> float:
    device = serving.device
    rows = work.rows / device.at_work(serving.replicas)
    new = work.new_tokens / work.rows
    context = prompt + new / 2
    room = cache_room(shape, serving) / (shape.kv_bytes(serving.dtype) * (prompt + new))
    batch = max(1.0, min(rows, serving.batch_rows, room))
    # In static batches the last rows decode alone: as many steps as the longest row has tokens.
    tail = work.tail or serving.tail if serving.tail > 1 and batch > 1 else 1.0
    steps = rows * new / batch * tail
    alive = rows * new / steps
    together = serving.tensor_parallel * (TOGETHER if serving.tensor_parallel > 1 else 1.0)
    bandwidth = device.bandwidth * serving.bandwidth * together
    arithmetic = device.flops * serving.decoding * together
    step = max(shape.weights(serving.dtype) / bandwidth, alive * 2 * shape.multiplied / arithmetic)
    # Attention is another kernel: nothing of it is hidden behind the weights.
    cached = alive * context
    step += max(
        cached * shape.kv_bytes(serving.dtype) / bandwidth,
        cached * 4 * shape.layers * _inner(shape) / arithmetic,
    )
    return steps * (step + shape.layers * serving.layer)


def train_seconds(work: Work, shape: Shape, device: Device) -> float:
    """Time of a training's steps, and of the reference pass, on all of its processes."""
    lesson = work.lesson
    if lesson is None or not work.rows:
        return 0.0
    efficiency = TRAINING_CPU if device.cpu else TRAINING
    sequences = work.rows * lesson.sequences
    each = work.prompt_tokens / sequences
    forward = 2 * shape.multiplied * work.prompt_tokens + _attention(shape, each) * sequences
    passes = 3.0 if lesson.lora is None else 2.0
    if lesson.gradient_checkpointing and not device.cpu:
        passes += 1.0
    seen = lesson.updates * lesson.batch_size / work.rows
    arithmetic = device.flops * efficiency * device.at_work(lesson.processes)
    compute = seen * PADDING * passes * forward / arithmetic
    seconds = max(compute, _exchange_seconds(lesson, shape, device)) + lesson.updates * UPDATE
    if lesson.reference:
        seconds += PADDING * forward / arithmetic
    if lesson.offload and not device.cpu:
        seconds += _offload_seconds(lesson, shape)
    return seconds


def start_seconds(lesson: Lesson, weights: int, hashed: bool = True) -> float:
    """Time before a training's first step: its processes start, and so many bytes are read."""
    return (LAUNCH if lesson.processes > 1 else 0.0) + read_seconds(weights, hashed)


def _offload_seconds(lesson: Lesson, shape: Shape) -> float:
    """Time that states in the machines' memory take, beside what they would take on the GPUs.

    Each pass fetches the weights anew, as they are kept, and each backward one leaves gradients.
    """
    kept = states(shape, lesson)
    moved = _micro_steps(lesson) * (2 * kept["weights"] + kept["gradients"])
    adamw = _ADAMW * kept["gradients"] / _machines(lesson)
    return lesson.updates * (moved / lesson.processes / _PCIE + adamw / HOST)


def _exchange_seconds(lesson: Lesson, shape: Shape, device: Device) -> float:
    """Time to exchange weights and gradients between processes, which arithmetic may hide."""
    if lesson.processes == 1:
        return 0.0
    speed = _EXCHANGE * device.link
    if lesson.processes > NODE:
        # A machine takes in what all of its GPUs need once, through all of their network cards.
        speed = _EXCHANGE * min(device.link, NODE * device.network)
    trained = adapters(shape, lesson) or shape.parameters
    if lesson.strategy == "ddp":
        return lesson.updates * 2 * trained * BYTES["float32"] / speed
    gathered = 2 * shape.parameters * BYTES["bfloat16"]
    scattered = trained * BYTES["bfloat16"]
    return lesson.updates * _micro_steps(lesson) * (gathered + scattered) / speed


def _micro_steps(lesson: Lesson) -> int:
    """How many passes a process makes for an update."""
    return math.ceil(lesson.batch_size / lesson.processes / lesson.micro_batch_size)


def _machines(lesson: Lesson) -> int:
    return math.ceil(lesson.processes / NODE)


def save_seconds(lesson: Lesson, shape: Shape, dtype: str) -> float:
    """Time to write the models of a training, and on the way the states to go on from.

    One process writes a model, and hashes the finished one; of a state that is divided each machine
    writes its own share.
    """
    made = model(lesson, shape, dtype)
    models = (1 + lesson.checkpoints) * made
    divided = 1 if lesson.strategy == "ddp" else _machines(lesson)
    return (models + lesson.checkpoints * state(lesson, shape) / divided) / DISK + made / HASH


def _attention(shape: Shape, tokens: float) -> float:
    """Operations of attention over one sequence, of which half is masked."""
    return 2 * shape.layers * _inner(shape) * tokens**2


def _inner(shape: Shape) -> int:
    return shape.heads * shape.head_size
