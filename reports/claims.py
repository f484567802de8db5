"""The paper's claims, each held against a run by a rule that is written down here.

    claim                      paper                 this run                     verdict
    M2 beats M1 head to head   +0.438 [.353, .522]   +0.243 [.180, .307], n 300   holds
    M3 judges better than M1   +0.030                -0.018 [-.039, .001], n 200  does not hold
    People prefer M3 to SFT    +0.480 [.264, .696]   needs people                 not run

That something rises (`rises`)

    holds                 where it does, by the one rule of `reports.evidence`
    does not hold         where it falls, or where no change is clear and the whole interval lies
                          below half of the paper's own effect
    not enough evidence   otherwise: too few items, or an interval that has room for both

That something does not suffer (`keeps`), a loss of a margin or more being harm

    holds                 where the interval excludes such a loss (non-inferiority)
    does not hold         where it does not, and a loss is clear
    not enough evidence   otherwise

That something does not help (`gains_nothing`), a gain of a margin or more being help

    holds                 where the interval excludes such a gain
    does not hold         where it does not, and a gain is clear
    not enough evidence   otherwise

What is compared model by model is tested together with all other comparisons of the report
(`reports.changes`); ratios, contrasts and the change since M0 are none of those and are decided by
their interval alone. `not run` is what the run has nothing to say of.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from harness.records import RunRecord
from reports import claim_measures as measures
from reports.blocks import Block, Cell, Figure, Mark, Points, Row, Table, Tone
from reports.changes import Changes
from reports.claim_measures import Measure, Measured, elsewhere, loop, since_m0, step
from reports.evidence import LEAST_ITEMS, LEAST_TAX, holds
from reports.figures import places
from reports.paper import Effect, effect, known, times

Verdict = Literal["holds", "does not hold", "not enough evidence", "not run"]
VERDICTS: tuple[Verdict, ...] = ("holds", "does not hold", "not enough evidence", "not run")

LEAST_NET = 0.1
"""A net win or loss of so much is help or harm. The paper calls M1 level with SFT on an interval
that reaches to a net loss of 0.10."""
LEAST_PART = 0.5
"""Of the paper's effect: less than that is another finding, even if it is not nothing."""

Decide = Callable[[Measured, float], Verdict]


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, and what a run says about it."""

    text: str
    unit: str
    """Of both figures: `net win`, `points of 10` ..."""
    paper: Effect
    measured: Measured | None
    """None where the run has nothing to say of it."""
    why: str
    """Why it has not."""
    verdict: Verdict


def rises(measured: Measured, paper: float) -> Verdict:
    """Decide a claim that something rises."""
    match measured.shown:
        case "better":
            return "holds"
        case "worse":
            return "does not hold"
        case "no clear change" | "not after correction":
            enough = measured.null + LEAST_PART * (paper - measured.null)
            high = measured.estimate.high
            return "does not hold" if high is not None and high < enough else "not enough evidence"
    return "not enough evidence"


def keeps(margin: float) -> Decide:
    """Decide a claim that something does not suffer."""

    def decide(measured: Measured, paper: float) -> Verdict:
        _, low, _, n = measured.estimate
        if n >= LEAST_ITEMS and holds(low, margin):
            return "holds"
        return "does not hold" if measured.shown == "worse" else "not enough evidence"

    return decide


def gains_nothing(margin: float) -> Decide:
    """Decide a claim that something does not help."""

    def decide(measured: Measured, paper: float) -> Verdict:
        _, _, high, n = measured.estimate
        if n >= LEAST_ITEMS and high is not None and high < margin:
            return "holds"
        return "does not hold" if measured.shown == "better" else "not enough evidence"

    return decide


@dataclass(frozen=True)
class Entry:
    """A claim, where the paper shows it, and how a run is asked about it."""

    text: str
    unit: str
    paper: Effect
    measure: Measure
    decide: Decide = rises

    def check(self, record: RunRecord, found: Changes) -> Claim:
        """Hold it against a run."""
        measured = self.measure(record, found)
        if isinstance(measured, str):
            return Claim(self.text, self.unit, self.paper, None, measured, "not run")
        verdict = self.decide(measured, self.paper.value)
        return Claim(self.text, self.unit, self.paper, measured, "", verdict)


def _hard_categories() -> Effect:
    """Compute how much less the paper's models gain in mathematics, code and reasoning."""
    other, hard = (
        effect("mt_bench", name, "M3", "M1")
        for name in ("score_other_categories", "score_math_coding_reasoning")
    )
    return Effect(other.value - hard.value, None, None, other.source)


