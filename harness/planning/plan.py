"""A plan, put together: what each part asks of a model, in seconds, bytes and money.

    make_plan(config, Fleet.of("H100", 64))      Plan(stages=..., memory=..., disk=..., judge=...)

`rehearsal.py` says where the rows of measurements come from, and a trainer those of its own.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from harness import machine, plugins
from harness.config import RunConfig, validate
from harness.errors import DataError
from harness.forecast import lineage
from harness.overview import OTHER
from harness.pinned import contents
from harness.planning import disk, published
from harness.planning.evidence import Evidence, from_run
from harness.planning.fleet import Fleet
from harness.planning.memory import serving_need, training_need
from harness.planning.rehearsal import Absent, Asked, Rehearsed, Sampler, rehearse
from harness.planning.serving import Serving
from harness.planning.shapes import Shape, shape_of
from harness.planning.speed import ask_seconds, load_seconds, save_seconds, train_seconds
from harness.planning.tokens import Counter, counter
from harness.plugins import Built
from harness.protocols import (
    Evaluation,
    PlannedTraining,
    Planner,
    Remote,
    Trainer,
    Work,
    Workload,
)
from harness.records import (
    Cost,
    MemoryNeed,
    ModelRef,
    Plan,
    PlannedPart,
    PlannedStage,
    Stage,
)
from harness.run import Bench, stages
from harness.store import Store

_HALF = 0.5
"""Of the tokens that an answer may have, how many M0's has where nothing else is known. Ours."""


@dataclass(frozen=True)
class Bid:
    """A request, built as far as its data are at hand."""

    bench: Bench
    missing: Mapping[str, str]
    """Evaluations whose data are not here, by label, with the reason."""
    request: dict[str, Any]

    @classmethod
    def build(cls, config: RunConfig) -> "Bid":
        """Build what can be built.

        Raises:
            HarnessError: the request cannot be understood.
        """
        built: list[Built[Evaluation]] = []
        options: list[dict[str, Any]] = []
        missing: dict[str, str] = {}
        for choice in config.evaluations:
            options.append(plugins.options(plugins.EVALUATIONS, choice))
            try:
                built.append(plugins.build(plugins.EVALUATIONS, choice))
            except DataError as error:
                missing[choice.called] = str(error).partition(";")[0]
        there = {one.name for one in built}
        kept = tuple(choice for choice in config.evaluations if choice.called in there)
        bench = Bench.build(config.model_copy(update={"evaluations": kept}))
        request = {**bench.request, "evaluations": options}
        request.pop("contents", None)
        return cls(bench, missing, {**request, "contents": contents(request)})

    def without(self, label: str, why: str) -> "Bid":
        """The same without an evaluation whose data are not here."""
        kept = tuple(one for one in self.bench.evaluations if one.name != label)
        missing = {**self.missing, label: why.partition(";")[0]}
        return replace(self, bench=replace(self.bench, evaluations=kept), missing=missing)


@dataclass
class Estimate:
    """A part of a stage before it is corrected by what was measured."""

    kind: str = "idle"
    model: str | None = None
    work: list[Work] = field(default_factory=list)
    cost: Cost | None = None
    """As the run will count it, where the rehearsal told."""
    host: float = 0.0
    """Seconds that the harness itself takes."""
    speed: float | None = 0.0
    """Seconds of models, by the cost model; None where nobody knows."""


