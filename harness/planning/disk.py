"""Bytes that a run leaves in its folder: weights, states on the way, rows."""

from collections.abc import Sequence

from harness.planned import Lesson, Work
from harness.planning.memory import adapters, states
from harness.planning.shapes import Shape
from harness.units import BYTES

_TOKEN = 12
"""Bytes that a sampled token takes in a row log: its text, and its id in JSON. Ours."""
_ID = 7
"""Bytes that a prompt's token takes there: its id in JSON. Ours."""


def kept(asked: Sequence[Work], shape: Shape, dtype: str) -> dict[str, int]:
    """Add up what stays, and what a training keeps only until it is done."""
    lessons = [work.lesson for work in asked if work.lesson is not None]
    found = {"models": sum(model(lesson, shape, dtype) for lesson in lessons)}
    on_the_way = sum(lesson.checkpoints * model(lesson, shape, dtype) for lesson in lessons)
    if on_the_way:
        found["models on the way"] = on_the_way
        # One at a time is kept.
        largest = max(state(lesson, shape) for lesson in lessons)
        found["the state of a training, until it is done"] = largest
    rows = sum(
        work.new_tokens * _TOKEN + work.prompt_tokens * work.samples * _ID
        for work in asked
        if work.kind == "generate"
    )
    return found | {"rows": rows}


def model(lesson: Lesson, shape: Shape, dtype: str) -> int:
    """Bytes of what a training makes."""
    return adapters(shape, lesson) * BYTES[dtype] if lesson.adapter else shape.weights(dtype)


def state(lesson: Lesson, shape: Shape) -> int:
    """Bytes of what a training goes on from: what is trained, and AdamW's two moments of it."""
    lasting = states(shape, lesson)
    return lasting.get("adapters", lasting["weights"]) + lasting["optimizer"]
