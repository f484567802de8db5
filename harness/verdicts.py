"""A judge's verdicts on rows, all of a row's verdicts in the row log as soon as they are there.

    verdict/w17/0  [{"text": "on topic, right. Score: 4", "outcome": {"kind": "score", ...}}, ...]

A row's samples are one entry because they are one request, whose prompt is read once: an entry is
whole, or the request is owed again.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from harness.judge import Judge
from harness.records import Outcome, Record
from harness.rows import RowLog


class Reading(Record):
    """One verdict, as written and as read."""

    text: str
    outcome: Outcome
    expected: Outcome | None = None
    """See `judge.Verdict.expected`."""


def ask(judge: Judge, rows: Iterable[tuple[str, Mapping[str, str]]], log: RowLog) -> None:
    """Have the judge mark the (key, placeholder values) rows that the log holds no verdicts on."""
    unfinished: dict[str, dict[int, Reading]] = defaultdict(dict)
    for verdict in judge.mark((key, values) for key, values in rows if key not in log):
        samples = unfinished[verdict.id]
        samples[verdict.index] = Reading(
            text=verdict.text, outcome=verdict.outcome, expected=verdict.expected
        )
        if len(samples) == judge.sampling.n:
            in_order = [samples[index] for index in sorted(samples)]
            log.append(verdict.id, [one.model_dump(mode="json") for one in in_order])
            del unfinished[verdict.id]


def read(key: str, log: RowLog) -> tuple[Reading, ...]:
    """Read a row's verdicts back, in the order of their samples."""
    return tuple(Reading.model_validate(row) for row in log[key])