@dataclass
class Estimator:
    """Estimates the parts of one request on one fleet."""

    bid: Bid
    fleet: Fleet
    evidence: Evidence = field(default_factory=Evidence)
    sampler: Sampler | None = None

    def __post_init__(self) -> None:
        self.config = self.bid.bench.config
        template = self.bid.bench.engine.options.get("chat_template")
        self.counter: Counter = counter(self.config.model, Path(template) if template else None)
        self.shape: Shape = shape_of(self.config.model)
        self.notes: list[str] = []
        self.mute = False
        """Whether the trainer does not tell what it will do."""
        self.trainings = self._trainings()
        self.saved = self.trainings[0].dtype if self.trainings else self.shape.dtype

    def _trainings(self) -> Sequence[PlannedTraining]:
        trainer: Built[Trainer] | None = self.bid.bench.trainer
        count = self.config.iterations
        if trainer is None or not count:
            return ()
        if not isinstance(trainer.plugin, Planner):
            self.mute = True
            self.notes.append(f"the trainer {trainer.name} does not tell what it will do")
            models = lineage(self.config.model, count)[1:]
            return [
                PlannedTraining(
                    tuple(m for m in models if m.name == f"M{t}" or (t == 1 and m.name == "SFT")),
                    (),
                    {},
                    self.shape.dtype,
                    None,
                    None,
                )
                for t in range(1, count + 1)
            ]
        earlier = [one for one in self.evidence.stages if one.stage.kind == "train"]
        planned = trainer.plugin.plan(
            self.config.model, count, self.config.seed, self.counter.count, earlier
        )
        for one in planned:
            self.notes += [note for note in one.assumptions if note not in self.notes]
        return planned

    # ------------------------------------------------------------ lengths

    def lengths(self, asked: Asked) -> float:
        """Tell how long a completion will be."""
        if asked.stage.iteration == 0 or not self.trainings:
            return _HALF * asked.most
        training = self.trainings[asked.stage.iteration - 1]
        known = training.verdict_tokens if asked.verdict else training.answer_tokens
        return _HALF * asked.most if known is None else min(known, asked.most)

    # ------------------------------------------------------------ parts

    def stages(self) -> dict[Stage, dict[str, Estimate]]:
        """Estimate every part of every stage."""
        rehearsed = self._rehearse()
        found: dict[Stage, dict[str, Estimate]] = {}
        for stage in stages(self.config.iterations):
            parts = {
                part: self._rehearsed(stage, part, one) for part, one in rehearsed[stage].items()
            }
            if stage.kind == "train":
                planned = self.trainings[stage.iteration - 1].work
                first = {part: self._planned(stage, part, planned) for part in _parts(planned)}
                if self.mute:
                    first = {"training": Estimate("train", speed=None)}
                parts = first | parts
            else:
                parts |= self._missing(stage)
            loads = self._loads(stage)
            parts[OTHER] = replace(parts.get(OTHER, Estimate()), kind="load", speed=loads)
            found[stage] = parts
        return found

    def _rehearse(self) -> dict[Stage, dict[str, Rehearsed]]:
        """Rehearse; what turns out not to be at hand is left out and said."""
        while True:
            try:
                return rehearse(
                    self.bid.bench, self.trainings, self.counter, self.lengths, self.sampler
                )
            except Absent as error:
                if not error.evaluation:
                    raise
                self.bid = self.bid.without(error.evaluation, str(error))

    def _rehearsed(self, stage: Stage, part: str, one: Rehearsed) -> Estimate:
        asked, cost = self._as_before(stage, part, list(one.asked), one.cost)
        names = [work.model.name for work in asked if work.model]
        return Estimate(
            kind=asked[0].kind if asked else "idle",
            model=names[0] if names else None,
            work=asked,
            cost=cost,
            host=one.cost.seconds,
            speed=self._seconds(asked),
        )

    def _as_before(
        self, stage: Stage, part: str, asked: list[Work], cost: Cost
    ) -> tuple[list[Work], Cost]:
        """Take tokens a row from an earlier run, which knows how long answers were."""
        before = self.evidence.cost(stage, part)
        if before is None or not before.rows or not cost.rows or not asked:
            return asked, cost
        new = before.new_tokens * cost.rows / before.rows
        prompts = before.prompt_tokens * cost.rows / before.rows
        longer = new / cost.new_tokens if cost.new_tokens else 1.0
        wider = prompts / cost.prompt_tokens if cost.prompt_tokens else 1.0
        scaled = [
            replace(
                work,
                new_tokens=round(work.new_tokens * longer),
                prompt_tokens=round(work.prompt_tokens * wider),
            )
            for work in asked
        ]
        return scaled, cost.model_copy(
            update={"new_tokens": round(new), "prompt_tokens": round(prompts)}
        )

    def _planned(self, stage: Stage, part: str, planned: Sequence[Work]) -> Estimate:
        work = [self._launched(one) for one in planned if one.part == part]
        names = [one.model.name for one in work if one.model]
        asking = [one for one in work if one.kind == "generate"]
        cost = Cost(
            rows=sum(one.rows for one in asking),
            prompt_tokens=sum(one.prompt_tokens for one in asking),
            new_tokens=sum(one.new_tokens for one in asking),
        )
        return Estimate(
            kind=work[0].kind,
            model=names[0] if names else None,
            work=work,
            cost=cost if asking else None,
            speed=self._seconds(work),
        )

    def _launched(self, work: Work) -> Work:
        if work.lesson is None:
            return work
        return replace(work, lesson=self.fleet.launch(work.lesson, self.shape))

    def _missing(self, stage: Stage) -> dict[str, Estimate]:
        """Estimate evaluations whose data are not here by their published sizes."""
        models = self.trainings[stage.iteration - 1].models if stage.iteration else ()
        found: dict[str, Estimate] = {}
        for label in self.bid.missing:
            for model in models or (self.config.model,):
                name = f"{model.name}/{label}"
                found |= self._published(stage, label, name, model)
        return found

    def _published(
        self, stage: Stage, label: str, name: str, model: ModelRef
    ) -> dict[str, Estimate]:
        choice = next(
            one for one in self.bid.request["evaluations"] if one.get("label", one["name"]) == label
        )
        work, calls = published.sizes(choice, name, model, self._rank(stage))
        if work is None:
            return {name: Estimate(speed=None)}
        asked = [
            replace(one, new_tokens=round(one.rows * self._published_length(stage, one)))
            if one.kind == "generate"
            else one
            for one in work
        ]
        return {
            name: Estimate(
                asked[0].kind, model.name, asked, _cost(asked), 0.0, self._seconds(asked)
            ),
            **self._published_mark(name, calls),
        }

    def _published_length(self, stage: Stage, work: Work) -> float:
        return self.lengths(Asked(stage, work.part, "", work.samples > 1, work.most))

    def _published_mark(self, name: str, calls: Workload) -> dict[str, Estimate]:
        judge = self.config.judge
        if judge is None or not calls.calls:
            return {}
        work = Work(
            f"{name}/mark",
            "generate",
            judge.model,
            calls.calls,
            calls.input_tokens,
            calls.output_tokens,
        )
        return {
            f"{name}/mark": Estimate(
                "generate", judge.model.name, [work], _cost([work]), 0.0, self._seconds([work])
            )
        }

    def _rank(self, stage: Stage) -> int:
        """How many models are measured before those of a stage."""
        return sum(len(one.models) for one in self.trainings[: max(stage.iteration - 1, 0)]) + (
            stage.iteration > 0
        )

    def _loads(self, stage: Stage) -> float | None:
        """Seconds in which models are opened outside of any part."""
        serving = self.serving(self.config.model)
        if serving is None:
            return 0.0
        opened = 1
        if stage.kind == "evaluate" and stage.iteration:
            opened = len(self.trainings[stage.iteration - 1].models)
        if stage.kind == "train" and stage.iteration == 1:
            opened = 0
        return opened * load_seconds(self.shape, serving)

    # ------------------------------------------------------------ seconds

    def _seconds(self, asked: Sequence[Work]) -> float | None:
        total = 0.0
        for work in asked:
            seconds = self.seconds_of(work)
            if seconds is None:
                return None
            total += seconds
        return total

    def seconds_of(self, work: Work) -> float | None:
        """Seconds of a part's work by the cost model; None on somebody else's server."""
        if work.kind == "train":
            assert work.lesson is not None, "a training has a lesson"
            steps = train_seconds(work, self.shape, self.fleet.device)
            return steps + save_seconds(work.lesson, self.shape, self.saved)
        if work.model is None:
            return 0.0
        serving, shape = self.serving(work.model), self.shape_of(work.model)
        if serving is None or shape is None:
            return None
        if work.kind == "load":
            return work.rows * load_seconds(shape, serving)
        return ask_seconds(work, shape, serving)

    def shape_of(self, model: ModelRef) -> Shape | None:
        """Find the shape of a model of the run, of its judge, or of another that it names."""
        if model.location in ("none", self.config.model.location):
            return self.shape
        return _shape(model.location)

    def serving(self, model: ModelRef) -> Serving | None:
        """Say how a model is served; None where that is somebody else's server."""
        judge = self.config.judge
        external = judge is not None and model.location == judge.model.location
        engine = self.bid.bench.judge if external else self.bid.bench.engine
        shape = self.shape_of(model)
        if engine is None or shape is None or isinstance(engine.plugin, Remote):
            return None
        return self.fleet.serve(engine, shape, self._stored(model, shape))

    def _stored(self, model: ModelRef, shape: Shape) -> str:
        """The type that an engine's `auto` takes: what the weights are stored in."""
        trained = model.location == "none"
        return self.saved if trained else shape.dtype


