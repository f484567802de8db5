"""Every pair of responses, compared in both orders, as published pairwise judges do.

    shown first, second     the judge prefers     the pair's verdict
    better, worse           better                right: the preference survives the swap
    worse, better           better
    better, worse           better                tie: the judge prefers a position
    worse, better           worse

Of several samples of one order the mean decides. Pairs that people called a tie are asked too: they
count in `three_class_accuracy`. `harness.statistics.pairs` defines the metrics.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from statistics import fmean

from pydantic import JsonValue

from evals.judge_agreement import marking
from harness import verdicts
from harness.data.examples import RankedGroup, RankedResponse
from harness.records import ItemResult, Metric, Outcome, Score
from harness.rows import RowLog
from harness.statistics.pairs import TIE, JudgedPair, pair_metrics
from harness.verdicts import Reading, swapped, written


@dataclass(frozen=True)
class Pairs:
    """Has responses compared two by two."""

    groups: tuple[RankedGroup, ...]

    @cached_property
    def _by_group(self) -> list[list["_Pair"]]:
        """List every group's pairs; one that occurs again is judged once."""
        first: dict[tuple[str, str, str], str] = {}

        def place(group: RankedGroup, i: int, j: int) -> str:
            texts = (group.responses[i].text, group.responses[j].text)
            return first.setdefault((marking.instruction(group), *texts), f"{group.id}/{i}-{j}")

        return [
            [
                _Pair(group, i, j, (place(group, i, j), place(group, j, i)))
                for i, j in combinations(range(len(group.responses)), 2)
            ]
            for group in self.groups
        ]

    @property
    def _pairs(self) -> list["_Pair"]:
        return [pair for pairs in self._by_group for pair in pairs]

    def rows(self, judge: str) -> dict[str, Mapping[str, str]]:
        """List what to ask a judge, by log key."""
        return {
            f"{judge}/{place}": {
                "instruction": marking.instruction(pair.group),
                "output_1": one.text,
                "output_2": other.text,
            }
            for pair in self._pairs
            for place, (one, other) in zip(pair.places, pair.orders, strict=True)
        }

    def metrics(self, judge: str, log: RowLog) -> tuple[Metric, ...]:
        """Summarise how well what a judge said agrees with people."""
        unread = marking.failure_rate(
            [
                ([one.outcome for one in verdicts.read(key, log)], row["instruction"])
                for key, row in self.rows(judge).items()
            ]
        )
        return *pair_metrics([pair.judged(judge, log) for pair in self._pairs]), unread

    def items(self, judge: str, log: RowLog) -> tuple[ItemResult, ...]:
        """Lay out what a judge said, by group."""
        return tuple(
            _item(group, pairs, judge, log)
            for group, pairs in zip(self.groups, self._by_group, strict=True)
        )


@dataclass(frozen=True)
class _Pair:
    """Two responses of a group, by place, the better one before."""

    group: RankedGroup
    i: int
    j: int
    places: tuple[str, str]
    """Where the verdicts on each order are in the log."""

    @property
    def orders(self) -> tuple[tuple[RankedResponse, RankedResponse], ...]:
        """Both orders in which the responses are shown."""
        one, other = self.group.responses[self.i], self.group.responses[self.j]
        return (one, other), (other, one)

    def readings(self, judge: str, log: RowLog) -> tuple[tuple[Reading, ...], ...]:
        """Read the verdicts on each order."""
        return tuple(verdicts.read(f"{judge}/{place}", log) for place in self.places)

    def written(self, readings: Sequence[Sequence[Reading]]) -> list[JsonValue]:
        """Lay its verdicts out for a reader, each seen from the response with the lower number."""
        straight, reverse = readings
        first, second = f"response {self.i + 1} first", f"response {self.j + 1} first"
        return [
            *(written(one.text, one.outcome, first) for one in straight),
            *(written(one.text, swapped(one.outcome), second) for one in reverse),
        ]

    def judged(self, judge: str, log: RowLog) -> JudgedPair:
        """Say what people and what the judge preferred."""
        one, other = self.orders[0]
        shown_first, shown_second = map(_preference, self.readings(judge, log))
        other_way = None if shown_second is None else 1 - shown_second
        return JudgedPair(
            human=TIE if one.rank == other.rank else float(one.rank < other.rank),
            verdicts=(shown_first, other_way),
            cluster=marking.instruction(self.group),
        )


def _preference(samples: Sequence[Reading]) -> float | None:
    """Read what one order's verdicts prefer on the whole: 1 is what was shown first."""
    read = [one.outcome.value for one in samples if isinstance(one.outcome, Score)]
    if not read:
        return None
    mean = fmean(read)
    return TIE if mean == TIE else float(mean > TIE)


def _item(group: RankedGroup, pairs: Sequence[_Pair], judge: str, log: RowLog) -> ItemResult:
    """Lay a group's judgements out for a reader."""
    judged = [pair.judged(judge, log) for pair in pairs]
    readings = [pair.readings(judge, log) for pair in pairs]
    outcomes = [one.outcome for orders in readings for samples in orders for one in samples]
    ordered = [one for one in judged if one.human != TIE]
    worth = [
        float(one.judged == one.human) + TIE * (one.judged == TIE)
        for one in ordered
        if one.judged is not None
    ]
    outcome: Outcome = marking.NO_ORDER
    if worth:
        outcome = Score(value=fmean(worth))
    elif ordered:
        outcome = marking.unjudged(outcomes, "no pair has two readable verdicts")
    signs = {1.0: ">", 0.0: "<", TIE: "=", None: "?"}
    return ItemResult(
        id=group.id,
        answer=", ".join(
            f"{pair.i + 1} {signs[one.judged]} {pair.j + 1}"
            for pair, one in zip(pairs, judged, strict=True)
        ),
        outcome=outcome,
        details={
            "prompt": marking.instruction(group),
            "responses": [{"text": one.text, "rank": one.rank} for one in group.responses],
            "pairs": [
                {"responses": [pair.i + 1, pair.j + 1], "verdicts": pair.written(orders)}
                for pair, orders in zip(pairs, readings, strict=True)
            ],
            "failures": dict(marking.failures(outcomes)),
        },
    )
