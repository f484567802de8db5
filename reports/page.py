"""A whole report: which sections there are, and in which order.

`report` is what a reader wants in ten seconds, in a minute, and what stands behind it, drawings
included; `overview` is what fits a terminal. What a run does not have is said in a sentence.
"""

from collections.abc import Iterator

from harness.records import RunRecord
from reports import breakdown, claims, planned, tables
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
        *_care(record),
        Section("The paper's claims", (claims.summary(held),)),
        *(Section("Claim by claim", (table,), behind=True) for table in claims.table(held)),
        Section("Measurements", measured, behind=True),
        Section("Time and tokens", costs or (_NO_COSTS,), behind=True),
        *_section(PLANNED, tuple(planned.stages(record)), behind=True),
    )


def report(record: RunRecord, found: Changes) -> Iterator[Section]:
    """Everything: the verdict and what it rests on, an axis at a time, then all numbers.

    Where something is drawn, its numbers stand behind; where nothing is, they stand in its place.

    Args:
        record: The run.
        found: What changed in it.
    """
    held = claims.claims(record, found)
    drawn = gallery(record, found)
    yield Section("What it shows", (state(record), verdicts(record, found)))
    yield Section("What ran", (what_ran(record),))
    yield from _care(record)
    yield from _section(AT_A_GLANCE, (*drawn.pop(AT_A_GLANCE, ()), *headlines(record)))
    yield Section("The paper's claims", (claims.tally(held), *claims.table(held)))
    differences = tuple(tables.differences(found))
    cut = tuple(table for one in evaluations(record) for table in breakdown.tables(one))
    loops = tuple(loop(record))
    numbers: dict[str, tuple[Block, ...]] = {
        STEPS: (findings(record, found), *differences),
        BREAKDOWN: cut,
        LOOP: loops,
    }
    for title in (STEPS, *(title for title in drawn if title not in numbers), BREAKDOWN, LOOP):
        yield from _section(title, drawn.get(title) or numbers[title])
    if LOOP not in drawn and not loops:
        yield Section(LOOP, (_no_loop(record),))
    for title, blocks in numbers.items():
        if title in drawn and blocks:
            yield Section(f"{title}, in numbers", blocks, behind=True)
    yield Section("Every measurement", _measurements(record, found), behind=True)
    parts = tuple(table for one in evaluations(record) for table in tables.parts(one))
    yield from _section("Part by part", parts, behind=True)
    shown = tuple(answers(record))
    none = "No evaluation kept answers of all models to the same items."
    yield Section(ANSWERS, shown or (none,))
    costs = (*tables.stage_costs(record), *tables.costs(record))
    yield Section("Time and tokens", costs or (_NO_COSTS,), behind=True)
    yield from _section(PLANNED, tuple(planned.stages(record)))
    yield from _section(f"{PLANNED}, part by part", tuple(planned.parts(record)), behind=True)
    yield Section("Versions", (environment(record),), behind=True)


AT_A_GLANCE = "At a glance"
STEPS = "From model to model"
BREAKDOWN = "By category, difficulty and expected length"
LOOP = "The loop"
PLANNED = "Planned and actual"
ANSWERS = "What each model answered"
_NO_COSTS = "No finished stage has costs."


def _section(title: str, blocks: tuple[Block, ...], *, behind: bool = False) -> Iterator[Section]:
    """Make a section of what there is; none of nothing."""
    if blocks:
        yield Section(title, blocks, behind)


def _care(record: RunRecord) -> Iterator[Section]:
    found = cautions(record)
    if found:
        points = Points(tuple((one.cause, one.text) for one in found), tone="warning")
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
