"""Stop a run whose judgements can no longer be trained on, with a message that says why.

    02-train: M1 cannot judge: 63% of its 900 verdicts could not be read (no_score 560, truncated
    7); at most 10% may be ...

What cannot be trained on at all stops the run always; the rest only warns where that is asked.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from harness.errors import CollapseError
from training.self_rewarding.settings import Guards

TEACH = "Teach it judging (more EFT rows, another rubric) or give it more max_tokens"
GO_ON = 'to go on all the same, set trainer.guards.on_collapse = "warn"'


@dataclass
class Watch:
    """Checks the shares of a round; collects warnings where it is told not to stop."""

    guards: Guards
    model: str
    warnings: list[str] = field(default_factory=list)

    def judgements(
        self, groups: int, scores: Collection[float], dropped: Mapping[str, int]
    ) -> None:
        """Check that judging can be learned; to have nothing to learn from cannot be waived."""
        if not scores:
            raise CollapseError(
                f"none of the {groups} EFT groups can be learned from ({_causes(dropped)}): the "
                f"verdicts are unreadable or contradict the human ranking. If {self.model} cannot "
                'judge untaught, give EFT data with verdicts and set seeds.annotator = "data"; or '
                "leave out seeds.eft to see what happens without"
            )
        if len(set(scores)) == 1:
            self._say(
                f"all {len(scores)} judgements to learn from give the same score, "
                f"{min(scores):g}: they teach the format and nothing about quality. Use more EFT "
                "groups or another rubric"
            )

    def verdicts(self, asked: int, failures: Mapping[str, int], remedy: str = TEACH) -> None:
        """Check how many verdicts could be read."""
        failed = sum(failures.values())
        if asked >= self.guards.least_verdicts and failed > self.guards.parse_failures * asked:
            self._say(
                f"{self.model} cannot judge: {failed / asked:.0%} of its {asked} verdicts could "
                f"not be read ({_causes(failures)}); at most {self.guards.parse_failures:.0%} may "
                f"be. {remedy}"
            )

    def ended(self, asked: int, ended: int) -> None:
        """Check how many candidates ended by themselves."""
        if asked >= self.guards.least_verdicts and ended < self.guards.ended * asked:
            self._say(
                f"{self.model} does not end its answers: {ended} of {asked} candidates ended by "
                f"themselves; at least {self.guards.ended:.0%} must. Raise "
                "candidates.max_tokens, or train with a lower learning rate"
            )

    def pairs(self, prompts: int, pairs: int, without: Mapping[str, int]) -> None:
        """Check that there is anything to learn from. This cannot be waived."""
        if pairs == 0:
            raise CollapseError(
                f"{self.model} left no preference pair of {prompts} prompts ({_causes(without)}): "
                "its judgements do not tell its answers apart. Use more prompts or candidates, or "
                "stop at this model"
            )

    def positives(self, perfect: int) -> None:
        """Check that a round that learns from perfect answers has any."""
        if perfect == 0:
            self._say(
                f"{self.model} judged no answer perfect: the next model would be trained on the "
                "same rows as this one. Use more prompts or candidates, or learn from preferences"
            )

    def _say(self, message: str) -> None:
        if self.guards.on_collapse == "stop":
            raise CollapseError(f"{message}; {GO_ON}")
        self.warnings.append(message)


def _causes(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{cause} {count}" for cause, count in sorted(counts.items()))
