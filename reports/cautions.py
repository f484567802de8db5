"""Where a reader could be misled, computed from the record; thresholds are named here.

    M2 / judge_agreement: 14 % of the verdicts could not be scored (31 no_score).
    M2: answers are 1.8 times as long as M1's (length_tokens); length may be doing the work.

What is wrong with the run comes first, then the trainer's own warnings: it saw what happened.
"""

from collections.abc import Iterator
from itertools import pairwise
from statistics import correlation

from harness.records import EvalResult, Failure, Metric, RunRecord, Score
from reports.evidence import LEAST_ITEMS
from reports.figures import number, visible
from reports.series import Series, chain, evaluations, models, plugin
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


def cautions(record: RunRecord) -> tuple[str, ...]:
    """List every warning, in the order in which a reader meets its cause."""
    found = [
        *_stopped(record),
        *_unreadable(record),
        *_of_trainer(record),
        *_overlap(record),
        *_templates(record),
    ]
    names = chain(record)
    for series in evaluations(record):
        name = plugin(record, series.name)
        found += [
            *_protocols(series),
            *_substituted(series, OFFICIAL_JUDGES.get(name)),
            *_failures(series),
            *_few_items(series),
            *_truncated(series),
            *_ties(series),
            *_growth(series, names),
            *_controlled(series, names),
            *(_longer_is_better(series, names) if name in AXES[INSTRUCTIONS] else ()),
            *_agreement(series),
        ]
    return tuple(dict.fromkeys(found))


def _stopped(record: RunRecord) -> Iterator[str]:
    if record.stopped:
        yield f"The run stopped before its end: {visible(record.stopped).rstrip('.')}."


def _unreadable(record: RunRecord) -> Iterator[str]:
    for file in record.unreadable[:MOST_LISTED]:
        yield f"Left out, since this version cannot read it: {visible(file).rstrip('.')}."
    left = len(record.unreadable) - MOST_LISTED
    if left > 0:
        yield f"{left:,} more files of the run are left out, since this version cannot read them."


def _of_trainer(record: RunRecord) -> Iterator[str]:
    for result in record.stages:
        warnings = result.metrics.get("warnings")
        for warning in warnings if isinstance(warnings, list) else ():
            yield f"{result.stage}: {visible(str(warning))}"


def _overlap(record: RunRecord) -> Iterator[str]:
    """Say which evaluations' questions all training together has seen, word for word or many."""
    last = {name: found for stage in record.stages for name, found in stage.overlap.items()}
    for name, found in last.items():
        if found.exact or len(found.near) > MOST_NEAR * found.questions:
            yield (
                f"{name}: training has seen {len(found.exact):,} of its {found.questions:,} "
                f"questions, and {len(found.near):,} nearly word for word."
            )


def _templates(record: RunRecord) -> Iterator[str]:
    """Say which models were asked in another chat template than the others."""
    under: dict[str, list[str]] = {}
    for model in models(record):
        if model.chat_template is not None:
            under.setdefault(model.chat_template, []).append(model.name)
    if len(under) > 1:
        said = ", ".join(f"{' and '.join(names)} by {hash}" for hash, names in under.items())
        yield (
            f"The models were asked by {len(under)} different chat templates ({visible(said)}): "
            "what changed may be the asking."
        )


def _protocols(series: Series) -> Iterator[str]:
    if len(series.protocols) > 1:
        yield (
            f"{series.name}: its {len(series.results)} models were measured by "
            f"{len(series.protocols)} different protocols; compare only models of the same one."
        )


def _substituted(series: Series, official: str | None) -> Iterator[str]:
    """Repeat the notes without which a figure would be compared with published ones."""
    notes = [metric.note for result in series.results.values() for metric in result.metrics]
    parts = (part for note in notes for part in note.split("; "))
    for part in dict.fromkeys(parts):
        if any(words in part for words in _NOTES):
            yield f"{series.name}: {visible(part).rstrip('.')}."
    for judge in dict.fromkeys(result.judge for result in series.results.values()):
        if official and judge and official not in judge:
            yield (
                f"{series.name}: judged by {visible(judge)}, the published figures by "
                f"{official}: not comparable with them."
            )


def _failures(series: Series) -> Iterator[str]:
    for model, result in series.results.items():
        where = f"{model} / {series.name}"
        failed = sum(result.failures.values())
        rate = result.metric("failure_rate")
        if result.metrics and all(metric.value is None for metric in result.metrics):
            yield f"{where}: nothing could be scored{_causes(result)}."
        elif result.items and failed / len(result.items) > MOST_FAILED:
            yield (
                f"{where}: {failed / len(result.items):.0%} of the items could not be "
                f"scored{_causes(result)}; the figures speak of the others only."
            )
        elif rate is not None and rate.value is not None and rate.value > MOST_FAILED:
            yield f"{where}: {rate.value:.0%} of the verdicts could not be read."


