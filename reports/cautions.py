"""Where a reader could be misled, computed from the record; thresholds are named here.

    Length may be doing the work   AlpacaEval: of 7.1 points that M3 has more than M2, none is left
                                   once length is controlled for.
    Not everything was scored      M2, Judge agreement: 14% of the verdicts could not be read.

Warnings stand under their causes, those first that mislead most: what is wrong with the run, then
what the trainer saw, then what a difference may be due to, then what a figure is not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise
from statistics import correlation, fmean
from typing import Literal, get_args

from harness.records import EvalResult, Failure, Metric, RunRecord, Score
from harness.statistics.significance import holm, sign_flip_test
from reports.changes import AVERAGED, by_category
from reports.evidence import LEAST_ITEMS, LEAST_TAX, MOST_CHANCE
from reports.figures import number, visible
from reports.names import label
from reports.series import Series, chain, evaluations, missing_stages, models, plugin
from reports.verdicts import AXES, INSTRUCTIONS

MOST_NEAR = 0.01
"""Of the questions: so few that resemble a training prompt decide nothing."""
MOST_FAILED = 0.10
FEWEST_ITEMS = 100
MOST_GROWTH = 1.5
LENGTHS = ("average_length", "length_tokens")
MOST_TIES = 0.5
LEAST_AGREEMENT = 0.6
MOST_TRUNCATED = 0.05
LEAST_CONTROLLED = 0.5
"""Of a raw gain, what must be left once length is controlled for."""
LEAST_GAIN = 1.0
"""Points of win rate; of less there is nothing to take away."""
MOST_CORRELATION = 0.3
"""Of how much longer an answer became with how much better it was judged, item by item."""
MOST_LISTED = 3
"""Files that are named one by one."""
OFFICIAL_JUDGES = {"mt_bench": "gpt-4"}
"""Of the published figures, where an evaluation's notes do not say; every version counts."""
_NOTES = ("judge substituted", "not official", "not MT-Bench's")
"""What a metric's note says where its figure is not the published one's kind."""

Cause = Literal[
    "The run stopped before its end",
    "Files are left out",
    "Not measured at all",
    "The trainer warns",
    "Not measured alike",
    "The judge is hardly better than chance",
    "Length may be doing the work",
    "The mean hides benchmarks that fell",
    "Not comparable with published figures",
    "Not everything was scored",
    "Training has seen questions",
    "Answers were cut off",
    "Few items, so that only large differences show",
    "Mostly ties, so that few items decide",
]


@dataclass(frozen=True)
class Caution:
    """A cause, and all that it touches."""

    cause: Cause
    sentences: tuple[str, ...]

    @property
    def text(self) -> str:
        """All of it, as one paragraph."""
        return " ".join(self.sentences)


_Found = Iterator[tuple[Cause, str]]


def cautions(record: RunRecord) -> tuple[Caution, ...]:
    """List every warning under its cause, what misleads most first."""
    found = [*_of_run(record)]
    names = chain(record)
    for series in evaluations(record):
        name = plugin(record, series.name)
        found += [
            *_protocols(series),
            *_agreement(series),
            *_growth(series, names),
            *_controlled(series, names),
            *_substituted(series, OFFICIAL_JUDGES.get(name)),
            *_failures(series),
            *_truncated(series),
            *_few_items(series),
            *_ties(series),
            *_fallen(series, names),
        ]
    found += _longer_is_better(record)
    grouped: dict[Cause, dict[str, None]] = {cause: {} for cause in get_args(Cause)}
    for cause, sentence in found:
        grouped[cause][sentence] = None
    return tuple(Caution(cause, tuple(said)) for cause, said in grouped.items() if said)


def _of_run(record: RunRecord) -> _Found:
    yield from _stopped(record)
    yield from _unreadable(record)
    yield from _missing(record)
    yield from _of_trainer(record)
    yield from _overlap(record)
    yield from _templates(record)


def _stopped(record: RunRecord) -> _Found:
    if record.stopped:
        yield "The run stopped before its end", f"{visible(record.stopped).rstrip('.')}."


def _unreadable(record: RunRecord) -> _Found:
    for file in record.unreadable[:MOST_LISTED]:
        yield "Files are left out", f"This version cannot read {visible(file).rstrip('.')}."
    left = len(record.unreadable) - MOST_LISTED
    if left > 0:
        yield "Files are left out", f"Nor can it read {left:,} more."


def _missing(record: RunRecord) -> _Found:
    """Say which evaluations a finished run was asked for and has nothing of."""
    measured = {series.name for series in evaluations(record)}
    choices = record.request.get("evaluations")
    if missing_stages(record) or not isinstance(choices, list):
        return
    asked = (one.get("label") or one.get("name") for one in choices if isinstance(one, dict))
    for name in dict.fromkeys(map(str, asked)):
        if name not in measured:
            yield "Not measured at all", f"{label(visible(name))} was asked for."


