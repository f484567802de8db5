"""One round of self-reward: M_t writes prompts and answers, judges them, and becomes M_t+1."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from harness.data.examples import PromptRow
from harness.judge import Judge, Rubric
from harness.protocols import Improvement, LoadedModel, Workspace
from harness.records import ModelRef, Outcome
from training.dpo import PreferencePair, prefer
from training.job import Trained
from training.self_rewarding import judging, positives, selection
from training.self_rewarding.guards import Watch
from training.self_rewarding.pairs import Candidate, Pairing, choose_pairs
from training.self_rewarding.prompts import new_prompts
from training.self_rewarding.settings import SelfRewardingSettings


@dataclass(frozen=True)
class Round:
    """Round t+1, which `improve` does from prompts to weights."""

    config: SelfRewardingSettings
    rubric: Rubric
    model: ModelRef
    """M_t."""
    iteration: int
    workspace: Workspace

    @property
    def name(self) -> str:
        """M_t+1's."""
        return f"M{self.iteration}"

    @property
    def seed(self) -> int:
        """Another one each round and run: the same prompt must not draw the same answers again."""
        return 1000 * self.workspace.seed + self.iteration

    def improve(self) -> Improvement:
        """Propose, answer, judge, pair, learn."""
        watch = Watch(self.config.guards, self.model.name)
        prompts, proposed = new_prompts(self.config, self.model, self.seed, self.workspace)
        with self.workspace.engine.open(self.model) as model:
            candidates = self._answer(model, prompts)
            written = [c for c in candidates.values() if c.failure is None]
            watch.ended(len(written), sum(c.ended for c in written))
            given = self._judge(model, prompts, candidates)
        asked = judging.asked(candidates, given)
        watch.verdicts(len(asked), judging.failures(asked))
        groups = judging.by_prompt(prompts, candidates, given)
        with self.workspace.part("pairs"):
            pairing = choose_pairs(groups)
            self.workspace.tied(pairing.without.get("tie", 0))
        metrics: dict[str, JsonValue] = {
            "texts": {"rubric": self.rubric.fingerprint},
            "prompts": proposed,
            "candidates": judging.candidate_metrics(candidates),
            "judgements": judging.verdict_metrics(candidates, given),
            "pairs": pairing.metrics(),
        }
        self.workspace.release()
        if self.config.learn_from == "preferences":
            watch.pairs(len(groups), len(pairing.pairs), pairing.without)
            start = self.model
            trained = self._prefer(pairing)
        else:
            start = self.workspace.lineage[0]
            perfect = positives.perfect(groups)
            metrics["positives"] = len(perfect)
            watch.positives(len(perfect))
            trained = positives.imitate(perfect, start, self.name, self.config, self.workspace)
        kept = selection.select(
            trained, start, self.model, self.rubric, self.config, self.workspace
        )
        metrics["training"] = trained.metrics | kept.metrics
        metrics["warnings"] = [*watch.warnings, *kept.warnings]
        sets = {f"AIFT({self.model.name})": [row.prompt for row in prompts]}
        return Improvement(kept.model, metrics=metrics, prompts=sets)

    def _answer(self, model: LoadedModel, prompts: Sequence[PromptRow]) -> dict[str, Candidate]:
        sampling = self.config.candidates.sampling(self.seed)
        with self.workspace.part("candidates"), self.workspace.log("candidates") as log:
            return judging.write_candidates(model, prompts, sampling, log)

    def _judge(
        self,
        model: LoadedModel,
        prompts: Sequence[PromptRow],
        candidates: Mapping[str, Candidate],
    ) -> dict[str, tuple[Outcome, ...]]:
        if self.config.judge == "random":
            return judging.judge_by_chance(candidates, self.config.judging.n, self.seed)
        judge = Judge(self.rubric, model, self.config.judging.sampling(self.seed))
        with self.workspace.part("judge"), self.workspace.log("verdicts") as log:
            return judging.judge_candidates(judge, prompts, candidates, log)

    def _prefer(self, pairing: Pairing) -> Trained:
        """Learn from the pairs by DPO, with M_t as start and as reference."""
        pairs = [
            PreferencePair(p.chosen.prompt_ids, p.chosen.token_ids, p.rejected.token_ids)
            for p in pairing.pairs
        ]
        with self.workspace.part(f"train {self.name}"):
            return prefer(
                self.model,
                pairs,
                self.config.dpo,
                self.workspace.folder / self.name,
                self.name,
                self.workspace.seed,
                self.workspace.progress,
                self.workspace.run,
                self.config.launcher,
            )