def _causes(result: EvalResult) -> str:
    counts = sorted(result.failures.items(), key=lambda cause: (-cause[1], cause[0]))
    named = ", ".join(f"{count:,} {visible(reason, longest=40)}" for reason, count in counts)
    return f" ({named})" if named else ""


def _few_items(series: Series) -> Iterator[str]:
    sizes = [
        max((metric.n for metric in result.metrics), default=0)
        for result in series.results.values()
    ]
    if sizes and 0 < min(sizes) < FEWEST_ITEMS:
        yield (
            f"{series.name}: rests on {min(sizes)} items or fewer, so that only large differences "
            "can be seen."
        )


def _truncated(series: Series) -> Iterator[str]:
    for model, result in series.results.items():
        cut = sum(
            item.details.get("truncated") is True
            or (isinstance(item.outcome, Failure) and item.outcome.reason == "truncated")
            for item in result.items
        )
        if result.items and cut / len(result.items) > MOST_TRUNCATED:
            yield (
                f"{model} / {series.name}: {cut / len(result.items):.0%} of the items hold a text "
                "that was cut off at its token limit."
            )


def _ties(series: Series) -> Iterator[str]:
    for model, result in series.results.items():
        for metric in result.metrics:
            if metric.name in ("tie", "tie_rate") and (metric.value or 0) > MOST_TIES:
                whom = f" against {metric.against}" if metric.against else ""
                yield (
                    f"{model}{whom} / {series.name}: {metric.value:.0%} ties; what is left decides "
                    "on few items."
                )


def _growth(series: Series, names: tuple[str, ...]) -> Iterator[str]:
    for length in series.metrics:
        if length not in LENGTHS:
            continue
        for earlier, later in pairwise(names):
            before, after = _value(series, earlier, length), _value(series, later, length)
            if before and after and after / before > MOST_GROWTH:
                yield (
                    f"{later} / {series.name}: answers are {after / before:.1f} times as long as "
                    f"{earlier}'s; length may be doing the work."
                )


def _controlled(series: Series, names: tuple[str, ...]) -> Iterator[str]:
    """Say where a gain in win rate is mostly gone once length is controlled for."""
    for earlier, later in pairwise(names):
        raw, left = (
            _gain(series, later, earlier, name)
            for name in ("win_rate", "length_controlled_win_rate")
        )
        if raw is None or left is None or raw < LEAST_GAIN or left >= LEAST_CONTROLLED * raw:
            continue
        yield (
            f"{later} / {series.name}: of {number(raw, 1)} points more than {earlier}, "
            f"{number(max(left, 0), 1)} are left once length is controlled for; length may be "
            "doing the work."
        )


def _gain(series: Series, later: str, earlier: str, name: str) -> float | None:
    before, after = _value(series, earlier, name), _value(series, later, name)
    return None if before is None or after is None else after - before


def _longer_is_better(series: Series, names: tuple[str, ...]) -> Iterator[str]:
    """Say where the answers that became longer are those that were judged better."""
    found = []
    for earlier, later in pairwise(names):
        pairs = [*_grown(series, later, earlier)]
        together = _correlation(pairs) if len(pairs) >= LEAST_ITEMS else None
        if together is not None and together > MOST_CORRELATION:
            found.append(f"{number(together, 2)} over {len(pairs):,} items, {later} over {earlier}")
    if found:
        yield (
            f"{series.name}: the answers that became longer are those judged better (correlation "
            f"{'; '.join(found)}); length may be doing the work."
        )


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


def _agreement(series: Series) -> Iterator[str]:
    for model in series.results:
        for name, judge in _JUDGES.items():
            accuracy = _value(series, model, name)
            if accuracy is not None and accuracy < LEAST_AGREEMENT:
                yield (
                    f"{judge.format(model=model, series=series.name)} agrees with {accuracy:.0%} "
                    "of the human orders, where guessing agrees with half."
                )


_JUDGES = {
    "pairwise_accuracy": "{model} / {series}: as a judge it",
    "external/pairwise_accuracy": "{series}: the judge of the evaluations, whose word every "
    "judged figure is,",
}
"""By whose agreement a metric is."""


def _value(series: Series, model: str, name: str) -> float | None:
    metric: Metric | None = series.metric(model, name)
    return None if metric is None else metric.value
