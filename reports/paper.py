"""What the paper published (Yuan et al. 2024), by the names that a run's metrics have.

    >>> published("alpaca_eval", "win_rate", "M3").value
    20.44
    >>> published("head_to_head", "net_win", "M2", against="M1")
    Published(evaluation='head_to_head', metric='net_win', model='M2', value=0.438, low=0.353, ...)

    >>> effect("alpaca_eval", "win_rate", "M2", "M1")   # what it found to change, for a claim
    Effect(value=5.44, low=None, high=None, source='Table 1')

`paper.toml` holds every figure that a report stands beside, with its table or figure and how it was
transcribed. M0 is Llama 2 70B, SFT the baseline trained on IFT alone; other models of its tables go
by the name it gives them.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from harness.records import Record


@dataclass(frozen=True)
class Published:
    """One figure of the paper, in the unit of the run's metric of that name."""

    evaluation: str
    """An evaluation's plug-in name, `training` for a trainer's own numbers, or `human`."""
    metric: str
    model: str
    """`M0`, `SFT`, `M1`, `M2`, `M3`, or another model as the paper calls it."""
    value: float
    low: float | None
    """The 95 % interval, computed from the paper's counts: it prints none."""
    high: float | None
    n: int | None
    """Of how many items, where that is known."""
    source: str
    """Its table, figure or section."""
    transcribed: str
    """From how many secondary sources that agree."""
    against: str | None = None
    condition: str = ""
    """What differs from the main experiments: `without EFT`, `positives only` ..."""


@dataclass(frozen=True)
class Effect:
    """What changed between two of its models, as a difference or a ratio."""

    value: float
    low: float | None
    high: float | None
    source: str
    """Its table, figure or section."""


class _Row(Record):
    model: str
    values: tuple[float | tuple[float, float, float], ...]
    against: str | None = None
    condition: str = ""


class _Table(Record):
    source: str
    transcribed: str
    evaluation: str
    metrics: tuple[str, ...]
    rows: tuple[_Row, ...]
    n: int | None = None
    scale: float = 1.0


class _Paper(Record):
    table: tuple[_Table, ...]


@cache
def everything() -> tuple[Published, ...]:
    """List every published figure, in the order of `paper.toml`."""
    text = (files("reports") / "paper.toml").read_text(encoding="utf-8")
    paper = _Paper.model_validate(tomllib.loads(text))
    return tuple(
        _figure(table, row, metric, value)
        for table in paper.table
        for row in table.rows
        for metric, value in zip(table.metrics, row.values, strict=True)
    )


def published(
    evaluation: str, metric: str, model: str, against: str | None = None, condition: str = ""
) -> Published | None:
    """Find a figure of the paper's main experiments, or of those under a condition, or None."""
    wanted = (evaluation, metric, model, against, condition)
    found = (
        one
        for one in everything()
        if (one.evaluation, one.metric, one.model, one.against, one.condition) == wanted
    )
    return next(found, None)


def effect(evaluation: str, metric: str, later: str, earlier: str) -> Effect:
    """Find how much better a model did than another: in their games, or by their two figures.

    Raises:
        KeyError: there is no such figure.
    """
    game = published(evaluation, metric, later, against=earlier)
    if game is not None:
        return Effect(game.value, game.low, game.high, _place(game))
    last, first = known(evaluation, metric, later), known(evaluation, metric, earlier)
    return Effect(round(last.value - first.value, 6), None, None, _place(last))


def times(evaluation: str, metric: str, later: str, earlier: str, condition: str = "") -> Effect:
    """Find how many times as much one figure is as another, which is of the main experiments.

    Raises:
        KeyError: there is no such figure.
    """
    last = known(evaluation, metric, later, condition=condition)
    return Effect(last.value / known(evaluation, metric, earlier).value, None, None, _place(last))


def known(
    evaluation: str, metric: str, model: str, against: str | None = None, condition: str = ""
) -> Published:
    """Find a figure that must be there.

    Raises:
        KeyError: it is not.
    """
    found = published(evaluation, metric, model, against, condition)
    if found is None:
        raise KeyError(f"{evaluation}, {metric} of {model} {condition}".strip())
    return found


def _place(one: Published) -> str:
    """Name a figure's table, without what it is in it: `Table 4`."""
    return one.source.split(",")[0]


def _figure(
    table: _Table, row: _Row, metric: str, value: float | tuple[float, float, float]
) -> Published:
    middle, *ends = value if isinstance(value, tuple) else (value,)
    # Rounded, so that 0.651 is not 0.6509999999999999.
    low, high = (round(end * table.scale, 6) for end in ends) if ends else (None, None)
    return Published(
        evaluation=table.evaluation,
        metric=metric,
        model=row.model,
        value=round(middle * table.scale, 6),
        low=low,
        high=high,
        n=table.n,
        source=table.source,
        transcribed=table.transcribed,
        against=row.against,
        condition=row.condition,
    )