@cache
def _shape(location: str) -> Shape | None:
    try:
        return shape_of(ModelRef(location=location))
    except DataError:
        return None


def _parts(planned: Sequence[Work]) -> list[str]:
    return list(dict.fromkeys(one.part for one in planned))


def _cost(asked: Sequence[Work]) -> Cost:
    return Cost(
        rows=sum(one.rows for one in asked),
        prompt_tokens=sum(one.prompt_tokens for one in asked),
        new_tokens=sum(one.new_tokens for one in asked),
    )


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
        made: Plan = import_module("harness.planning.pilot").piloted(config, fleet, folder)
        return made
    # A plan touches no network: what is not at hand is assumed, and said.
    os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
    return make_plan(config, fleet, _like(like, fleet) if like else None, folder)


def _like(folder: Path, fleet: Fleet) -> Evidence:
    """Take an earlier run as evidence; what it should have taken is planned anew."""
    record = Store(folder).record()
    asked = {key: value for key, value in record.request.items() if key != "contents"}
    config = validate(RunConfig, asked, f"the request of {folder}")
    seen = Evidence(str(folder), stages=record.stages)
    return from_run(record, make_plan(config, fleet, seen), str(folder))


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
    """Memory of every kind of training and of every model that is served, each once."""
    seen: dict[tuple[str, int], MemoryNeed] = {}
    for parts in estimates.values():
        for part, one in parts.items():
            for work in one.work:
                need = _need(estimator, part, work)
                if need is not None:
                    key = (need.what, need.needed)
                    seen.setdefault(key, need)
    largest: dict[str, MemoryNeed] = {}
    for need in seen.values():
        if need.what not in largest or need.needed > largest[need.what].needed:
            largest[need.what] = need
    yield from largest.values()


