"""Draw an overview of a run, for a live display and for `harness status`.

    1/3 00-evaluate  done       0:12  M0  0:04 loading and other
    2/3 01-train     under way  0:31  seeds, train SFT done; train M1
    3/3 01-evaluate  to come   ~0:12

    train M1  ━━━━━━━━━━━╸━━━━━━━━  61/110  0:14 elapsed  0:11 left
    0:43 elapsed, over 0:11 left  $0.41  3 no_score, 1 truncated  12 ties

Every line stays one line however narrow the terminal is. Names come from plug-ins and files, so
that whatever could move the cursor is replaced.
"""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.overview import (
    OTHER,
    Left,
    Overview,
    models_of,
    rows_left,
    stage_elapsed,
    tokens_per_second,
)
from harness.records import Bill, Cost, PartUnderWay, Stage

_LEAST_BAR, _LONGEST_BAR = 6, 20
_GAP = 2
_LEAST_STAGES = 3
_STYLES = {"done": "", "answered": "", "under way": "bold", "begun": "", "to come": "dim"}


def whole(overview: Overview, now: float, width: int, lines: int) -> RenderableType:
    """Draw everything, in at most so many lines where that can be."""
    bottom: list[RenderableType] = [summary(overview, now)]
    if (at := overview.under_way) is not None and at.part is not None:
        bottom[:0] = [part_line(part, now, width) for part in (at.part, *at.beside)]
    room = max(lines - len(bottom) - 1, _LEAST_STAGES)
    return Group(*stages(overview, now, room), Text(""), *bottom)


def stages(overview: Overview, now: float, most: int) -> Iterator[Text]:
    """Say of each stage how it stands; only of those around the present one, if room is short."""
    first, last = _window(overview, most)
    size = len(str(len(overview.plan)))
    indent = " " * (2 * size + 1 + _GAP)
    if first:
        yield _line(Text(f"{indent}{first} more done", style="dim"))
    for number in range(first, last):
        stage = overview.plan[number]
        state, time, text = _stage(overview, stage, now)
        count = f"{number + 1:>{size}}/{len(overview.plan)}"
        name = f"{stage!s:<11}  {state:<9}  {time:>7}  {printable(text)}"
        yield _line(Text.assemble((f"{count}  ", "dim"), (name.rstrip(), _STYLES[state])))
    if rest := len(overview.plan) - last:
        yield _line(Text(f"{indent}{rest} more to come", style="dim"))


