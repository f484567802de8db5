"""What each evaluation found, in one sentence, by rules that are written down here.

    Examiner        M1 no clear change from SFT (+0.07 [-0.08, +0.21]; a change under 0.14 would
                    not show), M2 better than M1 (+0.39 [+0.28, +0.50]) ... Score (of 5): ...
    Judge           M3 no clear change from M1 (...). Agreement with human pairs: M1 0.82 ...
    Head to head    M1 better than M0 (+0.77 [+0.71, +0.84]), M2 better than M1 (...) ...

`reports.evidence` says when a difference counts; `reports.verdicts` sums the sentences up.
"""

from collections.abc import Iterable

from harness.records import RunRecord
from reports.blocks import Figure, Points
from reports.changes import Change, Changes
from reports.evidence import Evidence
from reports.figures import number
from reports.series import Series, evaluations, models, plugin
from reports.tables import chance

_WORDS: dict[Evidence, str] = {
    "better": "{later} better than {earlier}",
    "worse": "{later} worse than {earlier}",
    "no clear change": "{later} no clear change from {earlier}",
    "not after correction": "{later} not clearly different from {earlier} after correction",
    "too few items": "{later} and {earlier} not told apart on so few items",
    "no interval": "{later} and {earlier} not told apart, too few items differ",
}


_SCORED = (
    ("Examiner", "examiner", "score", "Score (of 5)"),
    ("AlpacaEval", "alpaca_eval", "win_rate", "Win rate (%)"),
    ("MT-Bench", "mt_bench", "score", "Score (of 10)"),
    ("NLP benchmarks", "nlp_benchmarks", "mean", "Mean of all"),
)
"""Evaluations whose items are answers with a score: heading, plug-in, metric, and its words."""

CONTROLLED = "length_controlled_win_rate"
"""Beside a raw win rate, which length alone can raise."""


def findings(record: RunRecord, found: Changes) -> Points:
    """Say what each evaluation found."""
    by_name = by_plugin(record)
    return Points(
        (
            *(
                (heading, _scored(record, found, by_name[name], metric, words))
                for heading, name, metric, words in _SCORED
                if name in by_name
            ),
            ("Judge", _judging(record, found, by_name.get("judge_agreement"))),
            ("Head to head", _head_to_head(found, by_name.get("head_to_head"))),
        )
    )


def by_plugin(record: RunRecord) -> dict[str, Series]:
    """Find the evaluation of each plug-in; the first one where it goes by several labels."""
    return {plugin(record, series.name): series for series in reversed(evaluations(record))}


def shown(change: Change) -> str:
    """Write a change with its interval, and what is in doubt: `+0.39 [+0.28, +0.50]`."""
    value, low, high, _ = change.estimate
    if value is None:
        return "nothing could be scored"
    ends = [abs(end) for end in (low, high) if end]
    # A bound that is printed as 0 would contradict the words.
    fine = max(ends, default=1.0) < 0.1 or min(ends, default=1.0) < 0.005
    figure = Figure(value, low, high, 3 if fine else 2, signed=True)
    return f"{figure.text} {figure.interval}".strip() + _doubt(change)


def said(change: Change) -> str:
    """Say what a change shows, and where it shows none, how large one would have shown."""
    if change.estimate.value is None:
        return f"{change.later} cannot be compared with {change.earlier} (nothing could be scored)"
    words = _WORDS[change.evidence].format(later=change.later, earlier=change.earlier)
    return f"{words} ({shown(change)})"


def _doubt(change: Change) -> str:
    """Say why a change does not count: how large one would have shown, or how likely chance is."""
    if change.evidence == "not after correction":
        return f", corrected p {chance(change.corrected)}"
    least = change.least_visible
    if change.evidence != "no clear change" or least is None:
        return ""
    return f"; a change under {number(least, 2 if least >= 0.1 else 3)} would not show"


def _scored(record: RunRecord, found: Changes, series: Series, metric: str, words: str) -> str:
    levels = _levels(record, series, metric)
    if not levels:
        return "not a single answer could be scored."
    controlled = _levels(record, series, CONTROLLED)
    if controlled:
        levels += f". Length-controlled: {controlled}"
    return _sentences(_steps(found, series), f"{words}: {levels}")


def _judging(record: RunRecord, found: Changes, series: Series | None) -> str:
    if series is None:
        return "not measured: judge_agreement did not run."
    levels = _levels(record, series, "pairwise_accuracy")
    if not levels:
        return "not a single judgement could be read, so no agreement can be given."
    steps = _steps(found, series)
    # Another mean than the levels': items are instructions, so that they can be paired.
    basis = "; the change is of the mean per instruction, a tie half right" if steps else ""
    return _sentences(steps, f"Agreement with human pairs (ties left out{basis}): {levels}")


def _head_to_head(found: Changes, series: Series | None) -> str:
    if series is None:
        return "not measured: head_to_head did not run."
    games = (one for one in found.found if one.evaluation == series.name and one.estimate.n)
    # Answers stored elsewhere are in no step of the run.
    steps = _steps(found, series) or [said(one) for one in games]
    return _sentences(steps, "The figures are net wins") if steps else "no models were compared."


def _steps(found: Changes, series: Series) -> list[str]:
    """Compare each model with the one before, item by item."""
    one_by_one = (step for step in found.steps if step != found.loop or step in found.rounds)
    there = (found.of(series.name, step) for step in one_by_one)
    return [said(change) for change in there if change is not None]


def _sentences(steps: Iterable[str], levels: str) -> str:
    sentence = ", ".join(steps)
    return f"{sentence}. {levels}." if sentence else f"{levels}."


def _levels(record: RunRecord, series: Series, name: str) -> str:
    """List a metric's value for every model that has one."""
    found = [(model.name, series.metric(model.name, name)) for model in models(record)]
    values = [(model, m.value) for model, m in found if m is not None and m.value is not None]
    return ", ".join(f"{model} {Figure(value).text}" for model, value in values)
