"""What a run was expected to take, beside what it took.

                planned time   time     time/planned   planned new tokens   new tokens
02-train        21.8 s         21.1 s   0.97           61,000               62,233
· judge         7.2 s          7.0 s    0.97           48,000               47,663
whole run       3 min 02 s     3 min 05 s   1.02

Only stages that have finished are compared, and only where the plan was made for this request.
"""

from collections.abc import Iterable, Iterator, Sequence

from harness.records import Cost, PlannedPart, RunRecord, StageResult
from harness.units import duration
from reports.blocks import Row, Table
from reports.figures import DASH, visible

_COLUMNS = (
    "planned time", "time", "time/planned", "planned new tokens", "new tokens", "planned rows",
    "rows",
)  # fmt: skip
_OF_STAGES = 5
"""How many of these columns a stage has as a whole: its rows are of many kinds."""


def stages(record: RunRecord) -> Iterator[Table]:
    """Compare every finished stage as a whole."""
    rows = [_row(str(result.stage), *_summed(pairs)) for result, pairs in _finished(record)]
    if rows:
        yield _table(record, [*rows, _whole(record)], _OF_STAGES)


def parts(record: RunRecord) -> Iterator[Table]:
    """Compare every part of every finished stage."""
    rows: list[Row] = []
    for result, pairs in _finished(record):
        rows.append(_row(str(result.stage), *_summed(pairs)))
        rows += [_row(f"· {name}", planned, cost) for name, planned, cost in pairs]
    if rows:
        yield _table(record, [*rows, _whole(record)])


Pair = tuple[str, PlannedPart | None, Cost | None]


def _finished(record: RunRecord) -> Iterator[tuple[StageResult, Sequence[Pair]]]:
    """Pair the parts of each finished stage with what was planned for them."""
    plan = record.plan
    planned = {one.stage: one.parts for one in plan.stages} if plan else {}
    for result in record.stages:
        expected = planned.get(result.stage)
        if expected is not None and result.finished and result.costs:
            names = dict.fromkeys((*result.costs, *expected))
            yield (
                result,
                [(name, expected.get(name), result.costs.get(name)) for name in names],
            )


def _whole(record: RunRecord) -> Row:
    finished = [pairs for _, pairs in _finished(record)]
    whole = record.plan is not None and len(finished) == len(record.plan.stages)
    every = [pair for pairs in finished for pair in pairs]
    return _row("whole run" if whole else "so far", *_summed(every))


def _summed(pairs: Iterable[Pair]) -> tuple[PlannedPart, Cost]:
    """Add up; one part whose time was unknown makes the sum unknown."""
    there = list(pairs)
    planned = [one for _, one, _ in there if one is not None]
    seconds = [one.seconds for one in planned]
    known = [one for one in seconds if one is not None]
    counted = [one for one in planned if one.tokens is None]
    whole = PlannedPart(
        seconds=sum(known) if len(known) == len(seconds) else None,
        rows=sum(one.rows or 0 for one in counted),
        new_tokens=sum(one.new_tokens or 0 for one in planned),
    )
    return whole, sum((cost for _, _, cost in there if cost is not None), Cost())


def _row(name: str, planned: PlannedPart | None, cost: Cost | None) -> Row:
    expected = planned.seconds if planned else None
    taken = cost.seconds if cost else None
    rows = planned.rows if planned and planned.tokens is None else None
    return Row(
        visible(name, longest=60),
        (
            (DASH if planned is None else "unknown") if expected is None else duration(expected),
            DASH if taken is None else duration(taken),
            _ratio(taken, expected),
            _count(planned.new_tokens if planned else None),
            _count(cost.new_tokens if cost else None),
            _count(rows),
            _count(cost.rows if cost else None),
        ),
    )


def _ratio(taken: float | None, expected: float | None) -> str:
    """Say how a time turned out; of less than a second it would say nothing."""
    if not taken or not expected or max(taken, expected) < 1:
        return ""
    return f"{taken / expected:.2f}"


def _count(count: int | None) -> str:
    return f"{count:,}" if count else ""


def _table(record: RunRecord, rows: Sequence[Row], columns: int = len(_COLUMNS)) -> Table:
    plan = record.plan
    assert plan is not None, "there are rows only where there is a plan"
    bases = dict.fromkeys(
        part.basis for stage in plan.stages for part in stage.parts.values() if part.basis
    )
    on = visible(f"{plan.hardware}; times rest on: {', '.join(bases)}.", longest=240)
    shown = tuple(Row(row.label, row.cells[:columns]) for row in rows)
    return Table("", _COLUMNS[:columns], shown, note=f"Planned for {on}")
