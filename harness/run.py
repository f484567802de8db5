"""The main path: measure, improve, measure again. Read this file first.

A run is a straight line of stages:

    00-evaluate M0 | 01-train -> SFT, M1 | 01-evaluate SFT, M1 | 02-train -> M2 | 02-evaluate ...

Each stage is done once and kept on disk, and so is each row inside it: the same command continues
a run that was interrupted. No stage waits for the marks of another: see `marking`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import chain, product
from typing import Any

from harness import plugins
from harness.audience import Audience, Display, Silent
from harness.config import RunConfig
from harness.data.contamination import overlap
from harness.errors import (
    BudgetExceeded,
    CollapseError,
    ConfigError,
    DataError,
    JudgeUnavailable,
)
from harness.forecast import forecast, lineage
from harness.machine import environment
from harness.marking import Marking
from harness.metering import KeptEngine, Meter
from harness.overview import Position, models_of
from harness.pinned import contents
from harness.plugins import Built
from harness.progress import ProgressFile
from harness.protocols import (
    Checked,
    Elsewhere,
    Engine,
    Evaluation,
    Inquirer,
    LoadedModel,
    Local,
    Remote,
    Report,
    Trainer,
    Workload,
    Workspace,
)
from harness.records import (
    ModelRef,
    Overlap,
    PromptMap,
    RunRecord,
    Stage,
    StageResult,
)
from harness.store import ANSWERED, Store


def run(
    config: RunConfig,
    store: Store,
    display: Display | None = None,
    answers_from: Store | None = None,
) -> RunRecord:
    """Do every stage of a run that is not already done.

    Args:
        config: What is asked.
        store: Where the run is kept.
        display: Who wants to know how far it is.
        answers_from: Another run, whose models and answers are only judged anew.

    Raises:
        HarnessError: with a message for the user; every finished row and stage is kept.
    """
    bench = Bench.build(config)
    display = Audience(display or Silent(), ProgressFile(store))
    bench.keep_books(store)
    store.check(bench.request, answers_from)
    if not store.finished(stages(config.iterations)):
        bench.check_engines(display)
    trainings = [stage for stage in stages(config.iterations) if stage.kind == "train"]
    if bench.trainer and not store.finished(trainings):
        bench.trainer.plugin.check(config.model, config.seed, config.iterations)
    with store.begin(bench.request, bench.environment):
        if answers_from is not None:
            store.adopt(answers_from)
        progress = Progress(bench, store, display)
        store.stopped(None)
        try:
            with progress.marking:
                for stage in stages(config.iterations):
                    progress.perform(stage)
        except (BudgetExceeded, CollapseError, DataError, JudgeUnavailable) as error:
            store.stopped(str(error))
            raise
        finally:
            progress.engine.release()
            store.note_progress(None)
        return store.record()


def stages(iterations: int) -> Sequence[Stage]:
    """List the stages of a run in order."""
    plan = [Stage(iteration=0, kind="evaluate")]
    for iteration in range(1, iterations + 1):
        plan.append(Stage(iteration=iteration, kind="train"))
        plan.append(Stage(iteration=iteration, kind="evaluate"))
    return plan


@dataclass(frozen=True)
class Bench:
    """The plug-ins of a run, all built before the first of them is used."""

    config: RunConfig
    engine: Built[Engine]
    evaluations: tuple[Built[Evaluation], ...]
    trainer: Built[Trainer] | None
    judge: Built[Engine] | None
    reports: tuple[Built[Report], ...]

    @classmethod
    def build(
        cls, config: RunConfig, evaluations: Iterable[Built[Evaluation]] | None = None
    ) -> "Bench":
        """Build every plug-in the run names, or say what is wrong before anything runs.

        Args:
            config: What is asked.
            evaluations: Those of the run, where they have been built.
        """
        if evaluations is None:
            evaluations = (plugins.build(plugins.EVALUATIONS, one) for one in config.evaluations)
        # A plain benchmark need not say how to train, but may, so that iterations can grow.
        trains = config.iterations > 0 or bool(config.trainer.options)
        bench = cls(
            config=config,
            engine=plugins.build(plugins.ENGINES, config.engine),
            evaluations=tuple(evaluations),
            trainer=plugins.build(plugins.TRAINERS, config.trainer) if trains else None,
            judge=plugins.build(plugins.ENGINES, config.judge.engine) if config.judge else None,
            reports=tuple(plugins.build(plugins.REPORTS, choice) for choice in config.reports),
        )
        judged = [e.name for e in bench.evaluations if e.plugin.needs_judge]
        if judged and config.judge is None:
            raise ConfigError(
                f"{', '.join(judged)} needs a judge: add [judge] with an engine and a model, "
                "or leave the evaluation out"
            )
        trains_here = (
            config.iterations and bench.trainer and isinstance(bench.trainer.plugin, Local)
        )
        if trains_here and isinstance(bench.engine.plugin, Remote):
            raise ConfigError(
                f"{config.trainer.name} trains weights that are here, and the engine "
                f"{bench.engine.name} asks models of a server, which has none of them; take an "
                "engine that opens folders, or measure models that are served, with iterations = 0 "
                'or [trainer] name = "checkpoints"'
            )
        return bench

    def keep_books(self, store: Store) -> None:
        """Give engines whose models cost money a place for their accounts."""
        for built in (self.engine, self.judge):
            if built and isinstance(built.plugin, Remote):
                built.plugin.keep_books(store.books)

    def check_engines(self, display: Display) -> None:
        """Find out whether the models can be asked at all, and what a judge that costs will."""
        if isinstance(self.engine.plugin, Checked):
            self.engine.plugin.check(self.config.model)
        judged = [built for built in self.evaluations if built.plugin.needs_judge]
        if not (self.config.judge and self.judge and judged):
            return
        judge = self.config.judge.model
        if isinstance(self.judge.plugin, Remote):
            accept = self.judge.plugin.accept
            models = lineage(self.config.model, self.config.iterations)
            asked = sum(forecast(judged, models, judge, accept).values(), start=Workload())
            self.judge.plugin.check(judge)  # after the rehearsal, which is free
            display.note(
                f"the whole run asks {judge.location} about {asked.calls:,} times: "
                f"{asked.input_tokens:,} tokens in, at most {asked.output_tokens:,} out, "
                f"{self.judge.plugin.cost(judge, asked)}"
            )
        elif isinstance(self.judge.plugin, Checked):
            self.judge.plugin.check(judge)

    @property
    def environment(self) -> dict[str, Any]:
        """What the run's numbers may depend on beside the request."""
        found: dict[str, Any] = environment()
        for built in (self.engine, self.judge):
            if built and isinstance(built.plugin, Elsewhere):
                found["packages"].update(built.plugin.packages())
        return found

    @property
    def request(self) -> dict[str, Any]:
        """What was asked, every default included."""
        request = self.config.model_dump(mode="json")
        request["engine"] = self.engine.options
        request["evaluations"] = [built.options for built in self.evaluations]
        request["reports"] = [built.options for built in self.reports]
        if self.trainer:
            request["trainer"] = self.trainer.options
        if self.judge:
            request["judge"]["engine"] = self.judge.options
        request["contents"] = contents(request)
        return request


