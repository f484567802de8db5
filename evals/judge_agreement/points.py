"""Points for every response by itself, several times; a response's score is the mean.

    prompt "What sound does the dog make?"   responses  A (rank 0)   B (rank 1)   C (rank 2)
    verdicts                                            5, 4, 5      3, -, 3      -, -, -
    score                                               4.67         3.0          failed

Here one pair is in the human order, two could not be judged, and four verdicts of nine could not
be read. Beside the mean of what was sampled stands the mean of what was expected (`expected/...`):
at the token that gives the points, their mean under the judge's own probabilities.

A response that occurs in several groups of one instruction is judged once.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from evals.judge_agreement import marking
from harness import verdicts
from harness.data.examples import RankedGroup
from harness.records import Failure, ItemResult, Metric, Outcome, Score
from harness.rows import RowLog
from harness.statistics.agreement import Agreement, agreement_metrics, compare
from harness.verdicts import Reading

EXPECTED = "expected/"
EXPECTED_NOTE = "expected score, from the judge's token probabilities"
_NOT_TOLD = Failure(reason="no_logprobs", detail="the judge gave no token probabilities")


@dataclass(frozen=True)
class Points:
    """Has responses judged one by one."""

    groups: tuple[RankedGroup, ...]
    expected: bool
    """Whether to compute the metrics of the expected score too."""
    whole: bool = True
    """Whether verdicts give whole points, so that a response can have full marks."""

    @cached_property
    def _places(self) -> list[list[str]]:
        """By group and response, under which name its verdicts are in the log."""
        first: dict[tuple[str, str], str] = {}
        return [
            [
                first.setdefault((marking.instruction(group), one.text), f"{group.id}/{k}")
                for k, one in enumerate(group.responses)
            ]
            for group in self.groups
        ]

    def rows(self, judge: str) -> dict[str, Mapping[str, str]]:
        """List what to ask a judge, by log key."""
        return {
            f"{judge}/{place}": {
                "instruction": marking.instruction(group),
                "response": response.text,
            }
            for group, places in zip(self.groups, self._places, strict=True)
            for place, response in zip(places, group.responses, strict=True)
        }

    def metrics(self, judge: str, log: RowLog) -> tuple[Metric, ...]:
        """Summarise how well what a judge said agrees with people."""
        judged = self._read(judge, log)
        clusters = [marking.instruction(one.group) for one in judged]
        asked = {
            key: (verdicts.read(key, log), row["instruction"])
            for key, row in self.rows(judge).items()
        }
        sampled = [
            one
            for one in agreement_metrics([one.agreement for one in judged], clusters=clusters)
            if self.whole or one.name != "five_best"
        ]
        unread = marking.failure_rate(
            [([one.outcome for one in read], cluster) for read, cluster in asked.values()]
        )
        if not self.expected:
            return (*sampled, unread)
        expected = agreement_metrics([one.expected_agreement for one in judged], clusters=clusters)
        untold = marking.failure_rate(
            [([_expected(one) for one in read], cluster) for read, cluster in asked.values()]
        )
        return (
            *sampled,
            unread,
            *(
                one.model_copy(update={"name": f"{EXPECTED}{one.name}", "note": EXPECTED_NOTE})
                for one in (*expected, untold)
                if one.name != "five_best"  # an expected score is never exactly full marks
            ),
        )

    def items(self, judge: str, log: RowLog) -> tuple[ItemResult, ...]:
        """Lay out what a judge said, by group."""
        return tuple(one.item for one in self._read(judge, log))

    def _read(self, judge: str, log: RowLog) -> list["JudgedGroup"]:
        return [
            JudgedGroup(group, tuple(verdicts.read(f"{judge}/{place}", log) for place in places))
            for group, places in zip(self.groups, self._places, strict=True)
        ]


@dataclass(frozen=True)
class JudgedGroup:
    """The responses to one instruction, and what a judge made of them."""

    group: RankedGroup
    readings: tuple[tuple[Reading, ...], ...]
    """By response, its verdicts."""

    @cached_property
    def scores(self) -> list[float | None]:
        """By response, the mean of its readable verdicts; None where there is none."""
        return self._scores(lambda reading: reading.outcome)

    @cached_property
    def expected_scores(self) -> list[float | None]:
        """By response, the mean of its verdicts' expected scores; None where none was told."""
        return self._scores(_expected)

    def _scores(self, of: Callable[[Reading], Outcome]) -> list[float | None]:
        found = [[of(reading) for reading in samples] for samples in self.readings]
        values = [[one.value for one in row if isinstance(one, Score)] for row in found]
        return [fmean(row) if row else None for row in values]

    @cached_property
    def agreement(self) -> Agreement:
        """Compare the scores with the human ranks."""
        return compare([one.rank for one in self.group.responses], self.scores)

    @cached_property
    def expected_agreement(self) -> Agreement:
        """Compare the expected scores with the human ranks."""
        return compare([one.rank for one in self.group.responses], self.expected_scores)

    @property
    def failures(self) -> Counter[str]:
        """Count the unreadable verdicts by cause."""
        return marking.failures(self._outcomes)

    @property
    def _outcomes(self) -> list[Outcome]:
        return [one.outcome for samples in self.readings for one in samples]

    @property
    def outcome(self) -> Outcome:
        """Score the item: the share of its readable pairs in the human order, a tie half."""
        one = self.agreement
        pairs = one.concordant + one.discordant + one.tied
        if pairs:
            return Score(value=(one.concordant + one.tied / 2) / pairs)
        if one.failed:
            return marking.unjudged(self._outcomes, "no pair has two scores")
        return marking.NO_ORDER

    @property
    def item(self) -> ItemResult:
        """Lay the judgement out for a reader."""
        told = any(score is not None for score in self.expected_scores)
        return ItemResult(
            id=self.group.id,
            answer=" > ".join(self._order()),
            outcome=self.outcome,
            details={
                "prompt": marking.instruction(self.group),
                "responses": [
                    {
                        "text": response.text,
                        "rank": response.rank,
                        "score": score,
                        **({"expected": expected} if told else {}),
                        "verdicts": [reading.written() for reading in samples],
                    }
                    for response, score, expected, samples in zip(
                        self.group.responses,
                        self.scores,
                        self.expected_scores,
                        self.readings,
                        strict=True,
                    )
                ],
                "failures": dict(self.failures),
                "all_tied": self.agreement.all_tied,
                "spearman": self.agreement.spearman,
                "kendall_tau": self.agreement.kendall,
            },
        )

    def _order(self) -> list[str]:
        """Write the judge's order, best first, responses counted from 1: `2 > 1 = 3`."""
        levels: dict[float, list[str]] = {}
        for number, score in enumerate(self.scores, start=1):
            if score is not None:
                levels.setdefault(score, []).append(str(number))
        return [" = ".join(levels[score]) for score in sorted(levels, reverse=True)]


def _expected(reading: Reading) -> Outcome:
    return reading.expected or _NOT_TOLD
