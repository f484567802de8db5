"""Follow a run at a terminal, or in a log file.

    1/7 00-evaluate
      M0/examiner            250 rows    3,310 tokens    806 tokens/s       4.1 s
    2/7 01-train  0:12 elapsed, time left unknown

Finished parts and notes stay; below them the whole run is redrawn in place (`view`). Without a
terminal the same lines are printed, and every ten seconds one on the part under way.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from harness import view
from harness.overview import Overview, Position
from harness.progress import Tracker
from harness.records import Bill, Cost
from harness.remote import ledger
from harness.store import Store

REDRAWS_PER_SECOND = 4
SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_BILLS = 2.0
_TITLE_WIDTH = 24


def can_redraw(console: Console) -> bool:
    """Whether what was written can be drawn over: at a terminal that is not a dumb one."""
    return console.is_terminal and not console.is_dumb_terminal


class Display:
    """Shows a run while it happens. Use it as a context manager."""

    def __init__(
        self,
        store: Store | None = None,
        console: Console | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Write to a console.

        Args:
            store: Where the run is kept, for what its models on servers cost.
            console: Standard error without one.
            clock: Tells the time in seconds.
        """
        self._console = console or Console(stderr=True, highlight=False)
        self._clock = clock
        self._tracker = Tracker(clock)
        self._next_line = float("inf")
        self._ledger = store.ledger() if store else None
        self._entries: list[ledger.Entry] = []
        self._bills: tuple[Bill, ...] = ()
        self._next_bills = 0.0
        self._live = Live(
            console=self._console,
            get_renderable=self._render,
            refresh_per_second=REDRAWS_PER_SECOND,
            transient=True,
        )

    def __enter__(self) -> Self:
        if can_redraw(self._console):
            with suppress(Exception):  # a run needs no screen
                self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(Exception):  # a terminal that is gone must not undo what was done
            self._live.stop()

    def stage(self, position: Position) -> None:
        """A stage begins."""
        self._tracker.stage(position)
        number = position.plan.index(position.stage) + 1
        count, name = f"{number}/{len(position.plan)} ", str(position.stage)
        line = Text.assemble((count, "dim"), (name, "bold"))
        if position.done and not can_redraw(self._console):
            line.append(f"  {view.time_line(self._overview(), self._clock())}")
        self._print(line)

    def part(self, title: str, beside: bool) -> None:
        """A part begins."""
        self._tracker.part(title, beside)
        if not can_redraw(self._console):
            self._next_line = min(self._next_line, self._clock() + SECONDS_BETWEEN_LINES)

    def rows(self, title: str, done: int, total: int | None, cost: Cost) -> None:
        """So many rows of a part are there by now.

        Called for every row, so it only notes the numbers; the screen is redrawn elsewhere.
        """
        self._tracker.rows(title, done, total, cost)
        now = self._clock()
        if now >= self._next_line:
            self._next_line = now + SECONDS_BETWEEN_LINES
            for part in self._tracker.parts_under_way():
                figures = f"{view.part_figures(part, now)}  {view.troubles(part.cost)}"
                self._print(Text(f"  {_title(part.name)} {figures}".rstrip()))

    def part_done(self, title: str, cost: Cost) -> None:
        """A part has ended."""
        self._tracker.part_done(title, cost)
        if not self._tracker.parts_under_way():
            self._next_line = float("inf")
        rows = f"{cost.rows:,} rows" if cost.rows else ""
        tokens, speed, took = "", "", cost.seconds + cost.beside
        if cost.new_tokens:
            tokens = f"{cost.new_tokens:,} tokens"
            speed = f"{cost.new_tokens / took:,.0f} tokens/s" if took else ""
        figures = f"{rows:>12}{tokens:>15}{speed:>18}{_seconds(cost.seconds):>9}"
        more = "  ".join(
            filter(
                None,
                (
                    f"{_seconds(cost.beside)} beside" if cost.beside else "",
                    view.money(cost.dollars, cost.unpriced),
                    view.troubles(cost),
                ),
            )
        )
        self._print(Text(f"  {_title(title)}{figures}  {more}".rstrip()))

    def note(self, text: str) -> None:
        """Say something that should be read, and leave it on the screen."""
        self._print(Text(f"! {view.printable(text)}", style="yellow"))

    def _print(self, text: Text) -> None:
        if self._live.is_started:
            self._live.refresh()  # or the printed line would be followed by an old drawing
        self._console.print(text, soft_wrap=True)

    def _render(self) -> RenderableType:
        """Draw the whole run. What goes wrong here is shown and stops nothing."""
        try:
            overview = self._overview()
            if not overview.plan:
                return Text("...", style="dim")
            width, height = self._console.size
            return view.whole(overview, self._clock(), width, height - 1)
        except Exception as error:  # noqa: BLE001  # it would end the thread that redraws
            return Text(f"the display broke ({error!r}); the run goes on", style="dim")

    def _overview(self) -> Overview:
        position = self._tracker.position
        if position is None:
            return Overview(plan=(), done=())
        return Overview(
            position.plan, position.done, self._tracker.under_way(), bills=self._billed()
        )

    def _billed(self) -> tuple[Bill, ...]:
        """What models on servers have cost, looked up now and then."""
        if self._ledger is not None and (now := self._clock()) >= self._next_bills:
            self._next_bills = now + SECONDS_BETWEEN_BILLS
            if new := self._ledger.new():
                self._entries += new
                self._bills = ledger.bills(self._entries)
        return self._bills


def _title(name: str) -> str:
    return f"{view.printable(name):<{_TITLE_WIDTH}}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else view.clock(seconds)
