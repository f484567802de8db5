"""AlpacaEval's win rates, raw and length-controlled, and the public leaderboard around them.

Only figures of the leaderboard's own judge and reference have a place there; others are drawn by
themselves.
"""

from collections.abc import Iterator

from harness.records import RunRecord
from reports.blocks import Chart
from reports.charts import svg
from reports.charts.ink import Ink, inks
from reports.charts.measures import dot, in_words, names, of_plugin
from reports.charts.rows import Dot, Group, Row, rows
from reports.names import label
from reports.series import Series

_RAW, _CONTROLLED = "win_rate", "length_controlled_win_rate"
_PARITY, _NEAR_PARITY = 50.0, 30.0
_RANK = "leaderboard_rank/"
_OTHERS = Ink("neutral", "dash")


def alpaca_eval(record: RunRecord, *, width: float = svg.WIDTH) -> Iterator[Chart]:
    """Draw every model's two win rates, and its neighbours on the leaderboard where it has any."""
    for end, series in of_plugin(record, "alpaca_eval"):
        for drawn in (
            _win_rates(record, series, f"win-rates{end}", width),
            _leaderboard(record, series, f"leaderboard{end}", width),
        ):
            if drawn is not None:
                yield drawn


def _win_rates(record: RunRecord, series: Series, name: str, width: float) -> Chart | None:
    found = []
    two = _CONTROLLED in series.metrics
    for model, ink in inks(names(record)).items():
        raw = dot(series, model, _RAW, ink)
        controlled = dot(series, model, _CONTROLLED, Ink(ink.tone, ink.shape, hollow=True))
        figure = f"{_rate(raw)}, LC {_rate(controlled)}" if two else _rate(raw)
        both = tuple(one for one in (raw, controlled) if one.there)
        found.append(Row(model, both or (raw,), figure))
    group = Group(tuple(found), unit="win rate (%)", reference=parity(series))
    notes = {
        metric.note
        for result in series.results.values()
        if (metric := result.metric(_RAW)) and metric.note
    }
    return rows(
        name,
        f"{label(series.name)}: win rates, raw and length-controlled",
        [group],
        alt=in_words([group]),
        key=((Ink("muted"), "raw"), (Ink("muted", hollow=True), "length-controlled (LC)")),
        note=" ".join(("Whiskers are 95 % intervals.", *(f"{note}." for note in sorted(notes)))),
        width=width,
    )


def parity(series: Series) -> tuple[float, str] | None:
    """Name the rate at which a model is as good as the reference, where one comes near it."""
    found = [result.metric(_RAW) for result in series.results.values()]
    rates = [metric.value for metric in found if metric is not None and metric.value is not None]
    return (_PARITY, "the reference") if max(rates, default=0.0) > _NEAR_PARITY else None


def _rate(found: Dot) -> str:
    return found.missing if found.value is None else f"{found.value:.1f}"


def _leaderboard(record: RunRecord, series: Series, name: str, width: float) -> Chart | None:
    columns = ((_RAW, "By win rate"), (_CONTROLLED, "By length-controlled win rate"))
    groups = [
        Group(ranked, title, "win rate (%)")
        for metric, title in columns
        if (ranked := _ranked(record, series, metric))
    ]
    return rows(
        name,
        f"{label(series.name)}: among its neighbours on the public leaderboard",
        groups,
        alt=in_words(groups),
        note="Of the leaderboard's models only those next to a model of the run are shown.",
        width=width,
        shared=False,
    )


def _ranked(record: RunRecord, series: Series, metric: str) -> tuple[Row, ...]:
    """Rank the models that have a place, and the neighbours that their places name."""
    found: dict[str, tuple[float, Row]] = {}
    for model, ink in inks(names(record)).items():
        place = series.metric(model, f"{_RANK}{metric}")
        if place is None or place.value is None:
            continue
        for who, rate in place.neighbours.items():
            mark = Dot(who, rate, _OTHERS, title=f"{who}: {rate:.1f}")
            found.setdefault(f"- {who}", (rate, Row(who, (mark,), f"{rate:.1f}")))
        own = dot(series, model, metric, ink)
        if own.value is not None:
            figure = f"{own.value:.1f}, place {place.value:.0f} of {place.n}"
            found[model] = (own.value, Row(model, (own,), figure, "label", bold=True))
    ranked = sorted(found.items(), key=lambda entry: (-entry[1][0], entry[0]))
    return tuple(row for _, (_, row) in ranked)
