"""Histograms side by side on one scale: how often each value came.

M1 judges      |  |#            1  2  3  4  5     of 2,628
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports.blocks import Chart
from reports.charts import svg
from reports.charts.ink import Ink
from reports.figures import percent, plain

_LEAST_WIDTH = 180.0
_GAP = 22.0
_PLOT = 90.0


@dataclass(frozen=True)
class Histogram:
    """Counts by value."""

    title: str
    counts: Mapping[float, float]
    ink: Ink

    @property
    def total(self) -> float:
        """Of how many it is made."""
        return sum(self.counts.values())


def histograms(
    name: str,
    title: str,
    shown: Sequence[Histogram],
    *,
    note: str = "",
    width: float = svg.WIDTH,
) -> Chart | None:
    """Draw the histograms that count anything, by shares; None where none does."""
    drawable = [one for one in shown if one.total > 0]
    if not drawable:
        return None
    values = sorted({value for one in drawable for value in one.counts})
    most = max(count / one.total for one in drawable for count in one.counts.values())
    columns = max(1, min(len(drawable), int((width + _GAP) // (_LEAST_WIDTH + _GAP))))
    wide = min((width - _GAP * (columns - 1)) / columns, svg.NARROW)
    high = svg.LINE + 20 + _PLOT + 24
    parts = []
    for k, one in enumerate(drawable):
        place = svg.moved(k % columns * (wide + _GAP), svg.TOP + k // columns * high)
        parts.append(svg.group(_histogram(one, values, most, wide), transform=place))
    lines = -(-len(drawable) // columns)
    alt = " ".join(f"{one.title}: {_shares(one)}." for one in drawable)
    return svg.chart(
        name, title, parts, size=(width, svg.TOP - 4 + lines * high), alt=alt, note=note
    )


def _shares(one: Histogram) -> str:
    return ", ".join(
        f"{plain(value)} {percent(count, one.total)}" for value, count in sorted(one.counts.items())
    )


def _histogram(one: Histogram, values: Sequence[float], most: float, wide: float) -> str:
    total = f"of {one.total:,.0f}"
    room = wide - svg.width(total, svg.SMALL) - 8
    parts = [
        svg.words(0, svg.SIZE, one.title, bold=True, room=room),
        svg.words(wide, svg.SIZE, total, tone="muted", anchor="end", size=svg.SMALL),
    ]
    bottom = svg.LINE + 20 + _PLOT
    slot = wide / len(values)
    widest = max(svg.width(plain(value), svg.SMALL) for value in values) + 4
    every = max(1, -int(-widest // slot))
    for k, value in enumerate(values):
        count = one.counts.get(value, 0)
        share = percent(count, one.total)
        x, tall = k * slot, _PLOT * count / one.total / most
        title = f"{plain(value)}: {count:,.0f}, {share}"
        drawn = svg.bar(x + slot * 0.1, bottom - tall, slot * 0.8, tall)
        parts.append(svg.group(drawn, tone=one.ink.tone, title=title))
        middle = x + slot / 2
        if svg.width(share, svg.SMALL) <= slot:
            parts.append(
                svg.words(
                    middle, bottom - tall - 4, share,
                    tone="muted", anchor="middle", size=svg.SMALL,
                )
            )  # fmt: skip
        if (len(values) - 1 - k) % every == 0:
            parts.append(
                svg.words(middle, bottom + 16, plain(value), anchor="middle", size=svg.SMALL)
            )
    parts.append(svg.line(0, bottom, wide, bottom, "axis"))
    return "".join(parts)
