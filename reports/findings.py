"""What a run shows, in one sentence an axis, by rules that are written down here.

    Instruction following   M1 better than M0 (+0.92 [+0.80, +1.05]), ... Examiner score: M0 ...
    Judging                 M3 no clear change from M1 (...). Agreement with human pairs: M0 ...
    Model against model     M1 better than M0 (+0.45 [+0.38, +0.52]), M2 better than M1 (...)

`reports.evidence` says when a difference counts.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from harness.records import RunRecord
from harness.statistics.intervals import Estimate
from reports.blocks import Figure, Points
from reports.evidence import Evidence, evidence
from reports.series import Series, chain, evaluations, models, plugin
from reports.tables import difference

_WORDS: dict[Evidence, str] = {
    "better": "{later} better than {earlier}",
    "worse": "{later} worse than {earlier}",
    "no clear change": "{later} no clear change from {earlier}",
    "too few items": "{later} and {earlier} not told apart on so few items",
    "no interval": "{later} and {earlier} not told apart, too few items differ",
}


_SCORED = (
    ("Instruction following", "examiner", "score", "Examiner score (of 5)"),
    ("AlpacaEval", "alpaca_eval", "win_rate", "Win rate (%)"),
    ("MT-Bench", "mt_bench", "score", "Score (of 10)"),
    ("Knowledge", "nlp_benchmarks", "mean", "Mean of the NLP benchmarks"),
)
"""Evaluations whose items are answers with a score: axis, plug-in, metric, and its words."""


def findings(record: RunRecord) -> Points:
    """Say what the run shows about each axis."""
    measured = evaluations(record)
    by_name = {plugin(record, series.name): series for series in reversed(measured)}
    return Points(
        (
            *(
                (axis, _scored(record, by_name[name], metric, words))
                for axis, name, metric, words in _SCORED
                if name in by_name
            ),
            ("Judging", _judging(record, by_name.get("judge_agreement"))),
            ("Model against model", _head_to_head(record, by_name.get("head_to_head"))),
        )
    )


def _scored(record: RunRecord, series: Series, metric: str, words: str) -> str:
    levels = _levels(record, series, metric)
    if not levels:
        return "not a single answer could be scored."
    return _sentences(_steps(chain(record), series), f"{words}: {levels}")


def _judging(record: RunRecord, series: Series | None) -> str:
    if series is None:
        return "not measured: judge_agreement did not run."
    levels = _levels(record, series, "pairwise_accuracy")
    if not levels:
        return "not a single judgement could be read, so no agreement can be given."
    first, *later = chain(record)
    judges = [name for name in (first, *later) if series.scores(name)]
    # M1 is the first that was taught to judge; what comes after is the loop's own doing.
    taught = [name for name in later if name in judges]
    taught = taught if len(taught) > 1 else judges
    if len(taught) < 2:
        return _sentences((), f"Agreement with human pairs (ties left out): {levels}")
    # Another mean than the levels': items are instructions, so that they can be paired.
    basis = "ties left out; the change is of the mean per instruction, a tie half right"
    steps = _steps((taught[0], taught[-1]), series)
    return _sentences(steps, f"Agreement with human pairs ({basis}): {levels}")


def _head_to_head(record: RunRecord, series: Series | None) -> str:
    if series is None:
        return "not measured: head_to_head did not run."
    steps = [
        _step(later, earlier, Estimate(metric.value, metric.low, metric.high, metric.n))
        for earlier, later in pairwise(chain(record))
        if (metric := series.metric(later, "net_win", earlier))
    ]
    return _sentences(steps, "The figures are net wins") if steps else "no models were compared."


def _sentences(steps: Iterable[str], levels: str) -> str:
    said = ", ".join(steps)
    return f"{said}. {levels}." if said else f"{levels}."


def _steps(names: Sequence[str], series: Series) -> Iterator[str]:
    """Compare each model with the one before, item by item."""
    for earlier, later in pairwise(names):
        change = difference(series, later, earlier)
        if change.n:
            yield _step(later, earlier, change)


def _step(later: str, earlier: str, change: Estimate) -> str:
    if change.value is None:
        return f"{later} cannot be compared with {earlier} (nothing could be scored)"
    # A bound that is printed as 0 would contradict the words.
    near = min((abs(end) for end in (change.low, change.high) if end), default=1.0) < 0.005
    figure = Figure(change.value, change.low, change.high, 3 if near else 2, signed=True)
    shown = f"{figure.text} {figure.interval}".strip()
    words = _WORDS[evidence(change.low, change.high, change.n)]
    return f"{words.format(later=later, earlier=earlier)} ({shown})"


def _levels(record: RunRecord, series: Series, name: str) -> str:
    """List a metric's value for every model that has one."""
    found = [(model.name, series.metric(model.name, name)) for model in models(record)]
    values = [(model, m.value) for model, m in found if m is not None and m.value is not None]
    return ", ".join(f"{model} {Figure(value).text}" for model, value in values)
