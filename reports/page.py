"""A whole report: which sections there are, and in which order.

`report` is what a reader wants in ten seconds, in a minute, and what stands behind it, drawings
included; `overview` is what fits a terminal. What a run does not have is said in a sentence.
"""

from collections.abc import Iterator

from harness.records import RunRecord
from reports import breakdown, claims, tables
from reports.answers import answers
from reports.blocks import Block, Points, Section
from reports.cautions import cautions
from reports.changes import Changes, changes
from reports.charts.gallery import gallery
from reports.findings import findings
from reports.headlines import headlines
from reports.loop import loop
from reports.series import Series, evaluations, models
from reports.verdicts import verdicts
from reports.what_ran import environment, state, what_ran


def overview(record: RunRecord) -> tuple[Section, ...]:
    """What fits a terminal: what ran and what it shows, and behind it every measurement."""
    found = changes(record)
    held = claims.claims(record, found)
    measured = (*headlines(record), *_measurements(record, found), *tables.differences(found))
    costs = tuple(tables.stage_costs(record))
    return (
        Section("Run", (state(record), what_ran(record))),
        Section("What it shows", (verdicts(record, found), findings(record, found))),
        Section("The paper's claims", (claims.summary(held),)),
        *_care(record),
        *(Section("Claim by claim", (table,), behind=True) for table in claims.table(held)),
        Section("Measurements", measured, behind=True),
        Section("Time and tokens", costs or (_NO_COSTS,), behind=True),
    )


def report(record: RunRecord, found: Changes) -> Iterator[Section]:
    """Everything: the findings, then an axis at a time, then what stands behind it all.

    Args:
        record: The run.
        found: What changed in it.
    """
    held = claims.claims(record, found)
    drawn = gallery(record, found)

    def section(title: str, *blocks: Block) -> Section:
        return Section(title, (*drawn.pop(title, ()), *blocks))

    shows = section("What it shows", *headlines(record))
    said = (state(record), verdicts(record, found))
    yield Section(shows.title, (*said, *shows.blocks))
    yield Section("The paper's claims", (*claims.table(held), claims.summary(held)))
    yield from _care(record)
    yield Section("What ran", (what_ran(record),))
    differences = tables.differences(found)
    yield section("From model to model", findings(record, found), *differences)
    cut = tuple(table for one in evaluations(record) for table in breakdown.tables(one))
    loops = tuple(loop(record)) or (_no_loop(record),)
    after = (section(BREAKDOWN, *cut), section("The loop", *loops))
    yield from (Section(title, charts) for title, charts in drawn.items())
    yield from (one for one in after if one.blocks)
    yield Section("Every measurement", _measurements(record, found), behind=True)
    parts = tuple(table for one in evaluations(record) for table in tables.parts(one))
    if parts:
        yield Section("Part by part", parts, behind=True)
    shown = tuple(answers(record))
    none = "No evaluation kept answers of all models to the same items."
    yield Section(ANSWERS, shown or (none,))
    costs = (*tables.stage_costs(record), *tables.costs(record))
    yield Section("Time and tokens", costs or (_NO_COSTS,), behind=True)
    yield Section("Versions", (environment(record),), behind=True)


BREAKDOWN = "By category, difficulty and expected length"
ANSWERS = "What each model answered"
_NO_COSTS = "No finished stage has costs."


def _care(record: RunRecord) -> Iterator[Section]:
    warnings = cautions(record)
    if warnings:
        points = Points(tuple(("", one) for one in warnings), tone="warning")
        yield Section("Read with care", (points,))


def _no_loop(record: RunRecord) -> str:
    if any(result.stage.kind == "train" for result in record.stages):
        return "The trainer reported no numbers."
    return "Nothing has been trained in this run."


def _has_metrics(series: Series) -> bool:
    return any(result.metrics for result in series.results.values())


def _measurements(record: RunRecord, found: Changes) -> tuple[Block, ...]:
    series = evaluations(record)
    if not series:
        return ("Nothing was measured in this run, so far.",)
    blocks: list[Block] = [table for one in series for table in tables.measurements(one, found)]
    blocks += [f"{one.name} reported no metric." for one in series if not _has_metrics(one)]
    measured = {model for one in series for model in one.results}
    blocks += [
        f"{model.name} was not measured." for model in models(record) if model.name not in measured
    ]
    return tuple(blocks)
