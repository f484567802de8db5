"""How far a run is, seen from another process: from its files alone.

    1/3  00-evaluate  done           0:45  M0
    2/3  01-train     under way      0:15  2 parts done: seeds, train SFT
    3/3  01-evaluate  to come       ~0:45

    train M1  ━━━━━━━━━━━╸━━━━━━━━  61/110  0:14 elapsed  0:11 left
    1:00 elapsed, over 0:45 left
    running, process 4711

What a process says it is at is believed only as long as that process holds the run.
"""

import time
from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from harness import view
from harness.display import SECONDS_BETWEEN_LINES, can_redraw
from harness.errors import StoreError
from harness.overview import Overview
from harness.records import RunRecord, Stage, UnderWay
from harness.run import stages
from harness.store import Store

_LEAST_PAUSE, _PAUSES_PER_LOOK = 1.0, 5.0
_PATIENCE = 15.0
"""Seconds that a run may take to be started."""


def show(store: Store, console: Console) -> None:
    """Print how far the run is.

    Raises:
        StoreError: there is no run.
    """
    console.print(_drawn(store, console))


def watch(store: Store, console: Console) -> None:
    """Follow the run until no process works on it, or Ctrl-C.

    At a terminal it is redrawn in place, elsewhere printed again from time to time.

    Raises:
        StoreError: there is no run.
    """
    _await(store)
    while not can_redraw(console) and store.worker() is not None:
        show(store, console)
        time.sleep(SECONDS_BETWEEN_LINES)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while store.worker() is not None:
            began = time.monotonic()
            live.update(_drawn(store, console), refresh=True)
            # Reading a large run takes a while; looking on must not slow it down.
            looked = time.monotonic() - began
            time.sleep(max(_LEAST_PAUSE, _PAUSES_PER_LOOK * looked))
    show(store, console)


def _await(store: Store) -> None:
    """Wait a little for the process of a run that is just being started: it builds first."""
    until = time.monotonic() + _PATIENCE
    record = store.record()
    asked = len(stages(_iterations(record) or 0))
    unfinished = record.stopped is None and sum(r.finished for r in record.stages) < asked
    while unfinished and store.worker() is None and time.monotonic() < until:
        time.sleep(_LEAST_PAUSE)


def _iterations(record: RunRecord) -> int | None:
    """Read how often the run trains; the request of another version may not say."""
    iterations = record.request.get("iterations")
    return iterations if isinstance(iterations, int) else None


def _drawn(store: Store, console: Console) -> RenderableType:
    worker, record = store.worker(), store.record()
    overview = look(store, record, working=worker is not None)
    says = list(_says(store, record, overview, worker))
    drawn = view.whole(overview, time.time(), console.width, console.height - len(says) - 1)
    return Group(drawn, *(Text(view.printable(line)) for line in says))


def look(store: Store, record: RunRecord, working: bool) -> Overview:
    """Put together what the files of a run tell."""
    done = [result for result in record.stages if result.finished]
    iterations = _iterations(record)
    plan = [result.stage for result in done] if iterations is None else stages(iterations)
    under_way = store.progress() if working else _left(store, plan, [r.stage for r in done])
    if working and under_way is not None and under_way.stage in plan:
        before = plan[: plan.index(under_way.stage)]  # what is not finished there is being marked
        done = [result for result in record.stages if result.finished or result.stage in before]
    return Overview(plan, done, under_way, working, record.bills)


def _left(store: Store, plan: Sequence[Stage], done: Sequence[Stage]) -> UnderWay | None:
    """Tell which stage was begun and left, and what it took so far."""
    stage = next((stage for stage in plan if stage not in done), None)
    if stage is None or not store.has_begun(stage):
        return None
    try:
        costs = store.costs(stage)
    except StoreError:  # the record names the file
        costs = {}
    return UnderWay(process="", stage=stage, began=time.time(), earlier=costs)


def _says(store: Store, record: RunRecord, overview: Overview, worker: str | None) -> Iterator[str]:
    """Say in a few lines whether somebody is at it, what stopped it, and what cannot be read."""
    for line in record.unreadable:
        yield f"cannot be read: {line}"
    under_way = overview.under_way
    to_come = len(overview.plan) - len(overview.done)
    if under_way is not None and not overview.working:
        rows = [f"{count:,} rows of {n}" for n, count in store.rows_kept(under_way.stage).items()]
        yield f"kept of {under_way.stage}: {', '.join(rows) or 'no rows yet'}"
    if worker is not None:
        yield f"running, process {worker}"
    elif record.stopped:
        yield f"stopped: {record.stopped}"
    elif to_come:
        stages_to_come = f"{to_come} stage{'s' if to_come > 1 else ''} to come"
        yield f"{stages_to_come}; give the same command to continue"
    else:
        yield "finished"
