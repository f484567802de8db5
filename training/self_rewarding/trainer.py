"""The method, top to bottom: one call of `improve` is one round.

    round 1     human seeds                   -> SFT baseline (IFT), M1 (IFT + EFT)
    round 2...  prompts, candidates, verdicts -> pairs -> DPO from M_t, with M_t as reference

What is slow to import is imported only where there is work to do.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import JsonValue

from harness.checkpoints import locate
from harness.data import datasets
from harness.data.examples import RankedGroup
from harness.judge import Judge, pointwise
from harness.planned import PlannedTraining, Tried
from harness.protocols import Improvement, Prompt, Request, Workspace
from harness.records import ModelRef, StageResult
from training import requirements, tracking
from training.job import Trained
from training.self_rewarding import judging, positives, seeds, selection, trial
from training.self_rewarding.guards import Watch
from training.self_rewarding.plan import plan
from training.self_rewarding.propose import load_template
from training.self_rewarding.round import Round
from training.self_rewarding.settings import SelfRewardingSettings
from training.sft import Example, fine_tune

if TYPE_CHECKING:
    from training.self_rewarding.tokens import Tokenizer


_UNTAUGHT = (
    "It has not been taught judging yet: give EFT data with verdicts and set "
    'seeds.annotator = "data", or give it more seeds.annotation.max_tokens'
)


class SelfRewarding:
    """Trains a model on its own judgement (Yuan et al. 2024)."""

    local: ClassVar[bool] = True
    Config = SelfRewardingSettings

    def __init__(self, config: SelfRewardingSettings) -> None:
        self.config = config
        self.rubric = pointwise(config.rubric)
        load_template(config.proposing.template)
        named = (config.seeds.ift, config.seeds.eft, config.held_out, config.proposing.file)
        for source in filter(None, named):
            datasets.check(source)
        if config.proposing.model is not None:
            locate(config.proposing.model)
        tracking.check((*config.sft.report_to, *config.dpo.report_to))

    def check(self, model: ModelRef, seed: int, iterations: int) -> None:
        """Read the seeds, and find out whether tokenizer, context and launcher will do."""
        requirements.check(self.config.launcher, self.config.sft, self.config.dpo)
        human = seeds.load(self.config.seeds, self.config.held_out, seed)
        if self.config.seeds.annotator == "data":
            seeds.annotations(human.eft)
        self._tokenizer(model)

    def plan(
        self,
        model: ModelRef,
        iterations: int,
        seed: int,
        count: Callable[[Prompt], int],
        earlier: Sequence[StageResult],
    ) -> Sequence[PlannedTraining]:
        """Tell what every round will do."""
        return plan(self.config, self.rubric, model, iterations, seed, count, earlier)

    def examples(self, model: ModelRef, seed: int, rows: int) -> Mapping[str, Sequence[Request]]:
        """Give requests as candidates, verdicts and proposals will be asked for."""
        return trial.examples(self.config, self.rubric, seed, rows)

    def try_training(self, model: ModelRef, seed: int, folder: Path) -> Iterator[Tried]:
        """Do a few steps of every training."""
        return trial.train(self.config, self.rubric, self._tokenizer(model), model, seed, folder)

    def improve(self, model: ModelRef, iteration: int, workspace: Workspace) -> Improvement:
        """Make M1 from human seeds, or M_t+1 from what M_t writes and thinks of it.

        Raises:
            DataError: the seeds cannot be read, or the model's tokenizer or context will not do.
            CollapseError: M_t's judgements cannot be trained on.
        """
        if iteration == 1:
            return self._learn_from_seeds(model, workspace)
        return Round(self.config, self.rubric, model, iteration, workspace).improve()

    def _learn_from_seeds(self, model: ModelRef, workspace: Workspace) -> Improvement:
        """Fine-tune M0 on demonstrations, and on demonstrations and judgements together."""
        settings = self.config.seeds
        with workspace.part("seeds"):
            tokenizer = self._tokenizer(model)
            with workspace.engine.open(model) as loaded:
                tokenizer.check_template(loaded.chat_template)
            human = seeds.load(settings, self.config.held_out, workspace.seed)
            examples = tokenizer.demonstrations(human.ift)
            prompts = {"IFT": list(dict.fromkeys(row.prompt for row in human.ift))}
            verdicts = seeds.annotations(human.eft) if settings.annotator == "data" else {}
        watch = Watch(self.config.guards, "SFT")
        baseline = self._fine_tune(model, examples, watch.model, workspace)
        metrics: dict[str, JsonValue] = {
            "texts": {"rubric": self.rubric.fingerprint, "chat_template": tokenizer.chat_template},
            "seeds": human.metrics,
            "sft": baseline.metrics,
        }
        if settings.eft is not None:
            if settings.annotator == "sft":
                verdicts = self._annotate(human.eft, baseline.model, workspace)
                read = [outcome for _, outcome in verdicts.values()]
                watch.verdicts(len(read), judging.failures(read), _UNTAUGHT)
            taught = seeds.accept(human.eft, verdicts, settings.most_common_share, workspace.seed)
            watch.judgements(len(human.eft), [row.score for row in taught.rows], taught.dropped)
            lessons = taught.rows
            if self.config.judging.read == "one_token":
                lessons = seeds.without_reasons(lessons)
            examples += tokenizer.judgements(lessons, self.rubric)
            prompts["EFT"] = list(dict.fromkeys(row.prompt for row in taught.rows))
            metrics["eft"] = taught.metrics
        if self.config.learn_from == "positives":
            positives.keep(examples, workspace)
        if settings.eft is None:
            # The paper's ablation starts from the SFT baseline: M1 is that, not its twin.
            made = baseline.model.model_copy(update={"name": "M1"})
            metrics["warnings"] = [*watch.warnings]
            return Improvement(made, (), metrics, prompts)
        first = self._fine_tune(model, examples, "M1", workspace)
        kept = selection.select(first, model, first.model, self.rubric, self.config, workspace)
        metrics["training"] = first.metrics | kept.metrics
        metrics["warnings"] = [*watch.warnings, *kept.warnings]
        return Improvement(kept.model, (baseline.model,), metrics, prompts)

    def _tokenizer(self, model: ModelRef) -> "Tokenizer":
        """Load what tokenizes the seeds, and find out before anything slow whether it will do."""
        # By name, because transformers takes seconds to import and a finished run needs none of it.
        load: type[Tokenizer] = import_module("training.self_rewarding.tokens").Tokenizer
        tokenizer = load(model, self.config.chat_template)
        if self.config.judge == "self":
            tokenizer.check_room(self.rubric, self.config.judging.sampling(seed=0).max_tokens)
        if self.config.seeds.eft is not None and self.config.seeds.annotator == "sft":
            tokenizer.check_room(self.rubric, self.config.seeds.annotation.max_tokens)
        return tokenizer

    def _fine_tune(
        self, model: ModelRef, examples: list[Example], name: str, workspace: Workspace
    ) -> Trained:
        workspace.release()
        with workspace.part(f"train {name}"):
            return fine_tune(
                model,
                examples,
                self.config.sft,
                workspace.folder / name,
                name,
                workspace.seed,
                workspace.progress,
                workspace.run,
                self.config.launcher,
            )

    def _annotate(
        self, groups: Sequence[RankedGroup], baseline: ModelRef, workspace: Workspace
    ) -> seeds.Verdicts:
        """Have the SFT baseline write the judgements to learn from."""
        sampling = self.config.seeds.annotation.sampling(workspace.seed)
        with (
            workspace.part("eft"),
            workspace.log("annotations") as log,
            workspace.engine.open(baseline) as model,
        ):
            return seeds.annotate(Judge(self.rubric, model, sampling), groups, log)
