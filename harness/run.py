"""The main path: measure, improve, measure again. Read this file first.

A run is a straight line of stages:

    00-evaluate M0 | 01-train -> SFT, M1 | 01-evaluate SFT, M1 | 02-train -> M2 | 02-evaluate ...

Each stage is done once and kept on disk, and so is each row inside it: the same command continues
a run that was interrupted.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import chain, product
from typing import Any

from harness import plugins
from harness.config import RunConfig
from harness.data.contamination import overlap
from harness.errors import (
    BudgetExceeded,
    CollapseError,
    ConfigError,
    DataError,
    JudgeUnavailable,
    PluginError,
)
from harness.external_judge import ExternalJudge, NoJudge
from harness.forecast import forecast, lineage
from harness.machine import environment
from harness.metering import Audience, Display, KeptEngine, Meter, MeteredModel, Silent
from harness.overview import Position
from harness.pinned import contents
from harness.plugins import Built
from harness.progress import ProgressFile
from harness.protocols import (
    Checked,
    Engine,
    Evaluation,
    Inquirer,
    LoadedModel,
    Local,
    Publisher,
    Remote,
    Report,
    Trainer,
    Workload,
    Workspace,
)
from harness.records import (
    EvalResult,
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
    with store.begin(bench.request, environment()):
        if answers_from is not None:
            store.adopt(answers_from)
        progress = Progress(bench, store, display)
        store.stopped(None)
        try:
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
    def build(cls, config: RunConfig) -> "Bench":
        """Build every plug-in the run names, or say what is wrong before anything runs."""
        # A plain benchmark need not say how to train, but may, so that iterations can grow.
        trains = config.iterations > 0 or bool(config.trainer.options)
        bench = cls(
            config=config,
            engine=plugins.build(plugins.ENGINES, config.engine),
            evaluations=tuple(plugins.build(plugins.EVALUATIONS, c) for c in config.evaluations),
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
    """Where a run stands: the models so far, and what each evaluation found about them."""

    bench: Bench
    store: Store
    display: Display

    def __post_init__(self) -> None:
        self.lineage = [self.bench.config.model]
        self.fresh = tuple(self.lineage)
        """The models to be measured next, baselines first."""
        self.done: list[StageResult] = []
        self.found: dict[str, list[EvalResult]] = {e.name: [] for e in self.bench.evaluations}
        """By evaluation, the results so far, oldest model first."""
        self.meter = Meter(self.display, self.store.ledger().spent)
        self.engine = KeptEngine(self.bench.engine.plugin, self.meter)

    def perform(self, stage: Stage) -> None:
        """Do a stage, or read what it left behind, and move on."""
        result = self.store.stage_result(stage)
        if result is None:
            self.display.stage(self._position(stage))
            do = self._evaluate if stage.kind == "evaluate" else self._train
            with self.meter.stage(self.store.costs_log(stage)):
                result = do(stage)
            result = result.model_copy(update={"costs": self.store.costs(stage)})
            self.store.finish_stage(result)
        self.done.append(result)
        models = (*result.comparators, result.model)
        if stage.kind == "train":
            self.fresh = models
            self.lineage.extend(models)
        else:
            self.lineage[-len(models) :] = models  # the same ones, now with their fingerprints
            for model, built in product(models, self.bench.evaluations):
                self._remember(stage, model, built.name)

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
            done=tuple(self.done),
            stage=stage,
            parts=(*owed, *(f"{part}/mark" for part in owed)),
            costs=self.store.costs(stage),
        )

    def _evaluate(self, stage: Stage) -> StageResult:
        """Measure the models that the stage before left behind, baselines first."""
        known = [self._answer(stage, model) for model in self.fresh]
        owed = [
            built
            for model, built in product(known, self.bench.evaluations)
            if self.store.evaluation_result(stage, model.name, built.name) is None
        ]
        with self._judge(owed) as judge:
            for model, built in product(known, self.bench.evaluations):
                self._mark(stage, model, built, judge)
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
        """Do all that needs the model; return its reference, now exact."""
        with self.engine.open(model) as loaded:
            for built in self.bench.evaluations:
                if self.store.evaluation_result(stage, model.name, built.name):
                    continue
                with (
                    self.store.evaluation_log(stage, model.name, built.name) as log,
                    self.meter.part(f"{model.name}/{built.name}"),
                ):
                    built.plugin.answer(loaded, log)
                    if ANSWERED not in log:
                        log.append(ANSWERED, len(log))
            return loaded.ref

    def _mark(
        self, stage: Stage, model: ModelRef, built: Built[Evaluation], judge: LoadedModel | None
    ) -> None:
        """Do all that needs only the judge."""
        if self.store.evaluation_result(stage, model.name, built.name) is None:
            with (
                self.store.evaluation_log(stage, model.name, built.name) as log,
                self.meter.part(f"{model.name}/{built.name}/mark"),
            ):
                external = self._external(judge, f"{built.name} of {model.name}")
                result = built.plugin.mark(model, log, external, self.found[built.name])
            if (result.evaluation, result.model) != (built.options["name"], model.name):
                raise PluginError(
                    f"{built.name} of {model.name} returned a result for {result.evaluation} of "
                    f"{result.model}; its EvalResult must carry the names it was asked with"
                )
            result = result.model_copy(update={"evaluation": built.name})
            if isinstance(built.plugin, Publisher):
                with self.store.evaluation_log(stage, model.name, built.name) as log:
                    self.store.publish(result, built.plugin.publish(model, result, log))
            self.store.finish_evaluation(stage, result)
        self._remember(stage, model, built.name)

    def _remember(self, stage: Stage, model: ModelRef, evaluation: str) -> None:
        """Take up what was found about a model, for the models after it."""
        result = self.store.evaluation_result(stage, model.name, evaluation)
        if result is not None and all(r.model != model.name for r in self.found[evaluation]):
            self.found[evaluation].append(result)

    def _external(self, judge: LoadedModel | None, purpose: str) -> LoadedModel:
        """Guard the judge while it is asked for one purpose."""
        config = self.bench.config.judge
        if judge is None or config is None:
            return NoJudge(purpose)
        return ExternalJudge(judge, config.guards.unreadable, purpose)

    @contextmanager
    def _judge(self, owed: Sequence[Built[Evaluation]]) -> Iterator[LoadedModel | None]:
        """Open the judge once for all that is owed; beside the model only if it is light."""
        config, engine = self.bench.config.judge, self.bench.judge
        if config is None or engine is None or not any(b.plugin.needs_judge for b in owed):
            yield None
            return
        if not engine.plugin.light:
            self.engine.release()
        with engine.plugin.open(config.model) as judge:
            yield MeteredModel(judge, self.meter)

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
