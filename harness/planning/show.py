"""A plan on the console: what does not fit first, then where the time goes.

DOES NOT FIT: train by SFT takes 96.1 GB of each GPU's memory, which has 81.2 GB; what ...

stage and part   model   rows   tokens in  out        time   share
02-train                                               12 h    61%
· judge          M1     96,000 14,600,000 14,400,000   9 h     44%
"""

from collections.abc import Iterable, Iterator, Sequence

from rich.table import Table

from harness.records import MemoryNeed, Plan, PlannedPart, PlannedStage
from harness.units import duration, size

_HOUR = 3600.0
DOES_NOT_FIT = "DOES NOT FIT"
"""Begins a line about what is asked for and is not there."""
_LEAST = 0.01
"""Of the whole time, what a part must take to have a line of its own."""
_PLACES = {"gpu": "of each GPU's memory", "machine": "of the machine's memory"}
_TIGHT = 0.9
"""Of the memory there is, what may be taken before it is said to fit barely."""


def headlines(plan: Plan) -> Iterator[str]:
    """What a reader must know first."""
    for need in plan.memory:
        if need.fits is False:
            yield (
                f"{DOES_NOT_FIT}: {need.what} takes {size(need.needed)} {_PLACES[need.place]}, "
                f"which has {size(need.available)}; what would help: {need.remedy}"
            )
    if plan.not_ready:
        yield f"NOT READY: {plan.not_ready}"
    name, most = _widest(plan)
    if plan.gpus and most > plan.gpus:
        yield (
            f"{DOES_NOT_FIT}: {name} is asked for on {most:,} GPUs, and the plan is for "
            f"{plan.gpus:,}; give --gpus {most}, or change replicas or launcher.processes"
        )
    disk = sum(plan.disk.values())
    if plan.disk_free is not None and disk > plan.disk_free:
        free = size(plan.disk_free)
        yield f"{DOES_NOT_FIT}: the run's folder takes {size(disk)}, and {free} are free there"
    yield f"{total(plan)} on {plan.hardware}"


def _widest(plan: Plan) -> tuple[str, int]:
    """Find the part that is asked for on the most GPUs, and how many these are."""
    every = {name: part.gpus for one in plan.stages for name, part in one.parts.items()}
    most = max(every, key=lambda name: every[name], default="")
    return most, every.get(most, 0)


def total(plan: Plan) -> str:
    """The whole run in a line: time, GPU hours, money."""
    known = plan.seconds
    partial = known is None
    seconds = sum(map(seconds_known, plan.stages))
    said = [f"{'over ' if partial else 'about '}{duration(seconds)}"]
    if plan.gpus:
        held = max(plan.gpus, _widest(plan)[1]) * seconds / _HOUR
        said.append(f"{plan.gpu_hours:,.1f} GPU hours of work")
        if plan.gpus > 1:
            said.append(f"{held:,.1f} with all {max(plan.gpus, _widest(plan)[1]):,} held")
        if plan.dollars_per_gpu_hour is not None:
            said.append(f"${held * plan.dollars_per_gpu_hour:,.2f} for GPUs")
    unknown = sorted(
        {part for stage in plan.stages for part, one in stage.parts.items() if one.seconds is None}
    )
    marks = all(part.endswith("/mark") for part in unknown)
    what = "what a judge on a server takes" if marks else ", ".join(unknown[:4])
    beside = f" (not counting {what}: unknown)" if unknown else ""
    return ", ".join(said) + beside


def seconds_known(stage: PlannedStage) -> float:
    """Add up what is known; None in `Plan.seconds` says that something is not."""
    return sum(part.seconds or 0.0 for part in stage.parts.values())


