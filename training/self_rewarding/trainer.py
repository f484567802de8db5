"""The method, top to bottom: one call of `improve` is one round.

    round 1     human seeds                   -> SFT baseline (IFT), M1 (IFT + EFT)
    round 2...  prompts, candidates, verdicts -> pairs -> DPO from M_t, with M_t as reference
"""

from pydantic import JsonValue

from harness.errors import CollapseError
from harness.judge import Judge, pointwise
from harness.protocols import Improvement, RowLog, Workspace
from harness.records import ModelRef
from training.job import Trained
from training.self_rewarding import positives, seeds, selection
from training.self_rewarding.round import Round
from training.self_rewarding.settings import SelfRewardingSettings
from training.sft import Example, fine_tune


class SelfRewarding:
    """Trains a model on its own judgement (Yuan et al. 2024)."""

    Config = SelfRewardingSettings

    def __init__(self, config: SelfRewardingSettings) -> None:
        self.config = config
        self.rubric = pointwise(config.rubric)

    def improve(self, model: ModelRef, iteration: int, workspace: Workspace) -> Improvement:
        """Make M1 from human seeds, or M_t+1 from what M_t writes and thinks of it.

        Raises:
            DataError: the seeds cannot be read, or a prompt does not fit the model's context.
            CollapseError: M_t's judgements cannot be trained on.
        """
        if iteration == 1:
            return self._learn_from_seeds(model, workspace)
        return Round(self.config, self.rubric, model, iteration, workspace).improve()

    def _learn_from_seeds(self, model: ModelRef, workspace: Workspace) -> Improvement:
        """Fine-tune M0 on demonstrations, and on demonstrations and judgements together."""
        with workspace.part("seeds"):
            human = seeds.load(self.config.seeds, workspace.seed)
            tokenizer = seeds.Tokenizer(model)
            examples = tokenizer.demonstrations(human.ift)
        baseline = self._fine_tune(model, examples, "SFT", workspace)
        metrics: dict[str, JsonValue] = {"seeds": human.metrics, "sft": baseline.metrics}
        if self.config.seeds.eft is not None:
            with workspace.part("eft"), workspace.log("annotations") as log:
                judgements, metrics["eft"] = self._annotate(human, baseline.model, workspace, log)
                examples += tokenizer.judgements(judgements, self.rubric)
        if self.config.learn_from == "positives":
            positives.keep(examples, workspace)
        first = self._fine_tune(model, examples, "M1", workspace)
        kept, selected = selection.select(
            first, model, first.model, self.rubric, self.config, workspace
        )
        metrics["training"] = first.metrics | selected
        return Improvement(kept, (baseline.model,), metrics)

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
            )

    def _annotate(
        self, human: seeds.Human, baseline: ModelRef, workspace: Workspace, log: RowLog
    ) -> tuple[list[seeds.Judgement], dict[str, JsonValue]]:
        """Write the judgements to learn from, and keep those that agree with the human order."""
        settings = self.config.seeds
        if settings.annotator == "data":
            given = seeds.annotations(human.eft)
        else:
            with workspace.engine.open(baseline) as model:
                judge = Judge(self.rubric, model, settings.annotation.sampling(workspace.seed))
                given = seeds.annotate(judge, human.eft, log)
        kept, metrics = seeds.accept(
            human.eft, given, settings.most_common_share, workspace.seed
        )
        if not kept:
            raise CollapseError(
                f"none of the {len(human.eft)} EFT groups can be learned from "
                f"({metrics['groups_dropped']}): their judgements are unreadable or contradict "
                "the human ranking. Give EFT data with verdicts "
                '(seeds.annotator = "data"), or set seeds.eft to none to see what happens without'
            )
        return kept, metrics
