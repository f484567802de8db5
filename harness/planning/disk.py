"""Bytes that a run leaves in its folder: weights, states on the way, rows."""

from collections.abc import Sequence

from harness.planning.shapes import BYTES, Shape
from harness.protocols import Work

_TOKEN = 12
"""Bytes that a sampled token takes in a row log: its text, and its id in JSON. Ours."""
_ID = 7
"""Bytes that a prompt's token takes there: its id in JSON. Ours."""


def kept(asked: Sequence[Work], shape: Shape, dtype: str) -> dict[str, int]:
    """Add up what stays, and what a training keeps only until it is done."""
    lessons = [work.lesson for work in asked if work.lesson is not None]
    found = {"models": len(lessons) * shape.weights(dtype)}
    if on_the_way := sum(lesson.checkpoints for lesson in lessons):
        found["models on the way"] = on_the_way * shape.weights(dtype)
        # Weights and AdamW's two moments, of the one state that is kept at a time.
        trained = max(
            shape.parameters
            if lesson.lora is None
            else shape.adapters(lesson.lora, lesson.lora_modules)
            for lesson in lessons
        )
        found["the state of a training, until it is done"] = 3 * trained * BYTES["float32"]
    rows = sum(
        work.new_tokens * _TOKEN + work.prompt_tokens * work.samples * _ID
        for work in asked
        if work.kind == "generate"
    )
    return found | {"rows": rows}
