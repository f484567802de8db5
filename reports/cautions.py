"""Where a reader could be misled, computed from the record; thresholds are named here.

    M2 / judge_agreement: 14 % of the verdicts could not be scored (31 no_score).
    M2: answers are 1.8 times as long as M1's (length_tokens); length may be doing the work.

The trainer's own warnings come first: it saw what happened.
"""

from collections.abc import Iterator
from itertools import pairwise

from harness.records import EvalResult, Failure, Metric, RunRecord
from reports.figures import visible
from reports.series import Series, chain, evaluations

MOST_FAILED = 0.10
FEWEST_ITEMS = 100
MOST_GROWTH = 1.5
LENGTHS = ("average_length", "length_tokens")
MOST_TIES = 0.5
LEAST_AGREEMENT = 0.6
MOST_TRUNCATED = 0.05


def cautions(record: RunRecord) -> tuple[str, ...]:
    """List every warning, in the order in which a reader meets its cause."""
    found = [*_of_trainer(record), *_overlap(record)]
    for series in evaluations(record):
        found += [
            *_protocols(series),
            *_failures(series),
            *_few_items(series),
            *_truncated(series),
            *_ties(series),
            *_growth(series, chain(record)),
            *_agreement(series),
        ]
    return tuple(dict.fromkeys(found))


def _of_trainer(record: RunRecord) -> Iterator[str]:
    for result in record.stages:
        warnings = result.metrics.get("warnings")
        for warning in warnings if isinstance(warnings, list) else ():
            yield f"{result.stage}: {visible(str(warning))}"


def _overlap(record: RunRecord) -> Iterator[str]:
    """Say of each evaluation how many of its questions all training together has seen."""
    last = {name: found for stage in record.stages for name, found in stage.overlap.items()}
    for name, found in last.items():
        if found.exact or found.near:
            yield (
                f"{name}: training has seen {len(found.exact):,} of its {found.questions:,} "
                f"questions, and {len(found.near):,} nearly word for word."
            )


def _protocols(series: Series) -> Iterator[str]:
    if len(series.protocols) > 1:
        yield (
            f"{series.name}: its {len(series.results)} models were measured by "
            f"{len(series.protocols)} different protocols; compare only models of the same one."
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


def _agreement(series: Series) -> Iterator[str]:
    for model in series.results:
        accuracy = _value(series, model, "pairwise_accuracy")
        if accuracy is not None and accuracy < LEAST_AGREEMENT:
            yield (
                f"{model} / {series.name}: as a judge it agrees with {accuracy:.0%} of the human "
                "orders, where guessing agrees with half."
            )


def _value(series: Series, model: str, name: str) -> float | None:
    metric: Metric | None = series.metric(model, name)
    return None if metric is None else metric.value
