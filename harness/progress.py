"""Follow a run from what a display is told, and leave word of it for other processes.

    tracker.part("judge")
    tracker.rows(512, 1024, Cost(rows=512))
    tracker.under_way()   ->   UnderWay(part=PartUnderWay(name="judge", done=512, ...), ...)

The word is a small file that is written when a part begins, and at most once a second in it.
"""

import os
import time
from collections.abc import Callable

from harness.overview import Position
from harness.records import Cost, PartUnderWay, UnderWay
from harness.store import Store

SECONDS_BETWEEN_NOTES = 1.0


class Tracker:
    """Remembers what a display was told. Telling it a row only stores three references."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.position: Position | None = None
        self._began = 0.0
        self._ended: dict[str, Cost] = {}
        self._part: tuple[str, float] | None = None
        self._rows: tuple[int, int | None, Cost] = 0, None, Cost()
        self._earlier: int | None = None
        """How many rows were there when counting began; None before it told of any."""
        self._since = 0.0
        self._to_come: list[str] = []

    def stage(self, position: Position) -> None:
        """A stage begins."""
        self.position, self._began = position, self._clock()
        self._ended, self._to_come = {}, list(position.parts)
        self._part = None

    def part(self, title: str) -> None:
        """A part of the stage begins."""
        if title in self._to_come:
            self._to_come.remove(title)
        self._rows, self._earlier = (0, None, Cost()), None
        self._since = self._clock()
        self._part = title, self._since

    def rows(self, done: int, total: int | None, cost: Cost) -> None:
        """So many rows of the part are there by now.

        A first call that brings several, and none that was counted, tells of an earlier attempt;
        one that brings fewer than the one before, that something else is counted now.
        """
        if done < self._rows[0]:
            self._earlier, self._since = done, self._clock()
        if self._earlier is None and done:
            self._earlier = done if done > 1 and not cost.rows else 0
        self._rows = done, total, cost

    def part_done(self, cost: Cost) -> None:
        """The part has ended."""
        if self._part is not None:
            title, self._part = self._part[0], None
            self._ended = {**self._ended, title: self._ended.get(title, Cost()) + cost}

    def part_under_way(self) -> PartUnderWay | None:
        """The present part, or None between parts."""
        if (part := self._part) is None:
            return None
        done, total, cost = self._rows
        return PartUnderWay(
            name=part[0],
            began=part[1],
            since=self._since,
            done=done,
            total=total,
            earlier=self._earlier or 0,
            cost=cost,
        )

    def under_way(self) -> UnderWay | None:
        """All of it, as others are told; None before a stage has begun."""
        if (position := self.position) is None:
            return None
        return UnderWay(
            process=str(os.getpid()),
            stage=position.stage,
            began=self._began,
            earlier=dict(position.costs),
            ended=self._ended,
            part=self.part_under_way(),
            to_come=tuple(self._to_come),
        )


class ProgressFile:
    """A display for other processes: a small file in the run's folder, at most once a second."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._tracker = Tracker(clock)
        self._next = 0.0

    def stage(self, position: Position) -> None:
        """A stage begins."""
        self._tracker.stage(position)
        self._note()

    def part(self, title: str) -> None:
        """A part of the stage begins."""
        self._tracker.part(title)
        self._note()

    def rows(self, done: int, total: int | None, cost: Cost) -> None:
        """So many rows of the part are there by now."""
        self._tracker.rows(done, total, cost)
        if self._clock() >= self._next:
            self._note()

    def part_done(self, cost: Cost) -> None:
        """The part has ended."""
        self._tracker.part_done(cost)

    def note(self, text: str) -> None:
        """Keep nothing: notes are for those who look on."""

    def _note(self) -> None:
        self._next = self._clock() + SECONDS_BETWEEN_NOTES
        self._store.note_progress(self._tracker.under_way())
