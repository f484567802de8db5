"""What a claim of the paper is held against: the figures of a run.

    step("head_to_head", "M2", "M1")   +0.243 [+0.180, +0.307], 300 games: better
    yields                             0.98 [0.93, 1.04] times as many, 600 prompts: no clear change

A measure looks at a run and finds a `Measured`, or says in a few words why there is nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from harness.records import RunRecord, Score
from harness.statistics.intervals import (
    Estimate,
    contrast,
    paired_difference,
    ratio,
    share,
    share_ratio,
)
from reports.changes import Change, Changes, Step, asked, difference
from reports.evidence import LEAST_ITEMS, Evidence, evidence
from reports.findings import by_plugin
from reports.series import Series, chain, evaluations, plugin

HARD = ("math", "coding", "reasoning")
"""The categories of MT-Bench in which the paper's models gain least."""
ADDITIVE, BUCKETS = "five_points", "buckets"
"""The paper's rubric, and the multiple choice of Li et al. (2024) that it is compared with."""

LEAST_ROUNDS = 2
"""Of learning from its own judgements, as in the paper, for a claim of what the rounds do."""

NOT_MEASURED = "not measured"
ANOTHER_ROUND = "needs two rounds"
ANOTHER_RUN = "needs another run"
PEOPLE = "needs people"


@dataclass(frozen=True)
class Measured:
    """What the run found."""

    estimate: Estimate
    shown: Evidence
    failed: int = 0
    """How many more items were asked."""
    null: float = 0.0
    """What the estimate is where nothing changed: 1 for a ratio."""
    text: str = ""
    """In words, where the estimate alone would mislead."""


Measure = Callable[[RunRecord, Changes], Measured | str]


def step(name: str, later: str, earlier: str) -> Measure:
    """Measure how much better a model did than another, by a plug-in's items or games."""

    def measure(record: RunRecord, found: Changes) -> Measured | str:
        series = by_plugin(record).get(name)
        return _of(found.of(series.name, (later, earlier)) if series else None)

    return measure


def loop(name: str) -> Measure:
    """Measure how much better the last model did than the first of the loop."""

    def measure(record: RunRecord, found: Changes) -> Measured | str:
        series, rounds = by_plugin(record).get(name), _rounds(found)
        if rounds is None:
            return ANOTHER_ROUND
        return _of(found.of(series.name, rounds) if series else None)

    return measure


def since_m0(name: str) -> Measure:
    """Measure how much better the last model did than the pretrained one, by the interval alone."""

    def measure(record: RunRecord, found: Changes) -> Measured | str:
        series, rounds, first = by_plugin(record).get(name), _rounds(found), chain(record)[:1]
        if rounds is None:
            return ANOTHER_ROUND
        pair = (rounds[0], *first)
        if series is None or not series.results.keys() >= set(pair):
            return NOT_MEASURED
        since = difference(series, *pair)
        return _alone(since, asked(series, *pair) - since.n)

    return measure


def judging_taught(record: RunRecord, found: Changes) -> Measured | str:
    """Measure what EFT taught: M1's agreement less SFT's, or how many verdicts can be read.

    A model that was never taught to judge may write hardly anything that can be read as one.
    """
    measured = step("judge_agreement", "M1", "SFT")(record, found)
    series = by_plugin(record).get("judge_agreement")
    enough = isinstance(measured, Measured) and measured.estimate.n >= LEAST_ITEMS
    if enough or series is None or not series.comparable("M1", "SFT"):
        return measured
    read = [len(series.scores(model)) for model in ("SFT", "M1")]
    lists = [len(series.results[model].items) for model in ("SFT", "M1")]
    before, after = (share(*counts) for counts in zip(read, lists, strict=True))
    if before.high is None or after.low is None or after.value is None:
        return NOT_MEASURED
    clear = after.low > before.high and read[1] >= LEAST_ITEMS
    return Measured(
        estimate=after,
        shown="better" if clear else "too few items",
        text=f"can be read: {read[0]} of SFT, {read[1]} of M1",
    )


def hard_categories(record: RunRecord, found: Changes) -> Measured | str:
    """Measure how much less MT-Bench gains over the loop in HARD categories than in the others."""
    series, rounds = by_plugin(record).get("mt_bench"), _rounds(found)
    if rounds is None:
        return ANOTHER_ROUND
    if series is None or not series.comparable(*rounds):
        return NOT_MEASURED
    later, earlier = (series.scores(model) for model in rounds)
    groups: dict[bool, dict[str, list[float]]] = {True: {}, False: {}}
    items = series.results[rounds[0]].items
    for item in items:
        if item.id in later.keys() & earlier.keys():
            gain = later[item.id] - earlier[item.id]
            group = groups[item.category in HARD]
            group.setdefault(item.cluster or item.id, []).append(gain)
    hard, other = (
        [sum(turns) / len(turns) for turns in groups[which].values()] for which in (True, False)
    )
    questions = {item.cluster or item.id for item in items}
    return _alone(contrast(other, hard), failed=len(questions) - len(other) - len(hard))


