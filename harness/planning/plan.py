"""A plan, put together: what each part asks of a model, in seconds, bytes and money.

make_plan(config, Fleet.of("H100", 64))      Plan(stages=..., memory=..., disk=..., judge=...)
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from pydantic import JsonValue

from harness import machine
from harness.config import RunConfig, validate
from harness.errors import HarnessError
from harness.planned import Work
from harness.planning import disk
from harness.planning.bid import Bid
from harness.planning.estimate import HALF, Estimate, Estimator
from harness.planning.evidence import Evidence, from_run
from harness.planning.fleet import Fleet
from harness.planning.memory import loading_need, offload_need, serving_need, training_need
from harness.protocols import Checked, Engine, Remote, Workload
from harness.records import (
    MemoryNeed,
    ModelRef,
    Plan,
    PlannedPart,
    PlannedStage,
    RunRecord,
    Stage,
)
from harness.store import Store


def make_plan(
    config: RunConfig, fleet: Fleet, evidence: Evidence | None = None, folder: Path | None = None
) -> Plan:
    """Plan a run.

    Args:
        config: What is asked.
        fleet: For what hardware.
        evidence: What was measured before.
        folder: Where the run is to be kept, for the room that is left there.

    Raises:
        HarnessError: the request cannot be planned.
    """
    estimator = Estimator(Bid.build(config), fleet, evidence or Evidence())
    return put_together(estimator, estimator.stages(), folder)


def plan_for(
    config: RunConfig, fleet: Fleet, folder: Path, like: Path | None = None, pilot: bool = False
) -> Plan:
    """Plan a run, with what was measured in another, or is measured now.

    Args:
        config: What is asked.
        fleet: For what hardware.
        folder: Where the run is to be kept.
        like: The folder of a run like this one.
        pilot: Whether to measure.

    Raises:
        HarnessError: the request cannot be planned, or not be tried out.
    """
    if pilot:
        # By name: only a pilot loads a model.
        piloted = import_module("harness.planning.pilot").piloted
        made: Plan = piloted(config, replace(fleet, here=True), folder)
        return made
    # A plan touches no network: what is not at hand is assumed, and said.
    os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
    return make_plan(config, fleet, _like(like, config, fleet) if like else None, folder)


def _like(folder: Path, config: RunConfig, fleet: Fleet) -> Evidence:
    """Take an earlier run as evidence; what it should have taken is planned anew.

    On other hardware than is planned for, only its lengths tell something.
    """
    record = Store(folder).record()
    if not fleet.here or record.environment.get("gpus", []) != [*machine.gpus()]:
        found = Evidence(str(folder), stages=record.stages, elsewhere=True)
        return replace(found, model=_other_model(record, config))
    asked = {key: value for key, value in record.request.items() if key != "contents"}
    its_own = validate(RunConfig, asked, f"the request of {folder}")
    seen = Evidence(str(folder), stages=record.stages)
    found = from_run(record, make_plan(its_own, fleet, seen), str(folder))
    return replace(found, model=_other_model(record, config))


def _other_model(record: RunRecord, config: RunConfig) -> str:
    """Name the model of a run where it is another one than is planned for."""
    asked = record.request.get("model")
    model = str(asked.get("location", "")) if isinstance(asked, dict) else ""
    return "" if model == config.model.location else model


def put_together(
    estimator: Estimator, estimates: Mapping[Stage, Mapping[str, Estimate]], folder: Path | None
) -> Plan:
    """Correct the estimates by the evidence, and add memory, disk and the judge."""
    fleet = estimator.fleet
    planned = tuple(
        PlannedStage(
            stage=stage,
            parts={part: _part(estimator, stage, part, one) for part, one in parts.items()},
        )
        for stage, parts in estimates.items()
    )
    request: dict[str, JsonValue] = estimator.bid.request
    gpus = 0 if fleet.device.cpu else fleet.gpus
    if gpus and fleet.as_asked:
        gpus = max(gpus, *(part.gpus for stage in planned for part in stage.parts.values()))
    return Plan(
        request=request,
        hardware=fleet.known_as(gpus),
        gpus=gpus,
        dollars_per_gpu_hour=fleet.dollars,
        stages=planned,
        memory=tuple(_memory(estimator, estimates)),
        disk=disk.kept(
            [
                work
                for parts in estimates.values()
                for estimate in parts.values()
                for work in estimate.work
            ],
            estimator.shape,
            estimator.saved,
        ),
        disk_free=round(machine.free_space(_existing(folder)) * 1e9) if folder else None,
        judge=_judge(estimator, estimates),
        not_ready=_not_ready(estimator.bid.bench.engine.plugin, estimator.config.model)
        if fleet.here
        else "",
        assumptions=tuple(_assumptions(estimator)),
    )


def _part(estimator: Estimator, stage: Stage, part: str, one: Estimate) -> PlannedPart:
    evidence = estimator.evidence
    modelled = None if one.speed is None else one.host + one.speed
    seconds, basis = modelled, "cost model"
    if evidence.alike and (one.kind in ("idle", "load") or not modelled):
        before = evidence.seconds(stage, part)
        if before is not None:
            seconds, basis = before, evidence.source
    elif one.speed is not None and modelled is not None:
        factor = evidence.factor(stage, part, one.kind)
        if factor is not None:
            whole = modelled if evidence.alike else one.speed
            seconds = whole * factor + (0.0 if evidence.alike else one.host)
            basis = evidence.source
    cost = one.cost
    training = next((work for work in one.work if work.lesson), None)
    return PlannedPart(
        kind=one.kind,
        model=one.model,
        rows=training.rows if training else cost.rows if cost else None,
        prompt_tokens=cost.prompt_tokens if cost else None,
        new_tokens=cost.new_tokens if cost else None,
        tokens=training.prompt_tokens if training else None,
        gpus=_gpus(estimator, one),
        modelled=modelled,
        seconds=seconds,
        basis="unknown" if seconds is None else basis,
    )


def _gpus(estimator: Estimator, one: Estimate) -> int:
    """Count the GPUs that work on a part."""
    if estimator.fleet.device.cpu:
        return 0
    lessons = [work.lesson for work in one.work if work.lesson]
    if lessons:
        return lessons[0].processes
    servings = [estimator.serving(work.model) for work in one.work if work.model]
    if one.kind == "load":
        servings.append(estimator.serving(estimator.config.model))
    return max((serving.gpus for serving in servings if serving), default=0)


def _memory(
    estimator: Estimator, estimates: Mapping[Stage, Mapping[str, Estimate]]
) -> Iterator[MemoryNeed]:
    """Memory of every kind of training and of every model that is served, each at its fullest."""
    largest: dict[str, MemoryNeed] = {}
    for parts in estimates.values():
        for part, one in parts.items():
            for need in (need for work in one.work for need in _needs(estimator, part, work)):
                if need.what not in largest or need.needed > largest[need.what].needed:
                    largest[need.what] = need
    yield from largest.values()


def _needs(estimator: Estimator, part: str, work: Work) -> Iterator[MemoryNeed]:
    fleet, lesson = estimator.fleet, work.lesson
    if lesson is not None:
        what = f"{part.partition(' ')[0]} by {'DPO' if lesson.reference else 'SFT'}"
        yield training_need(estimator.shape, lesson, fleet.device, what)
        if fleet.device.cpu:  # where all that a training takes is in the machine's memory
            return
        if lesson.strategy != "zero3":  # which divides a model as it is read
            reading = "reading what is trained"
            yield loading_need(estimator.shape, lesson, fleet.host_memory, reading)
        if lesson.offload:
            aside = f"{what}, what is offloaded"
            yield offload_need(estimator.shape, lesson, fleet.host_memory, aside)
    elif work.model is not None and work.kind != "load":
        yield from _serving_need(estimator, work, work.model)


def _serving_need(estimator: Estimator, work: Work, model: ModelRef) -> Iterator[MemoryNeed]:
    serving, shape = estimator.serving(model), estimator.shape_of(model)
    if serving is None or shape is None:
        return
    longest = round(work.prompt_tokens * work.samples / max(work.rows, 1)) + work.most
    judge = estimator.config.judge
    who = "M1 and later" if model.location == "none" else model.name
    if judge is not None and model.location == judge.model.location:
        who = "the judge"
    yield serving_need(shape, serving, longest, f"serving {who}")


def _judge(estimator: Estimator, estimates: Mapping[Stage, Mapping[str, Estimate]]) -> str:
    """Say what the run's judge will be asked, and what that costs."""
    config, built = estimator.config.judge, estimator.bid.bench.judge
    if config is None or built is None:
        return ""
    marks = [
        one.cost
        for parts in estimates.values()
        for part, one in parts.items()
        if part.endswith("/mark") and one.cost
    ]
    calls = Workload(
        sum(one.rows for one in marks),
        sum(one.prompt_tokens for one in marks),
        sum(one.new_tokens for one in marks),
    )
    asked = f"{config.model.location} is asked about {calls.calls:,} times"
    if isinstance(built.plugin, Remote):
        tokens = f"{calls.input_tokens:,} tokens in, {calls.output_tokens:,} out"
        return f"{asked}: {tokens}, {built.plugin.cost(config.model, calls)}"
    return f"{asked}, here, for no money of its own"