def _need(estimator: Estimator, part: str, work: Work) -> MemoryNeed | None:
    if work.lesson is not None:
        what = f"{part.partition(' ')[0]} by {'DPO' if work.lesson.reference else 'SFT'}"
        return training_need(estimator.shape, work.lesson, estimator.fleet.device, what)
    if work.model is None or work.kind == "load":
        return None
    serving, shape = estimator.serving(work.model), estimator.shape_of(work.model)
    if serving is None or shape is None:
        return None
    longest = round(work.prompt_tokens * work.samples / max(work.rows, 1)) + work.most
    judge = estimator.config.judge
    external = judge is not None and work.model.location == judge.model.location
    trained = "M1 and later" if work.model.location == "none" else work.model.name
    return serving_need(
        shape,
        serving,
        longest,
        f"serving the {'judge' if external else trained}".replace("the M", "M"),
    )


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
    if estimator.sampler is None and not estimator.evidence.alike:
        yield (
            f"M0's answers have {_HALF:.0%} of the tokens they may have (ours); those of later "
            "models are as long as what they learn from"
        )
    fleet = estimator.fleet
    if fleet.supposed and not fleet.device.cpu:
        serving = fleet.serve(estimator.bid.bench.engine, estimator.shape, estimator.saved)
        yield (
            f"models are served on {serving.gpus} GPUs by the vllm engine, "
            f"{serving.tensor_parallel} a replica"
        )


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())