def length(record: RunRecord, found: Changes) -> Measured | str:
    """Measure how many times as long the last model's answers are as the first's, in characters."""
    named = by_plugin(record)
    series, rounds = named.get("alpaca_eval") or named.get("examiner"), _rounds(found)
    if rounds is None:
        return ANOTHER_ROUND
    if series is None or not series.results.keys() >= set(rounds):
        return NOT_MEASURED
    later, earlier = (_lengths(series, model) for model in rounds)
    both = sorted(later.keys() & earlier.keys())
    times = ratio([later[id] for id in both], [earlier[id] for id in both])
    failed = asked(series, *rounds) - len(both)
    return _alone(times._replace(n=len(both)), failed, null=1.0)


def yields(record: RunRecord, found: Changes) -> Measured | str:
    """Measure how many times as large a share of the prompts gives a pair in the last round.

    Of shares, since rounds may be given different numbers of prompts; the paper tells only pairs.
    """
    rounds = [counts for stage in record.stages if (counts := pairs_made(stage.metrics))]
    if len(rounds) < LEAST_ROUNDS:
        return ANOTHER_ROUND
    (first, asked_first), (last, asked_last) = rounds[0], rounds[-1]
    return _alone(share_ratio(last, asked_last, first, asked_first), null=1.0)


def positives(record: RunRecord, found: Changes) -> Measured | str:
    """Measure M2 against SFT, in a run that learned from positives alone."""
    trainer = record.request.get("trainer")
    if not isinstance(trainer, dict) or trainer.get("learn_from") != "positives":
        return ANOTHER_RUN
    return step("head_to_head", "M2", "SFT")(record, found)


def rubrics(record: RunRecord, found: Changes) -> Measured | str:
    """Measure how much better a model judges by the additive rubric than by the buckets.

    Of SFT as in the paper, or else of the first model that judged by both.
    """
    by_rubric = {
        _option(record, series.name, "rubric"): series
        for series in evaluations(record)
        if plugin(record, series.name) == "judge_agreement"
    }
    additive, buckets = by_rubric.get(ADDITIVE), by_rubric.get(BUCKETS)
    if additive is None or buckets is None:
        return ANOTHER_RUN
    for model in ("SFT", *additive.results):
        better = paired_difference(additive.scores(model), buckets.scores(model))
        if better.n:
            items = [one.results[model].items for one in (additive, buckets)]
            both = set.intersection(*({item.id for item in of} for of in items))
            return _alone(better, len(both) - better.n)
    return NOT_MEASURED


def pairs_made(metrics: Mapping[str, JsonValue]) -> tuple[int, int] | None:
    """Read how many pairs a round gave, and of how many prompts."""
    section = metrics.get("pairs")
    if not isinstance(section, dict):
        return None
    match section.get("pairs"), section.get("prompts"):
        case int() as pairs, int() as prompts if 0 <= pairs <= prompts:
            return pairs, prompts
    return None


def elsewhere(why: str) -> Measure:
    """Say why a single run cannot answer."""
    return lambda record, found: why


def _rounds(found: Changes) -> Step | None:
    """Name the last model and the first of the loop, where there are rounds enough between."""
    return found.loop if len(found.rounds) >= LEAST_ROUNDS else None


def _of(change: Change | None) -> Measured | str:
    if change is None:
        return NOT_MEASURED
    return Measured(change.estimate, change.evidence, change.failed)


def _alone(estimate: Estimate, failed: int = 0, null: float = 0.0) -> Measured | str:
    """Judge an estimate that is no comparison of the family by its interval."""
    if estimate.value is None:
        return NOT_MEASURED
    low, high = (None if end is None else end - null for end in (estimate.low, estimate.high))
    return Measured(estimate, evidence(low, high, estimate.n), failed, null)


def _lengths(series: Series, model: str) -> dict[str, float]:
    return {
        item.id: float(len(item.answer))
        for item in series.results[model].items
        if isinstance(item.outcome, Score)
    }


def _option(record: RunRecord, label: str, name: str) -> str:
    """Read an option that the request gave an evaluation."""
    choices = record.request.get("evaluations")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and label in (choice.get("label"), choice.get("name")):
            return str(choice.get(name, ""))
    return ""
