"""Follow a run from what a display is told, and leave word of it for other processes.

    tracker.part("judge", beside=False)
    tracker.rows("judge", 512, 1024, Cost(rows=512))
    tracker.under_way()   ->   UnderWay(part=PartUnderWay(name="judge", done=512, ...), ...)

The word is a small file that is written when a part begins, and at most once a second in it.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from harness.overview import Position
from harness.records import Cost, PartUnderWay, UnderWay
from harness.store import Store

SECONDS_BETWEEN_NOTES = 1.0


@dataclass
class _Part:
    """What was told of a part under way."""

    beside: bool
    began: float
    since: float
    rows: tuple[int, int | None, Cost] = (0, None, Cost())
    earlier: int | None = None
    """How many rows were there when counting began; None before it told of any."""


class Tracker:
    """Remembers what a display was told. Telling it a row only stores three references."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.position: Position | None = None
        self._began = 0.0
        # Replaced, never changed: they are read while other threads draw.
        self._ended: dict[str, Cost] = {}
        self._parts: dict[str, _Part] = {}
        self._to_come: list[str] = []

    def stage(self, position: Position) -> None:
        """A stage begins; what is under way then is of an earlier one, and goes on."""
        self.position, self._began = position, self._clock()
        self._ended, self._to_come = {}, list(position.parts)

    def part(self, title: str, beside: bool) -> None:
        """A part begins."""
        self._to_come = [name for name in self._to_come if name != title]
        now = self._clock()
        self._parts = {**self._parts, title: _Part(beside, now, now)}

    def rows(self, title: str, done: int, total: int | None, cost: Cost) -> None:
        """So many rows of a part are there by now.

        A first call that brings several, and none that was counted, tells of an earlier attempt;
        one that brings fewer than the one before, that something else is counted now.
        """
        if (part := self._parts.get(title)) is None:
            return
        if done < part.rows[0]:
            part.earlier, part.since = done, self._clock()
        if part.earlier is None and done:
            part.earlier = done if done > 1 and not cost.rows else 0
        part.rows = done, total, cost

    def part_done(self, title: str, cost: Cost) -> None:
        """A part has ended."""
        self._parts = {name: part for name, part in self._parts.items() if name != title}
        self._ended = {**self._ended, title: self._ended.get(title, Cost()) + cost}

    def parts_under_way(self) -> list[PartUnderWay]:
        """The parts under way: the stage's own first, then those beside, in order."""
        return [
            PartUnderWay(
                name=name,
                began=part.began,
                since=part.since,
                done=part.rows[0],
                total=part.rows[1],
                earlier=part.earlier or 0,
                cost=part.rows[2],
            )
            for name, part in sorted(self._parts.items(), key=lambda one: one[1].beside)
        ]

    def under_way(self) -> UnderWay | None:
        """All of it, as others are told; None before a stage has begun."""
        if (position := self.position) is None:
            return None
        parts = self.parts_under_way()
        return UnderWay(
            process=str(os.getpid()),
            stage=position.stage,
            began=self._began,
            earlier=dict(position.costs),
            ended=self._ended,
            part=parts[0] if parts else None,
            beside=tuple(parts[1:]),
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

    def part(self, title: str, beside: bool) -> None:
        """A part begins."""
        self._tracker.part(title, beside)
        self._note()

    def rows(self, title: str, done: int, total: int | None, cost: Cost) -> None:
        """So many rows of a part are there by now."""
        self._tracker.rows(title, done, total, cost)
        if self._clock() >= self._next:
            self._note()

    def part_done(self, title: str, cost: Cost) -> None:
        """A part has ended."""
        self._tracker.part_done(title, cost)

    def note(self, text: str) -> None:
        """Keep nothing: notes are for those who look on."""

    def _note(self) -> None:
        self._next = self._clock() + SECONDS_BETWEEN_NOTES
        self._store.note_progress(self._tracker.under_way())