def _assumptions(estimator: Estimator) -> Iterator[str]:
    yield from estimator.notes
    if not estimator.counter.exact:
        yield "the model's tokenizer is not at hand; a token has 4 bytes"
    if missing := estimator.bid.missing:
        yield (
            f"{', '.join(missing)} are taken to be of their published size, because their data are "
            "not at hand"
        )
    if estimator.evidence.model:
        yield (
            f"{estimator.evidence.source} is a run of another model ({estimator.evidence.model}), "
            "whose answers may be of other lengths"
        )
    if estimator.evidence.elsewhere:
        yield (
            f"lengths are those of {estimator.evidence.source}; times are the cost model's, "
            "because it ran on other hardware"
        )
    elif estimator.sampler is None and not estimator.evidence.alike:
        yield (
            f"M0's answers have {HALF:.0%} of the tokens they may have (ours); those of later "
            "models are as long as what they learn from"
        )
    fleet = estimator.fleet
    if fleet.supposed and not fleet.device.cpu:
        serving = fleet.serve(estimator.bid.bench.engine, estimator.shape, estimator.saved)
        yield (
            f"models are served on {serving.gpus} GPUs by the vllm engine, "
            f"{serving.tensor_parallel} a replica"
        )
    processes = [
        work.lesson.processes for one in estimator.trainings for work in one.work if work.lesson
    ]
    if fleet.device.cpu and max(processes, default=1) > fleet.device.processes:
        yield (
            f"{max(processes)} processes of a training share the cores of {fleet.device.processes} "
            "and are no faster than so many"
        )


def _not_ready(engine: Engine, model: ModelRef) -> str:
    """Say what an engine that is to run on this machine does not find here."""
    if isinstance(engine, Checked) and not isinstance(engine, Remote):
        try:
            engine.check(model)
        except HarnessError as error:
            return str(error)
    return ""


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())
