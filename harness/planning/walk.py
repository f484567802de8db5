"""The walk through the paper's own size, for README.md beside this file.

    python -m harness.planning.walk     the tables of that page, as the code gives them now

A test holds the page against it.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import resources

from harness.config import RunConfig, read_config
from harness.planned import Lesson, Work
from harness.planning.fleet import Fleet
from harness.planning.hardware import gpu
from harness.planning.memory import training_need
from harness.planning.plan import make_plan
from harness.planning.serving import serving, spread
from harness.planning.shapes import Shape, shape_of
from harness.planning.speed import ask_seconds
from harness.records import ModelRef, Plan, PlannedPart, Stage
from harness.units import duration, size

REQUEST = str(resources.files("harness.planning") / "walk.toml")
GPUS = 64
_ROUND = Stage(iteration=2, kind="train")


def tables() -> str:
    """Write all tables of the page."""
    plan = make_plan(read_config(REQUEST, {}), Fleet(gpu("H100"), GPUS, supposed=True))
    parts = ("\n".join(part) for part in (_round(plan), _ways(plan), _memory(), _published()))
    return "\n\n".join(parts) + "\n"


def _round(plan: Plan) -> Iterator[str]:
    """Where the time of a round goes."""
    yield "| part | rows | tokens in | tokens out | time | GPUs | GPU hours |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    # Those with rows: the others are the harness's own seconds, measured wherever this runs.
    stages = (one.parts for one in plan.stages if one.stage.kind == "train")
    parts = [(name, part) for one in stages for name, part in one.items() if part.rows]
    yield from (_line(name, part) for name, part in parts)
    hours = sum(part.gpus * (part.seconds or 0.0) for _, part in parts) / 3600
    whole = duration(sum(part.seconds or 0.0 for _, part in parts))
    yield f"| together | | | | {whole} | | {hours:.1f} |"


def _line(name: str, part: PlannedPart) -> str:
    read = part.prompt_tokens if part.tokens is None else part.tokens
    hours = part.gpus * (part.seconds or 0.0) / 3600
    counts = " | ".join(f"{one:,}" if one else "" for one in (part.rows, read, part.new_tokens))
    return f"| {name} | {counts} | {duration(part.seconds or 0.0)} | {part.gpus} | {hours:.1f} |"


def _ways(plan: Plan) -> Iterator[str]:
    """The same round in other ways."""
    yield "| instead | GPU hours of the round | of which judging |"
    yield "| --- | ---: | ---: |"
    for name, changed in _changes().items():
        other = plan
        if changed is not None:
            other = make_plan(changed, Fleet(gpu("H100"), GPUS, supposed=True))
        parts = next(one.parts for one in other.stages if one.stage == _ROUND)
        hours = {k: p.gpus * (p.seconds or 0.0) / 3600 for k, p in parts.items() if p.rows}
        yield f"| {name} | {sum(hours.values()):.1f} | {hours['judge']:.1f} |"


def _changes() -> Mapping[str, RunConfig | None]:
    config = read_config(REQUEST, {})
    trainer = config.trainer.model_dump()

    def changed(**options: object) -> RunConfig:
        chosen = type(config.trainer).model_validate({**trainer, **options})
        return config.model_copy(update={"trainer": chosen})

    lora = {"lora": {"r": 16}, "precision": "bfloat16"}
    return {
        "as above: three sampled verdicts an answer": None,
        "one token a verdict, by its expected score": changed(judging={"n": 1, "max_tokens": 1}),
        "LoRA": changed(sft={**trainer["sft"], **lora}, dpo={**trainer["dpo"], **lora}),
    }


def _memory() -> Iterator[str]:
    """What a GPU holds in the preference training, by how it is trained."""
    yield "| training of 70B | processes | weights | gradients | optimizer | rest | in all |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    shape = shape_of(ModelRef(location="meta-llama/Llama-2-70b-hf"))
    full = Lesson(
        updates=1,
        batch_size=16,
        micro_batch_size=1,
        sequences=2,
        longest=1061,
        epochs=1,
        reference=True,
        precision="mixed",
        gradient_checkpointing=True,
        lora=None,
        adapter=False,
        lora_modules=None,
        processes=16,
        strategy="fsdp2",
        offload=False,
        checkpoints=0,
    )
    lora = replace(full, lora=16, precision="bfloat16", processes=8)
    for name, lesson in (
        ("all weights, FSDP2", replace(full, processes=8)),
        ("all weights, FSDP2", full),
        ("all weights, FSDP2, 32 rows an update", replace(full, processes=32)),
        ("LoRA, FSDP2", lora),
        ("LoRA, one GPU", replace(lora, processes=1, strategy="ddp")),
    ):
        need = training_need(shape, lesson, gpu("H100"), name)
        known = [need.parts.get(k, 0) for k in ("weights", "gradients", "optimizer")]
        cells = [size(one) for one in (*known, need.needed - sum(known), need.needed)]
        fits = "" if need.fits else " (does not fit 80 GB)"
        yield f"| {name} | {lesson.processes} | {' | '.join(cells)}{fits} |"


def _published() -> Iterator[str]:
    """The cost model beside figures that others published."""
    yield "| published | figure | here |"
    yield "| --- | ---: | ---: |"
    llama = shape_of(ModelRef(location="meta-llama/Llama-3.1-8B"))
    qwen = Shape(28, 3584, 18944, 28, 4, 152064, 32768, attention_biases=3)
    h100 = gpu("H100")
    for name, published, shape, device in (
        ("Llama 3.1 8B, vLLM, one H100", 12_500, llama, h100),
        ("R1-Qwen 7B, vLLM, one A100", 3_360, qwen, gpu("A100-80GB")),
    ):
        rows = 10 * 256
        work = Work("", "generate", None, rows, rows * 220, rows * 200)
        served = spread(shape, device, 1, "bfloat16", 1)
        speed = work.new_tokens / ask_seconds(work, shape, served)
        yield f"| {name}, tokens/s | {published:,} | {round(speed, -2):,.0f} |"
    config = {"batch_rows": 32}
    alone = replace(serving("transformers", config, h100, "bfloat16"), tail=1.0)
    long = Work("", "generate", None, 32, 3200, 32 * 8192)
    seconds = ask_seconds(long, llama, alone)
    yield f"| 8B, transformers, 32 rows of 8,192 tokens, one H100, s | 234.5 | {seconds:.0f} |"


def main() -> None:
    """Print the tables."""
    os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
    print(tables(), end="")


if __name__ == "__main__":
    main()