@dataclass
class Progress:
    """Where a run stands: the models so far, and the stages that made and measured them."""

    bench: Bench
    store: Store
    display: Display

    def __post_init__(self) -> None:
        self.lineage = [self.bench.config.model]
        self.fresh = tuple(self.lineage)
        """The models to be measured next, baselines first."""
        self.done: list[StageResult] = []
        self.meter = Meter(self.display, self.store.ledger().spent)
        self.engine = KeptEngine(self.bench.engine.plugin, self.meter)
        judge = self.bench.judge, self.bench.config.judge
        self.marking = Marking(*judge, self.store, self.meter, self.engine.release)

    def perform(self, stage: Stage) -> None:
        """Do a stage, or read what it left behind, and move on."""
        result = self.store.stage_result(stage)
        if result is None:
            self.display.stage(self._position(stage))
            do = self._evaluate if stage.kind == "evaluate" else self._train
            with self.meter.stage(partial(self.store.costs_log, stage)):
                result = do(stage)
            self.marking.finish(result)
        elif stage.kind == "evaluate":
            for model, built in product(models_of(result), self.bench.evaluations):
                self.marking.take(stage, model, built)  # which finds them done
            self.marking.settle()
        self.done.append(result)
        models = models_of(result)
        if stage.kind == "train":
            self.fresh = models
            self.lineage.extend(models)
        else:
            self.lineage[-len(models) :] = models  # the same ones, now with their fingerprints

    def _position(self, stage: Stage) -> Position:
        """Say where the run is when a stage begins; what a trainer will do, only it knows."""
        owed = [
            f"{model.name}/{built.name}"
            for model, built in product(self.fresh, self.bench.evaluations)
            if stage.kind == "evaluate"
            and self.store.evaluation_result(stage, model.name, built.name) is None
        ]
        return Position(
            plan=stages(self.bench.config.iterations),
            done=tuple(map(self._as_it_stands, self.done)),
            stage=stage,
            parts=(*owed, *(f"{part}/mark" for part in owed)),
            costs=self.store.costs(stage),
        )

    def _as_it_stands(self, result: StageResult) -> StageResult:
        """Say of a stage what it took, and whether it is finished or has marks to come."""
        costs = self.store.costs(result.stage)
        unfinished = result.model_copy(update={"costs": costs, "finished": False})
        return self.store.stage_result(result.stage) or unfinished

    def _evaluate(self, stage: Stage) -> StageResult:
        """Measure the models that the stage before left behind, baselines first."""
        known = [self._answer(stage, model) for model in self.fresh]
        self.marking.settle()
        if stage.iteration == self.bench.config.iterations:
            self.marking.wait()  # nothing else is to come
        return StageResult(
            stage=stage,
            model=known[-1],
            comparators=tuple(known[:-1]),
            overlap=self._overlap(stage),
        )

    def _overlap(self, stage: Stage) -> dict[str, Overlap]:
        """Compare what was trained on with what evaluations ask; neither sees the other."""
        trained = [s for s in stages(stage.iteration) if s.kind == "train"]
        prompts = list(chain.from_iterable(self.store.prompts(trained).values()))
        return {
            built.name: overlap(built.plugin.question_texts(), prompts)
            for built in self.bench.evaluations
            if prompts and isinstance(built.plugin, Inquirer)
        }

    def _answer(self, stage: Stage, model: ModelRef) -> ModelRef:
        """Do all that needs the model, what is judged first; return its reference, now exact."""
        asked = sorted(self.bench.evaluations, key=lambda built: not built.plugin.needs_judge)
        owed = [
            built
            for built in asked
            if self.store.evaluation_result(stage, model.name, built.name) is None
            and not self.store.has_answers(stage, model.name, built.name)
        ]
        known = self.store.answered(stage, model.name)
        if known is None or owed:
            with self.engine.open(model) as loaded:
                known = loaded.ref
                for built in asked:
                    if built in owed:
                        self._ask(stage, loaded, built)
                    self.marking.take(stage, known, built)
            self.store.keep_answered(stage, known)
        else:
            for built in asked:
                self.marking.take(stage, known, built)
        return known

    def _ask(self, stage: Stage, model: LoadedModel, built: Built[Evaluation]) -> None:
        """Have a model answer what an evaluation asks."""
        with (
            self.store.evaluation_log(stage, model.ref.name, built.name) as log,
            self.meter.part(f"{model.ref.name}/{built.name}"),
        ):
            built.plugin.answer(model, log)
            if ANSWERED not in log:
                log.append(ANSWERED, len(log))

    def _train(self, stage: Stage) -> StageResult:
        """Let the trainer make the next model."""
        assert self.bench.trainer is not None, "a run with iterations builds its trainer"
        trained = [s for s in stages(stage.iteration - 1) if s.kind == "train"]
        workspace = Workspace(
            folder=self.store.stage_folder(stage),
            engine=self.engine,
            seed=self.bench.config.seed,
            lineage=tuple(self.lineage),
            earlier=tuple(self.store.stage_folder(s) for s in trained),
            run=self.store.folder.absolute().name,
            part=self.meter.part,
            progress=self.meter.progress,
            tied=self.meter.tied,
            beside=self.meter.beside,
            release=self.engine.release,
        )
        made = self.bench.trainer.plugin.improve(self.lineage[-1], stage.iteration, workspace)
        self.store.keep_prompts(stage, made.prompts)
        with self.meter.part("prompt map"):
            found = self._prompt_map([*trained, stage])
        return StageResult(
            stage=stage,
            model=made.model,
            comparators=made.comparators,
            metrics=made.metrics,
            prompt_map=found,
        )

    def _prompt_map(self, trained: Sequence[Stage]) -> PromptMap | None:
        """Show where all prompts trained on so far lie."""
        # By name, because scikit-learn takes a second to import.
        prompt_map: Callable[[Mapping[str, Sequence[str]], int], PromptMap | None]
        prompt_map = import_module("harness.data.prompt_map").prompt_map
        return prompt_map(self.store.prompts(trained), self.bench.config.seed)
