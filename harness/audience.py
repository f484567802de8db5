"""Who is told how far a run is: one display, several, or nobody."""

import logging
from collections.abc import Callable
from typing import Protocol

from harness.overview import Position
from harness.records import Cost

_LOG = logging.getLogger(__name__)


class Display(Protocol):
    """Whoever wants to know how far a run is."""

    def stage(self, position: Position) -> None:
        """A stage begins."""
        ...

    def part(self, title: str, beside: bool) -> None:
        """A part begins: the stage's own or, beside it, one in another thread."""
        ...

    def rows(self, title: str, done: int, total: int | None, cost: Cost) -> None:
        """So many rows of a part are there by now, and that is what it has cost."""
        ...

    def part_done(self, title: str, cost: Cost) -> None:
        """A part has ended."""
        ...

    def note(self, text: str) -> None:
        """There is something to be read."""
        ...


class Silent:
    """A display for nobody."""

    def stage(self, position: Position) -> None:
        """Say nothing."""

    def part(self, title: str, beside: bool) -> None:
        """Say nothing."""

    def rows(self, title: str, done: int, total: int | None, cost: Cost) -> None:
        """Say nothing."""

    def part_done(self, title: str, cost: Cost) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""


class Audience:
    """Several displays as one. A display that breaks is sent away; the run goes on."""

    def __init__(self, *displays: Display) -> None:
        self._displays = list(displays)

    def _tell(self, tell: Callable[[Display], None]) -> None:
        for display in [*self._displays]:
            try:
                tell(display)
            except Exception:  # noqa: BLE001  # whatever it is, it is not worth a run
                self._displays.remove(display)
                _LOG.warning("a display broke and is left out from here on", exc_info=True)

    def stage(self, position: Position) -> None:
        """Tell everybody."""
        self._tell(lambda display: display.stage(position))

    def part(self, title: str, beside: bool) -> None:
        """Tell everybody."""
        self._tell(lambda display: display.part(title, beside))

    def rows(self, title: str, done: int, total: int | None, cost: Cost) -> None:
        """Tell everybody."""
        self._tell(lambda display: display.rows(title, done, total, cost))

    def part_done(self, title: str, cost: Cost) -> None:
        """Tell everybody."""
        self._tell(lambda display: display.part_done(title, cost))

    def note(self, text: str) -> None:
        """Tell everybody."""
        self._tell(lambda display: display.note(text))
