"""How far a run is, for a person at a terminal, or for a log file.

    1/7 00-evaluate
      M0/examiner            250 rows    3,310 tokens    806 tokens/s       4.1 s
    2/7 01-train
    2/7  sft  ━━━━━━━━━━━╸━━━━━━━━  61/110  0:14 elapsed  0:11 left

Finished parts and notes stay; the part under way is redrawn in place. Without a terminal the same
lines are printed, and every ten seconds one on the part under way.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.records import Cost

REDRAWS_PER_SECOND = 8
SECONDS_BETWEEN_LINES = 10.0
_TITLE_WIDTH = 26
_LEAST_BAR, _LONGEST_BAR = 6, 20
_GAP = 2
_LEAST_SHARE = 0.02


@dataclass
class _Part:
    """The part under way. Times are the clock's; rates count what this process did."""

    title: str
    begun: float
    done: int = 0
    total: int | None = None
    new_tokens: int = 0
    earlier: int = 0
    """Rows that were already there when the part was first heard of."""

    def left(self, now: float) -> float | None:
        """Estimate the seconds to come; None where nothing is known yet."""
        made, elapsed = self.done - self.earlier, now - self.begun
        # The first rows come after a whole batch, or after loading: nothing to go by yet.
        if self.total is None or made <= 0 or elapsed <= 0 or made < _LEAST_SHARE * self.total:
            return None
        return max(self.total - self.done, 0) * elapsed / made

    def tokens_per_second(self, now: float) -> float | None:
        """New tokens a second since the part began; None where it makes none."""
        elapsed = now - self.begun
        return self.new_tokens / elapsed if self.new_tokens and elapsed > 0 else None

    def figures(self, now: float) -> str:
        """Say how far it is, in one line."""
        rows = f"{self.done:,}" if self.total is None else f"{self.done:,}/{self.total:,}"
        said = [rows if self.done or self.total else "", f"{_clock(now - self.begun)} elapsed"]
        if (speed := self.tokens_per_second(now)) is not None:
            said.insert(1, f"{speed:,.0f} tokens/s")
        if (left := self.left(now)) is not None:
            said.append(f"{_clock(left)} left")
        return "  ".join(filter(None, said))


class Display:
    """Shows a run while it happens. Use it as a context manager."""

    def __init__(
        self, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Write to `console` (standard error without one), by the clock's seconds."""
        self._console = console or Console(stderr=True, highlight=False)
        self._clock = clock
        self._part: _Part | None = None
        self._next_line = float("inf")
        self._stage = ""
        self._live = Live(
            console=self._console,
            get_renderable=self._render,
            refresh_per_second=REDRAWS_PER_SECOND,
            transient=True,
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._part = None
        self._live.stop()

    def stage(self, title: str, index: int, total: int) -> None:
        """A stage begins, the `index`-th (from 1) of `total`."""
        self._stage = f"{index}/{total}"
        self._print(Text.assemble((f"{index}/{total} ", "dim"), (_printable(title), "bold")))

    def part(self, title: str) -> None:
        """A part of the stage begins."""
        now = self._clock()
        self._part = _Part(_printable(title), now)
        if not self._console.is_terminal:
            self._next_line = now + SECONDS_BETWEEN_LINES

    def rows(self, done: int, total: int | None, new_tokens: int) -> None:
        """So many rows and new tokens of the part are there by now.

        Called for every row, so it only notes the numbers; the screen is redrawn elsewhere. A
        first call that brings rows but no tokens tells what an earlier attempt left.
        """
        part = self._part
        if part is None:
            return
        if part.total is None and not part.done and not new_tokens and done > 1:
            part.earlier = done
        part.done, part.total, part.new_tokens = done, total, new_tokens
        if (now := self._clock()) >= self._next_line:
            self._next_line = now + SECONDS_BETWEEN_LINES
            self._print(Text(f"  {part.title:<{_TITLE_WIDTH}} {part.figures(now)}"))

    def part_done(self, cost: Cost) -> None:
        """The part has ended."""
        if self._part is None:
            return
        said = [f"{cost.rows:,} rows" if cost.rows else ""]
        if cost.new_tokens:
            said += [f"{cost.new_tokens:,} tokens"]
            said += [f"{cost.new_tokens / cost.seconds:,.0f} tokens/s"] if cost.seconds else [""]
        said += [""] * (3 - len(said))
        rows, tokens, speed = said
        figures = f"{rows:>12}{tokens:>15}{speed:>18}{_seconds(cost.seconds):>9}"
        title = self._part.title
        self._part = None
        self._next_line = float("inf")
        self._print(Text(f"  {title:<{_TITLE_WIDTH}}{figures}"))

    def note(self, text: str) -> None:
        """Say something that should be read, and leave it on the screen."""
        self._print(Text(f"! {_printable(text)}", style="yellow"))

    def _print(self, text: Text) -> None:
        if self._live.is_started:
            self._live.refresh()  # or the printed line would be followed by an old last line
        self._console.print(text, soft_wrap=True)

    def _render(self) -> RenderableType:
        """Draw the last line, the part under way: the figures whole, then title and bar."""
        part = self._part
        if part is None:
            return Text(f"{self._stage} ...", style="dim")
        figures = Text(part.figures(self._clock()), no_wrap=True, overflow="ellipsis")
        stage = Text(self._stage, style="dim")
        room = self._console.width - len(stage) - len(figures) - 3 * _GAP
        title = Text(part.title)
        title.truncate(max(room - _LEAST_BAR, _GAP), overflow="ellipsis")
        bar = ProgressBar(
            total=part.total,
            completed=part.done,
            width=max(min(room - len(title), _LONGEST_BAR), 1),
            pulse=part.total is None,
        )
        line = Table.grid(padding=(0, _GAP, 0, 0))
        line.add_row(stage, title, bar, figures)
        return line


def _clock(seconds: float) -> str:
    """Write a time as a clock: `0:07`, `1:02:03`."""
    whole = int(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else _clock(seconds)


def _printable(text: str) -> str:
    """Replace what could move the cursor or hide text."""
    return "".join(character if character.isprintable() else " " for character in text)