def positives_over_sft() -> Effect:
    """Compute the paper's net win of a model that learned from positives alone."""
    won, lost = (
        known("head_to_head", name, "M2", against="SFT", condition="positives only")
        for name in ("win", "loss")
    )
    return Effect(won.value - lost.value, None, None, won.source)


def additive_over_buckets() -> Effect:
    """Compute how much better the paper's SFT judges by the additive rubric."""
    additive, buckets = (
        known("judge_agreement", "pairwise_accuracy", "SFT", condition=rubric)
        for rubric in ("additive rubric", "multiple-choice buckets")
    )
    return Effect(additive.value - buckets.value, None, None, "Table 5")


CLAIMS = (
    Entry(
        "EFT does not hurt answering: M1 is level with SFT",
        "net win",
        effect("head_to_head", "net_win", "M1", "SFT"),
        step("head_to_head", "M1", "SFT"),
        keeps(LEAST_NET),
    ),
    Entry(
        "M2 beats M1 head to head",
        "net win",
        effect("head_to_head", "net_win", "M2", "M1"),
        step("head_to_head", "M2", "M1"),
    ),
    Entry(
        "M3 beats M2 head to head",
        "net win",
        effect("head_to_head", "net_win", "M3", "M2"),
        step("head_to_head", "M3", "M2"),
    ),
    Entry(
        "AlpacaEval rises from M1 to M2",
        "points of 100",
        effect("alpaca_eval", "win_rate", "M2", "M1"),
        step("alpaca_eval", "M2", "M1"),
    ),
    Entry(
        "AlpacaEval rises from M2 to M3",
        "points of 100",
        effect("alpaca_eval", "win_rate", "M3", "M2"),
        step("alpaca_eval", "M3", "M2"),
    ),
    Entry(
        "MT-Bench rises over the rounds",
        "points of 10",
        effect("mt_bench", "score", "M3", "M1"),
        loop("mt_bench"),
    ),
    Entry(
        "MT-Bench gains less in mathematics, code and reasoning than elsewhere",
        "points of 10",
        _hard_categories(),
        measures.hard_categories,
    ),
    Entry(
        "EFT teaches judging: M1 agrees with people more than SFT",
        "agreement",
        effect("judge_agreement", "pairwise_accuracy", "M1", "SFT"),
        measures.judging_taught,
    ),
    Entry(
        "M2 judges better than M1",
        "agreement",
        effect("judge_agreement", "pairwise_accuracy", "M2", "M1"),
        step("judge_agreement", "M2", "M1"),
    ),
    Entry(
        "The last model judges better than M1",
        "agreement",
        effect("judge_agreement", "pairwise_accuracy", "M3", "M1"),
        loop("judge_agreement"),
    ),
    Entry(
        "The NLP benchmarks hold from M0 to the last model",
        "share right",
        effect("nlp_benchmarks", "mean", "M3", "M0"),
        since_m0("nlp_benchmarks"),
        keeps(LEAST_TAX),
    ),
    Entry(
        "The NLP benchmarks hold over the rounds",
        "share right",
        effect("nlp_benchmarks", "mean", "M3", "M1"),
        loop("nlp_benchmarks"),
        keeps(LEAST_TAX),
    ),
    Entry(
        "Later rounds yield more pairs",
        "times as many",
        times("training", "pairs", "M3", "M2"),
        measures.yields,
    ),
    Entry(
        "Answers grow longer over the rounds",
        "times as long",
        times("alpaca_eval", "average_length", "M3", "M1"),
        measures.length,
    ),
    Entry(
        "Learning from positives alone gains nothing over SFT",
        "net win",
        positives_over_sft(),
        measures.positives,
        gains_nothing(LEAST_NET),
    ),
    Entry(
        "The additive rubric judges better than the buckets",
        "agreement",
        additive_over_buckets(),
        measures.rubrics,
    ),
    Entry(
        "Without EFT there are fewer pairs",
        "times as many",
        times("training", "pairs", "M2", "M2", condition="without EFT"),
        elsewhere(measures.ANOTHER_RUN),
    ),
    Entry(
        "People prefer M3 to SFT",
        "net win",
        effect("human", "net_win", "M3", "SFT"),
        elsewhere(measures.PEOPLE),
    ),
)

