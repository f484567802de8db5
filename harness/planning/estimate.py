"""What each part of a run asks of a model, and how long that takes by the cost model.

    Estimator(Bid.build(config), Fleet.of("H100", 64)).stages()
        {02-train: {"candidates": Estimate(rows, tokens, seconds), ...}, ...}

`rehearsal.py` says where the rows of measurements come from, and a trainer those of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from harness.checkpoints import locate
from harness.errors import DataError
from harness.forecast import lineage
from harness.overview import OTHER
from harness.planned import Length, PlannedTraining, Planner, Work
from harness.planning import published
from harness.planning.bid import Bid
from harness.planning.evidence import Evidence
from harness.planning.fleet import Fleet
from harness.planning.rehearsal import Absent, Asked, Rehearsed, Sampler, rehearse
from harness.planning.serving import Serving, innermost
from harness.planning.shapes import Shape, shape_of
from harness.planning.speed import (
    ask_seconds,
    load_seconds,
    save_seconds,
    start_seconds,
    train_seconds,
)
from harness.planning.tokens import Counter, counter
from harness.plugins import Built
from harness.protocols import Remote, Trainer, Workload
from harness.records import Cost, ModelRef, Stage
from harness.run import stages

HALF = 0.5
"""Of the tokens that an answer may have, how many M0's has where nothing else is known. Ours."""


@dataclass
class Estimate:
    """A part of a stage before it is corrected by what was measured."""

    kind: str = "idle"
    model: str | None = None
    work: list[Work] = field(default_factory=list)
    cost: Cost | None = None
    """As the run will count it, where the rehearsal told."""
    host: float = 0.0
    """Seconds that the harness itself takes, or a training before its first step."""
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
        template = innermost(self.bid.bench.engine.options).get("chat_template")
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

    def lengths(self, asked: Asked) -> Length:
        """Tell how long completions will be."""
        if asked.stage.iteration == 0 or not self.trainings:
            return Length(HALF * asked.most)
        training = self.trainings[asked.stage.iteration - 1]
        known = training.verdict if asked.verdict else training.answer
        if known is None:
            return Length(HALF * asked.most)
        return known if known.mean < asked.most else Length(asked.most, 1.0)

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
            host=sum(self._start_seconds(one) for one in work),
            speed=self._seconds(work),
        )

    def _start_seconds(self, work: Work) -> float:
        if work.lesson is None:
            return 0.0
        model = work.model or self.config.model
        weights = self.shape.weights(self._stored(model, self.shape))
        return start_seconds(work.lesson, weights, _hashed(model))

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
        asked = [self._as_long(stage, one) if one.kind == "generate" else one for one in work]
        return {
            name: Estimate(
                asked[0].kind, model.name, asked, _cost(asked), 0.0, self._seconds(asked)
            ),
            **self._published_mark(name, calls),
        }

    def _as_long(self, stage: Stage, work: Work) -> Work:
        length = self.lengths(Asked(stage, work.part, "", work.samples > 1, work.most))
        return replace(work, new_tokens=round(work.rows * length.mean), tail=length.tail)

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
        opened, hashed = 1, stage.iteration > 0 or _hashed(self.config.model)
        if stage.kind == "evaluate" and stage.iteration:
            opened = len(self.trainings[stage.iteration - 1].models)
        if stage.kind == "train" and stage.iteration == 1:
            opened = 0
        return opened * load_seconds(self.shape, serving, hashed)

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
            return work.rows * load_seconds(shape, serving, _hashed(work.model))
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


def _hashed(model: ModelRef) -> bool:
    """Whether a model is known by its files, and not as a commit on the hub."""
    return model.location == "none" or Path(locate(model)).is_dir()


def _parts(planned: Sequence[Work]) -> list[str]:
    return list(dict.fromkeys(one.part for one in planned))


def _cost(asked: Sequence[Work]) -> Cost:
    return Cost(
        rows=sum(one.rows for one in asked),
        prompt_tokens=sum(one.prompt_tokens for one in asked),
        new_tokens=sum(one.new_tokens for one in asked),
    )