def _of_trainer(record: RunRecord) -> _Found:
    for result in record.stages:
        warnings = result.metrics.get("warnings")
        for warning in warnings if isinstance(warnings, list) else ():
            yield (
                "The trainer warns",
                f"{result.stage}: {visible(str(warning)).rstrip('.')}.",
            )


def _overlap(record: RunRecord) -> _Found:
    """Say which evaluations' questions all training together has seen, word for word or many."""
    last = {name: found for stage in record.stages for name, found in stage.overlap.items()}
    for name, found in last.items():
        if found.exact or len(found.near) > MOST_NEAR * found.questions:
            yield (
                "Training has seen questions",
                f"{label(name)}: {len(found.exact):,} of {found.questions:,}, and "
                f"{len(found.near):,} nearly word for word.",
            )


def _templates(record: RunRecord) -> _Found:
    """Say which models were asked in another chat template than the others."""
    under: dict[str, list[str]] = {}
    for model in models(record):
        if model.chat_template is not None:
            under.setdefault(model.chat_template, []).append(model.name)
    if len(under) > 1:
        said = ", ".join(f"{' and '.join(names)} by {hash}" for hash, names in under.items())
        yield (
            "Not measured alike",
            f"The models were asked by {len(under)} different chat templates ({visible(said)}): "
            "what changed may be the asking.",
        )


def _protocols(series: Series) -> _Found:
    if len(series.protocols) > 1:
        yield (
            "Not measured alike",
            f"{label(series.name)}: its {len(series.results)} models were measured by "
            f"{len(series.protocols)} different protocols; compare only models of the same one.",
        )


def _substituted(series: Series, official: str | None) -> _Found:
    """Repeat the notes without which a figure would be compared with published ones."""
    cause: Cause = "Not comparable with published figures"
    notes = [metric.note for result in series.results.values() for metric in result.metrics]
    parts = (part for note in notes for part in note.split("; "))
    for part in dict.fromkeys(parts):
        if any(words in part for words in _NOTES):
            yield cause, f"{label(series.name)}: {visible(part).rstrip('.')}."
    for judge in dict.fromkeys(result.judge for result in series.results.values()):
        if official and judge and official not in judge:
            whose = visible(judge.partition(", ")[0])
            yield (
                cause,
                f"{label(series.name)}: judged by {whose}, the published figures by {official}.",
            )


def _failures(series: Series) -> _Found:
    cause: Cause = "Not everything was scored"
    for model, result in series.results.items():
        where = f"{model}, {label(series.name)}"
        failed = sum(result.failures.values())
        rate = result.metric("failure_rate")
        nothing = result.metrics and all(metric.value is None for metric in result.metrics)
        if nothing or (result.items and failed == len(result.items)):
            yield cause, f"{where}: nothing{_causes(result)}."
        elif result.items and failed / len(result.items) > MOST_FAILED:
            yield (
                cause,
                f"{where}: {failed / len(result.items):.0%} of the items are not{_causes(result)}; "
                "the figures speak of the others only.",
            )
        elif rate is not None and rate.value is not None and rate.value > MOST_FAILED:
            yield cause, f"{where}: {rate.value:.0%} of the verdicts could not be read."


def _causes(result: EvalResult) -> str:
    counts = sorted(result.failures.items(), key=lambda cause: (-cause[1], cause[0]))
    named = ", ".join(f"{count:,} {visible(reason, longest=40)}" for reason, count in counts)
    return f" ({named})" if named else ""


def _few_items(series: Series) -> _Found:
    sizes = [
        max((metric.n for metric in result.metrics), default=0)
        for result in series.results.values()
    ]
    if sizes and 0 < min(sizes) < FEWEST_ITEMS:
        yield (
            "Few items, so that only large differences show",
            f"{label(series.name)}: {min(sizes)}.",
        )


def _truncated(series: Series) -> _Found:
    for model, result in series.results.items():
        cut = sum(
            item.details.get("truncated") is True
            or (isinstance(item.outcome, Failure) and item.outcome.reason == "truncated")
            for item in result.items
        )
        if result.items and cut / len(result.items) > MOST_TRUNCATED:
            yield (
                "Answers were cut off",
                f"{model}, {label(series.name)}: {cut / len(result.items):.0%} of the items hold a "
                "text that was cut off at its token limit.",
            )


def _ties(series: Series) -> _Found:
    tied = [
        f"{metric.value:.0%} for {model}{f' against {metric.against}' if metric.against else ''}"
        for model, result in series.results.items()
        for metric in result.metrics
        if metric.name in ("tie", "tie_rate") and (metric.value or 0) > MOST_TIES
    ]
    if tied:
        yield (
            "Mostly ties, so that few items decide",
            f"{label(series.name)}: {', '.join(tied)}.",
        )


