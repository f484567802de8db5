"""A judge's verdicts on rows, all of a row's verdicts in the row log as soon as they are there.

    verdict/w17/0  [{"text": "on topic, right. Score: 4", "outcome": {"kind": "score", ...}}, ...]

In the details of an item, `written` lays a verdict out:

    {"text": "A 5, B 2. Better: A", "value": 1.0, "order": "own answer first"}

A row's samples are one entry because they are one request, whose prompt is read once: an entry is
whole, or the request is owed again.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from pydantic import JsonValue

from harness.judge import Judge
from harness.records import Failure, Outcome, Record, Score
from harness.rows import RowLog

OWN_FIRST, OWN_SECOND = "own answer first", "own answer second"
"""In which order a judge was shown two answers, the model's own and another."""


class Reading(Record):
    """One verdict, as written and as read."""

    text: str
    outcome: Outcome
    expected: Outcome | None = None
    """See `judge.Verdict.expected`."""
    probabilities: dict[str, float] | None = None
    """See `judge.Verdict.probabilities`; to four places."""

    def written(self) -> dict[str, JsonValue]:
        """Lay it out for the details of an item."""
        return written(self.text, self.outcome, probabilities=self.probabilities)


def written(
    text: str,
    outcome: Outcome,
    order: str | None = None,
    probabilities: Mapping[str, float] | None = None,
) -> dict[str, JsonValue]:
    """Lay a verdict out for the details of an item (`records.ItemResult`).

    Args:
        text: What the judge wrote, whole.
        outcome: What that was read as; of a comparison, seen from the model's side.
        order: Of a comparison, how the answers were shown.
        probabilities: By label, how likely the judge was to write it at the token that decides.
    """
    laid_out: dict[str, JsonValue] = {"text": text}
    if isinstance(outcome, Failure):
        laid_out["failure"] = outcome.reason
    else:
        laid_out["value"] = outcome.value
    if order is not None:
        laid_out["order"] = order
    # To three places, for a reader; what is less likely than that goes.
    told = {label: round(p, 3) for label, p in (probabilities or {}).items()}
    if likely := {label: p for label, p in told.items() if p}:
        laid_out["probabilities"] = {**likely}
    return laid_out


def swapped(outcome: Outcome) -> Outcome:
    """See a verdict on two answers from the other answer's side."""
    return Score(value=1 - outcome.value) if isinstance(outcome, Score) else outcome


def ask(judge: Judge, rows: Iterable[tuple[str, Mapping[str, str]]], log: RowLog) -> None:
    """Have the judge mark the (key, placeholder values) rows that the log holds no verdicts on."""
    unfinished: dict[str, dict[int, Reading]] = defaultdict(dict)
    for verdict in judge.mark((key, values) for key, values in rows if key not in log):
        samples = unfinished[verdict.id]
        samples[verdict.index] = Reading(
            text=verdict.text,
            outcome=verdict.outcome,
            expected=verdict.expected,
            probabilities=_by_label(verdict.probabilities),
        )
        if len(samples) == judge.sampling.n:
            in_order = [samples[index] for index in sorted(samples)]
            log.append(verdict.id, [one.model_dump(mode="json") for one in in_order])
            del unfinished[verdict.id]


def _by_label(told: Mapping[int, float] | None) -> dict[str, float] | None:
    if told is None:
        return None
    return {str(points): round(told[points], 4) for points in sorted(told)}


def read(key: str, log: RowLog) -> tuple[Reading, ...]:
    """Read a row's verdicts back, in the order of their samples."""
    return tuple(Reading.model_validate(row) for row in log[key])