_TONES: dict[Verdict, Tone] = {"holds": "better", "does not hold": "worse"}
_COUNTED: dict[Verdict, str] = {
    "holds": "held",
    "does not hold": "not held",
    "not enough evidence": "with not enough evidence",
    "not run": "not run",
}


def claims(record: RunRecord, found: Changes) -> tuple[Claim, ...]:
    """Hold every claim of the paper against a run."""
    return tuple(entry.check(record, found) for entry in CLAIMS)


def summary(held: tuple[Claim, ...]) -> Block:
    """Say which claims hold, which do not, and of which the run does not tell."""
    if all(one.verdict == "not run" for one in held):
        return tally(held)
    return Points(
        tuple(
            (f"{verdict.capitalize()} ({len(ones)})", f"{_listed(ones)}.")
            for verdict in VERDICTS
            if (ones := [one for one in held if one.verdict == verdict])
        )
    )


def tally(held: tuple[Claim, ...]) -> str:
    """Count the claims by verdict, in a sentence."""
    counts = Counter(one.verdict for one in held)
    if counts["not run"] == len(held):
        return f"This run has nothing yet to hold the paper's {len(held)} claims against."
    said = (f"{counts[verdict]} {_COUNTED[verdict]}" for verdict in VERDICTS if counts[verdict])
    return f"Of {len(held)} claims of Yuan et al. (2024): {', '.join(said)}."


def _listed(ones: list[Claim]) -> str:
    """Name claims; of those that were not run only why, and how many."""
    whys = Counter(one.why for one in ones if one.measured is None)
    return "; ".join(f"{why}: {count}" for why, count in whys.items()) or "; ".join(
        one.text for one in ones
    )


def table(held: tuple[Claim, ...]) -> Iterator[Table]:
    """Tabulate the claims: the paper's figure, the run's, and the verdict."""
    if all(one.verdict == "not run" for one in held):
        return
    yield Table(
        title="",
        columns=("paper", "this run", "verdict"),
        rows=tuple(
            Row(
                label=f"{one.text} ({one.unit}; {one.paper.source})",
                cells=(
                    _figure(one.paper.value, one.paper.low, one.paper.high, one.unit),
                    _run(one),
                    Mark(_verdict(one), _TONES.get(one.verdict, "")),
                ),
                n=(one.measured.estimate.n,) if one.measured else (),
                failed=(one.measured.failed,) if one.measured else (),
            )
            for one in held
        ),
        note="Yuan et al. (2024), transcribed from secondary sources; its intervals are computed "
        "from its counts, and where it has none it gave none. A claim that something rises holds "
        "where it does, by the corrected test of the paired differences; it does not hold where "
        "it falls, or where the whole interval lies below half of the paper's effect. A claim "
        f"that something holds or is level needs a loss of {LEAST_NET:g} (net win) or "
        f"{100 * LEAST_TAX:g} points (benchmarks) to be excluded by the interval. Everything "
        "between is not enough evidence. Agreement is that of the mean instruction, a tie half "
        "right, so that instructions can be paired; the paper does not state how it takes ties. "
        "Pairs are counted per prompt, of which the paper tells no number.",
    )


def _verdict(one: Claim) -> str:
    """Write a verdict; an interval without 0 that is not enough would else contradict it."""
    corrected = one.measured is not None and one.measured.shown == "not after correction"
    beside = ", once corrected" if corrected and one.verdict == "not enough evidence" else ""
    return f"{one.verdict}{beside}"


def _run(one: Claim) -> Cell:
    if one.measured is None or one.measured.text:
        return one.measured.text if one.measured else one.why
    value, low, high, _ = one.measured.estimate
    return one.why if value is None else _figure(value, low, high, one.unit)


def _figure(value: float, low: float | None, high: float | None, unit: str) -> Figure:
    """Write a difference with its sign; a ratio has none."""
    ratio = unit.startswith("times")
    return Figure(value, low, high, 2 if ratio else places([value, low, high]), signed=not ratio)