def parts(plan: Plan, narrow: bool = False) -> Table:
    """Every stage, and its parts that take a hundredth of the whole or more.

    Args:
        plan: The plan.
        narrow: Whether to leave out what is asked of which model.
    """
    whole = sum(map(seconds_known, plan.stages)) or 1.0
    bases = {part.basis for one in plan.stages for part in one.parts.values() if part.seconds}
    columns = ["stage and part", "model", "rows", "tokens in", "out", "time"]
    columns += ["GPUs", "GPU hours"] if plan.gpus else []
    columns += ["share", "rests on"]
    hidden = {*range(1, 5)} if narrow else set()
    if len(bases) < 2:
        hidden.add(len(columns) - 1)
    table = Table(box=None)
    for place, name in enumerate(columns):
        right = 1 < place < len(columns) - 1
        if place not in hidden:
            table.add_column(name, justify="right" if right else "left", no_wrap=place == 0)
    for stage in plan.stages:
        for row in _rows(stage, plan, whole):
            table.add_row(*(cell for place, cell in enumerate(row) if place not in hidden))
    if len(bases) == 1:
        table.caption, table.caption_justify = f"times rest on: {bases.pop()}", "left"
    return table


def _rows(stage: PlannedStage, plan: Plan, whole: float) -> Iterator[list[str]]:
    yield _stage_row(stage, plan, whole)
    small: dict[str, PlannedPart] = {}
    for name, part in stage.parts.items():
        little = part.seconds is not None and part.seconds < _LEAST * whole
        if little and (stage.stage.kind == "evaluate" or part.kind in ("idle", "load")):
            small[name] = part
        else:
            yield [f"· {name}", *_row(part, plan, whole)]
    if len(small) == 1:
        [(name, part)] = small.items()
        yield [f"· {name}", *_row(part, plan, whole)]
    elif small:
        found = [*small.values()]
        cells = [*_counts(found), *_time(found, plan, whole)]
        yield [f"· {len(small)} smaller ones", "", *cells, ""]


def _stage_row(stage: PlannedStage, plan: Plan, whole: float) -> list[str]:
    cells = _time([*stage.parts.values()], plan, whole)
    if any(part.seconds is None for part in stage.parts.values()):
        cells[0] = f"over {cells[0]}"
    return [str(stage.stage), "", "", "", "", *cells, ""]


def _row(part: PlannedPart, plan: Plan, whole: float) -> list[str]:
    time = _time([part], plan, whole)
    if part.seconds is None:
        time = ["unknown", *([""] * (len(time) - 1))]
    return [part.model or "", *_counts([part]), *time, part.basis]


def _counts(found: Iterable[PlannedPart]) -> list[str]:
    there = list(found)
    read = [part.prompt_tokens if part.tokens is None else part.tokens for part in there]
    columns = ([part.rows for part in there], read, [part.new_tokens for part in there])
    sums = [sum(one for one in column if one is not None) for column in columns]
    return [f"{one:,}" if one else "" for one in sums]


def _time(found: Sequence[PlannedPart], plan: Plan, whole: float) -> list[str]:
    seconds = sum(part.seconds or 0.0 for part in found)
    hours = []
    if plan.gpus:
        used = {part.gpus for part in found if part.gpus}
        work = sum(part.gpus * (part.seconds or 0.0) for part in found) / _HOUR
        hours = [str(used.pop()) if len(used) == 1 else "", f"{work:,.1f}"]
    return [duration(seconds), *hours, f"{seconds / whole:.0%}"]


def memory(plan: Plan) -> Table:
    """Memory of each GPU, or of the machine, use by use."""
    table = Table("memory for", "in", "needed", "there is", "", "of which", box=None)
    for need in plan.memory:
        table.add_row(
            need.what,
            _where(need),
            size(need.needed),
            size(need.available),
            _fits(need),
            _components(need),
        )
    return table


def _where(need: MemoryNeed) -> str:
    if need.place == "machine":
        return "a machine"
    return "the GPU" if need.gpus == 1 else f"each of {need.gpus:,} GPUs"


def _fits(need: MemoryNeed) -> str:
    if need.fits is None:
        return "not known"
    if not need.fits:
        return "does not fit"
    tight = need.available is not None and need.needed > _TIGHT * need.available
    return "fits, barely" if tight else "fits"


def _components(need: MemoryNeed) -> str:
    largest = sorted(need.parts.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {size(count)}" for name, count in largest if count)


def disk(plan: Plan) -> str:
    """What stays in the run's folder."""
    said = ", ".join(f"{name} {size(count)}" for name, count in plan.disk.items())
    free = f"; {size(plan.disk_free)} free" if plan.disk_free is not None else ""
    return f"disk: {size(sum(plan.disk.values()))} ({said}){free}"