def _line(text: Text) -> Text:
    """Keep a text on one line."""
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _window(overview: Overview, most: int) -> tuple[int, int]:
    """Choose the stages to show, from and to: the present one and its neighbours."""
    count = len(overview.plan)
    if count <= most:
        return 0, count
    shown = max(most - 2, 1)  # two lines say how many more there are
    first = min(max(len(overview.done) - shown // 2, 0), count - shown)
    return first, first + shown


def _stage(overview: Overview, stage: Stage, now: float) -> tuple[str, str, str]:
    """Say of a stage its state, its time, and more."""
    if (result := overview.result(stage)) is not None:
        total = sum(result.costs.values(), Cost())
        names = ", ".join(model.name for model in models_of(result))
        state = "done" if result.finished else "answered"
        said = (names, _rest(result.costs.get(OTHER, Cost())), extras(total))
        return state, clock(total.seconds), "  ".join(filter(None, said))
    under_way = overview.under_way
    if under_way is None or under_way.stage != stage:
        estimate = overview.estimate(stage)
        return "to come", "" if estimate is None else f"~{clock(estimate)}", ""
    time = clock(stage_elapsed(under_way, now))
    if not overview.working:
        return "begun", time, ""
    to_come = [printable(name) for name in overview.parts_to_come(under_way)]
    ended = len(under_way.ended)
    text = f"{ended} part{'' if ended == 1 else 's'} done"
    if to_come:
        text += f", {len(to_come)} to come: {', '.join(to_come)}"
    elif ended:
        text += f": {', '.join(under_way.ended)}"
    return "under way", time, text


def _rest(cost: Cost) -> str:
    """Say what a stage took beside its parts, where that is as much as a clock shows."""
    return f"{clock(cost.seconds)} {OTHER}" if cost.seconds >= 1 else ""


def part_line(part: PartUnderWay, now: float, width: int) -> Table:
    """Draw the part under way in one line: the figures whole, then title and bar."""
    figures = _line(Text(part_figures(part, now)))
    room = width - len(figures) - 2 * _GAP
    title = Text(printable(part.name))
    title.truncate(max(room - _LEAST_BAR, _GAP), overflow="ellipsis")
    bar = ProgressBar(
        total=part.total,
        completed=part.done,
        width=max(min(room - len(title), _LONGEST_BAR), 1),
        pulse=part.total is None,
    )
    line = Table.grid(padding=(0, _GAP, 0, 0))
    line.add_row(title, bar, figures)
    return line


def part_figures(part: PartUnderWay, now: float) -> str:
    """Say how far a part is: `61/110  1,240 tokens/s  0:14 elapsed  0:11 left`."""
    rows = f"{part.done:,}" if part.total is None else f"{part.done:,}/{part.total:,}"
    speed, left = tokens_per_second(part, now), rows_left(part, now)
    said = (
        rows if part.done or part.total else "",
        "" if speed is None else f"{speed:,.0f} tokens/s",
        f"{clock(now - part.began)} elapsed",
        "" if left is None else f"{clock(left)} left",
    )
    return "  ".join(filter(None, said))


def summary(overview: Overview, now: float) -> Text:
    """Say of the whole run in one line: time, money, failures and ties so far."""
    total = sum((sum(result.costs.values(), Cost()) for result in overview.done), Cost())
    if (under_way := overview.under_way) is not None:
        parts = [*under_way.earlier.values(), *under_way.ended.values()]
        parts += [part.cost for part in (under_way.part, *under_way.beside) if part]
        total = sum(parts, total)
    said = (time_line(overview, now), bill(overview.bills), troubles(total))
    return _line(Text("  ".join(filter(None, said))))


def time_line(overview: Overview, now: float) -> str:
    """Say how long the run has taken, and may still take: `0:43 elapsed, over 0:11 left`."""
    elapsed = f"{clock(overview.elapsed(now))} elapsed"
    if len(overview.done) == len(overview.plan):
        return elapsed
    return f"{elapsed}, {time_left(overview.left(now))}"


def time_left(left: Left) -> str:
    """Say an estimate, and what it is worth."""
    if left.whole:
        return f"about {clock(left.seconds)} left"
    return f"over {clock(left.seconds)} left" if left.seconds >= 1 else "time left unknown"


def bill(bills: Sequence[Bill]) -> str:
    """Say what models on servers have cost so far; nothing where none was asked."""
    return money(sum(one.dollars or 0.0 for one in bills), sum(one.unpriced for one in bills))


def money(known: float, unpriced: int) -> str:
    """Say what calls came to, and how many more cost something that nobody knows."""
    dollars = f"${known:,.2f}" if known >= 0.1 else f"${known:.4f}"
    more = f"{unpriced:,} call{'s' if unpriced > 1 else ''} of unknown cost" if unpriced else ""
    return " and ".join(filter(None, (dollars if known else "", more)))


def extras(cost: Cost) -> str:
    """Say what is not always there: money, failures and ties."""
    return "  ".join(filter(None, (money(cost.dollars, cost.unpriced), troubles(cost))))


def troubles(cost: Cost) -> str:
    """Say what could not be made or read, by cause, and how often answers were judged alike."""
    causes = sorted(cost.failures.items(), key=lambda cause: (-cause[1], cause[0]))
    failures = ", ".join(f"{count:,} {printable(reason)}" for reason, count in causes)
    ties = f"{cost.ties:,} tie{'s' if cost.ties > 1 else ''}" if cost.ties else ""
    return "  ".join(filter(None, (failures, ties)))


def clock(seconds: float) -> str:
    """Write a time as a clock: `0:07`, `1:02:03`."""
    whole = max(int(seconds), 0)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def printable(text: str) -> str:
    """Replace what could move the cursor or hide text."""
    return "".join(character if character.isprintable() else " " for character in text)
