"""Does the model, as a judge, rank responses as people do?

The model gives points to responses that people have ranked, several times each; a response's score
is the mean of the verdicts that could be read:

    prompt "What sound does the dog make?"   responses  A (rank 0)   B (rank 1)   C (rank 2)
    verdicts                                            5, 4, 5      3, -, 3      -, -, -
    score                                               4.67         3.0          failed

Here one pair is in the human order, two could not be judged, and four verdicts of nine could not
be read. `harness.statistics.agreement` defines the metrics; `failure_rate` is the share of
verdicts that could not be read.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar

from pydantic import Field

from evals.answers import chat_template, keep_chat_template
from evals.protocol import protocol
from harness import verdicts
from harness.data import datasets
from harness.data.examples import RankedGroup
from harness.judge import Judge, pointwise
from harness.protocols import LoadedModel, Sampling
from harness.records import EvalResult, Failure, ItemResult, ModelRef, Outcome, Record, Score
from harness.rows import RowLog
from harness.statistics.agreement import Agreement, agreement_metrics, compare
from harness.statistics.intervals import ratio
from harness.verdicts import Reading


class JudgeAgreement:
    """The model judges ranked responses, as it does when it rewards itself."""

    needs_judge: ClassVar[bool] = False

    class Config(Record):
        """What to judge, and how. The defaults suit the embedded world."""

        data: str = "microworld:preferences"
        """Ranked responses that no training has seen: see `harness.data.datasets.ranked_groups`."""
        limit: int | None = Field(default=None, gt=0)
        """How many instructions to draw; all without it."""
        rubric: str = "microworld"
        """A pointwise rubric: a built-in name or a file."""
        samples: int = Field(default=3, gt=0)
        """Verdicts per response."""
        temperature: float = Field(default=0.7, ge=0)
        top_p: float = Field(default=0.9, gt=0, le=1)
        max_tokens: int = Field(default=48, gt=0)
        seed: int = 0

    def __init__(self, config: Config) -> None:
        self.config = config
        self.rubric = pointwise(config.rubric)
        self.groups = datasets.ranked_groups(config.data, config.limit)
        self.sampling = Sampling(
            n=config.samples,
            temperature=config.temperature,
            top_p=config.top_p,
            max_tokens=config.max_tokens,
            seed=config.seed,
        )

    def answer(self, model: LoadedModel, log: RowLog) -> None:
        """Have the model judge every response."""
        keep_chat_template(model, log)
        rows = (
            (_key(group, k), {"instruction": group.prompt, "response": response.text})
            for group in self.groups.rows
            for k, response in enumerate(group.responses)
        )
        judge = Judge(self.rubric, model, self.sampling)
        judge.check_room()
        verdicts.ask(judge, rows, log)

    def mark(
        self,
        model: ModelRef,
        log: RowLog,
        judge: LoadedModel | None,
        earlier: Sequence[EvalResult],
    ) -> EvalResult:
        """Compare the model's scores with the human ranks."""
        judged = [JudgedGroup.read(group, log) for group in self.groups.rows]
        responses = sum(len(group.responses) for group in self.groups.rows)
        unread = [one.failures.total() for one in judged]
        asked = [self.config.samples * len(one.readings) for one in judged]
        return EvalResult(
            evaluation="judge_agreement",
            model=model.name,
            protocol=protocol(
                "judge_agreement",
                self.groups.fingerprint,
                self.rubric.fingerprint,
                self.sampling.fingerprint,
            ),
            description=(
                f"{responses} ranked responses to {len(judged)} instructions of "
                f"{self.config.data}, judged by the model itself, {self.rubric.fingerprint}, "
                f"{self.sampling.fingerprint}, {chat_template(log)}"
            ),
            metrics=(
                *agreement_metrics([one.agreement for one in judged]),
                ratio(unread, asked).metric("failure_rate"),
            ),
            items=tuple(one.item for one in judged),
        )


@dataclass(frozen=True)
class JudgedGroup:
    """The responses to one instruction, and what the model made of them."""

    group: RankedGroup
    readings: tuple[tuple[Reading, ...], ...]
    """By response, its verdicts."""
    scores: tuple[float | None, ...]
    """By response, the mean of its readable verdicts; None where there is none."""
    agreement: Agreement

    @classmethod
    def read(cls, group: RankedGroup, log: RowLog) -> "JudgedGroup":
        """Read one instruction's verdicts from the log."""
        readings = tuple(verdicts.read(_key(group, k), log) for k in range(len(group.responses)))
        scores = tuple(_mean_score(samples) for samples in readings)
        ranks = [response.rank for response in group.responses]
        return cls(group, readings, scores, compare(ranks, scores))

    @property
    def failures(self) -> Counter[str]:
        """Count the unreadable verdicts by cause."""
        return Counter(
            reading.outcome.reason
            for samples in self.readings
            for reading in samples
            if isinstance(reading.outcome, Failure)
        )

    @property
    def outcome(self) -> Outcome:
        """Score the item: the share of its readable pairs in the human order, a tie half."""
        one = self.agreement
        pairs = one.concordant + one.discordant + one.tied
        if pairs:
            return Score(value=(one.concordant + one.tied / 2) / pairs)
        if one.failed:
            return Failure(
                reason=self.failures.most_common(1)[0][0], detail="no pair has two scores"
            )
        return Failure(reason="no_order", detail="people ranked all responses equally")

    @property
    def item(self) -> ItemResult:
        """Lay the judgement out for a reader."""
        return ItemResult(
            id=self.group.id,
            answer=" > ".join(self._order()),
            outcome=self.outcome,
            details={
                "prompt": self.group.prompt,
                "responses": [
                    {
                        "text": response.text,
                        "rank": response.rank,
                        "score": score,
                        "verdicts": [reading.text for reading in samples],
                    }
                    for response, score, samples in zip(
                        self.group.responses, self.scores, self.readings, strict=True
                    )
                ],
                "failures": dict(self.failures),
                "all_tied": self.agreement.all_tied,
                "spearman": self.agreement.spearman,
                "kendall_tau": self.agreement.kendall,
            },
        )

    def _order(self) -> list[str]:
        """Write the model's order, best first, responses counted from 1: `2 > 1 = 3`."""
        levels: dict[float, list[str]] = {}
        for number, score in enumerate(self.scores, start=1):
            if score is not None:
                levels.setdefault(score, []).append(str(number))
        return [" = ".join(levels[score]) for score in sorted(levels, reverse=True)]


def _key(group: RankedGroup, k: int) -> str:
    return f"verdict/{group.id}/{k}"


def _mean_score(samples: Sequence[Reading]) -> float | None:
    read = [one.outcome.value for one in samples if isinstance(one.outcome, Score)]
    return fmean(read) if read else None