def _growth(series: Series, names: tuple[str, ...]) -> _Found:
    for length in series.metrics:
        if length not in LENGTHS:
            continue
        for earlier, later in pairwise(names):
            before, after = _value(series, earlier, length), _value(series, later, length)
            if before and after and after / before > MOST_GROWTH:
                yield (
                    "Length may be doing the work",
                    f"{label(series.name)}: {later}'s answers are {after / before:.1f} times as "
                    f"long as {earlier}'s.",
                )


def _controlled(series: Series, names: tuple[str, ...]) -> _Found:
    """Say where a gain in win rate is mostly gone once length is controlled for."""
    for earlier, later in combinations(names, 2):
        raw, left = (
            _gain(series, later, earlier, name)
            for name in ("win_rate", "length_controlled_win_rate")
        )
        if raw is None or left is None or raw < LEAST_GAIN or left >= LEAST_CONTROLLED * raw:
            continue
        kept = f"{number(left, 1)} are" if left > 0 else "none is"
        yield (
            "Length may be doing the work",
            f"{label(series.name)}: of {number(raw, 1)} points that {later} has more than "
            f"{earlier}, {kept} left once length is controlled for.",
        )


def _gain(series: Series, later: str, earlier: str, name: str) -> float | None:
    before, after = _value(series, earlier, name), _value(series, later, name)
    return None if before is None or after is None else after - before


def _longer_is_better(record: RunRecord) -> _Found:
    """Say where the answers that became longer are those that were judged better."""
    found = []
    for series in evaluations(record):
        if plugin(record, series.name) in AXES[INSTRUCTIONS]:
            said = [
                f"{number(together, 2)} ({later} over {earlier}, n {n:,})"
                for earlier, later in pairwise(chain(record))
                for together, n in _together(series, later, earlier)
            ]
            if said:
                found.append(f"{label(series.name)} {', '.join(said)}")
    if found:
        yield (
            "Length may be doing the work",
            "Answers that grew more are judged better, item by item; correlations: "
            f"{'; '.join(found)}.",
        )


def _together(series: Series, later: str, earlier: str) -> Iterator[tuple[float, int]]:
    pairs = [*_grown(series, later, earlier)]
    together = _correlation(pairs) if len(pairs) >= LEAST_ITEMS else None
    if together is not None and together > MOST_CORRELATION:
        yield together, len(pairs)


def _correlation(pairs: list[tuple[float, float]]) -> float | None:
    try:
        return correlation(*zip(*pairs, strict=True))
    except (ValueError, OverflowError):  # all as long, all as good, or beyond reckoning
        return None


def _grown(series: Series, later: str, earlier: str) -> Iterator[tuple[float, float]]:
    """By item, how many characters longer the answer became, and how much better it was judged."""
    if not series.comparable(later, earlier):
        return
    before, scores = series.scores(earlier), series.scores(later)
    answers = {item.id: item.answer for item in series.results[earlier].items}
    both = scores.keys() & before.keys()
    for item in series.results[later].items:
        other = item.details.get("opponent_answer")
        if item.against == earlier and isinstance(other, str) and isinstance(item.outcome, Score):
            yield len(item.answer) - len(other), item.outcome.value
        elif item.against is None and item.id in both:
            yield len(item.answer) - len(answers[item.id]), scores[item.id] - before[item.id]


def _fallen(series: Series, names: tuple[str, ...]) -> _Found:
    """Say which benchmarks fell, which their mean hides where others rose."""
    there = [name for name in names if name in series.results]
    if AVERAGED not in series.metrics or len(there) < 2:
        return
    first, last = there[0], there[-1]
    groups = by_category(series, last, first) if series.comparable(last, first) else {}
    corrected = holm([sign_flip_test(changes) or 1.0 for changes in groups.values()])
    gains = {name: fmean(changes) for name, changes in groups.items()}
    clear = [
        f"{label(name)} by {number(-100 * gains[name], 1)}"
        for name, p in zip(groups, corrected, strict=True)
        if gains[name] <= -LEAST_TAX and p < MOST_CHANCE
    ]
    if clear:
        yield (
            "The mean hides benchmarks that fell",
            f"{label(series.name)}: {last} is below {first} on {', '.join(clear)} points.",
        )


def _agreement(series: Series) -> _Found:
    for model in series.results:
        for name, judge in _JUDGES.items():
            accuracy = _value(series, model, name)
            if accuracy is not None and accuracy < LEAST_AGREEMENT:
                yield (
                    "The judge is hardly better than chance",
                    f"{label(series.name)}: {judge.format(model=model)} agrees with {accuracy:.0%} "
                    "of the human orders, where guessing agrees with half.",
                )


_JUDGES = {
    "pairwise_accuracy": "{model}, as a judge,",
    "external/pairwise_accuracy": "the judge of the evaluations, whose word every judged figure "
    "is,",
}
"""By whose agreement a metric is."""


def _value(series: Series, model: str, name: str) -> float | None:
    metric: Metric | None = series.metric(model, name)
    return None if metric is None else metric.value
