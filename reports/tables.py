"""The tables of a run: what was measured, on how many items, at what cost.

    examiner                M0                  M1                  n    failed
    score                   2.46 [2.31, 2.60]   3.38 [3.22, 3.53]   250  0
    length tokens           11.9 [11.4, 12.5]   13.0 [12.6, 13.4]   250  0

Each function makes tables from the record alone; one without anything to show makes none.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from harness.records import Cost, Metric, RunRecord
from harness.units import duration
from reports.blocks import Cell, Figure, Row, Table, Tone
from reports.changes import NET_WIN, Change, Changes
from reports.figures import DASH, counted, places
from reports.names import label
from reports.series import Series

NOT_RUN = "not run"
NO_SCORE = "no score"
SIGNED = {"net_win", "spearman", "kendall_tau"}
"""Metrics that may be negative, so that a plus sign tells the reader something."""
CORRECTED = "p, corrected"


def measurements(series: Series, found: Changes) -> Iterator[Table]:
    """Tabulate one evaluation: each model alone, then the models against each other."""
    note = " ".join(_descriptions(series))
    wholes = [metric for metric in series.metrics if "/" not in metric]
    if wholes:
        rows = tuple(_metric_row(series, metric, label(metric)) for metric in wholes)
        said = _notes(series, wholes)
        title = label(series.name)
        yield Table(title, tuple(series.results), rows, f"{said} {note}".strip())
    if series.comparisons:
        yield comparisons(series, found, note="" if wholes else note)


def comparisons(series: Series, found: Changes, note: str = "") -> Table:
    """Tabulate the models against each other: a row a pair."""
    names = series.comparison_metrics
    said = f"n and failed are those of {label(names[0])}. {_notes(series, names)}"
    rows = []
    for model, against in series.comparisons:
        metrics = [series.metric(model, name, against) for name in names]
        played = tone(found.of(series.name, (model, against)))
        cells = tuple(
            figure(metric, signed=name in SIGNED, tone=played if name == NET_WIN else "")
            for name, metric in zip(names, metrics, strict=True)
        )
        rows.append(_counted(f"{model} vs {against}", cells, metrics[:1]))
    return Table(
        title=f"{label(series.name)}, model against model",
        columns=tuple(label(name) for name in names),
        rows=tuple(rows),
        note=f"{said.strip()} {note}".strip(),
    )


def parts(series: Series) -> Iterator[Table]:
    """Tabulate the metrics that stand below another, e.g. `score/math` or `expected/spearman`."""
    below = [metric for metric in series.metrics if "/" in metric]
    if below:
        rows = tuple(_metric_row(series, metric, label(metric)) for metric in below)
        yield Table(label(series.name), tuple(series.results), rows, _notes(series, below))


def differences(found: Changes) -> Iterator[Table]:
    """Tabulate what changed from model to model, and how likely chance would do the same."""
    rows: list[Row] = []
    for name in dict.fromkeys(one.evaluation for one in found.found):
        steps = {one.step: one for one in found.found if one.evaluation == name}
        if not any(one.estimate.n for one in steps.values()):
            continue
        there = [steps.get(step) for step in found.steps]
        metric = next(iter(steps.values())).metric
        metrics = [one.estimate.metric(metric, one.failed) if one else None for one in there]
        tones = [tone(one) for one in there]
        rows.append(metric_row(f"{label(name)}, {label(metric)}", metrics, True, tones))
        rows.append(Row(CORRECTED, tuple(chance(one.corrected) if one else "" for one in there)))
    if rows:
        yield Table(
            title="Paired differences",
            columns=tuple(f"{later} - {earlier}" for later, earlier in found.steps),
            rows=tuple(rows),
            note="Over the items for which both models of a pair have a score; failed counts the "
            "others. p is that of a paired sign-flip test, corrected (Holm) for how many "
            f"comparisons this report makes: {found.tested}. A change counts where the interval "
            "does not hold 0 and the corrected p is below .05. Where it holds 0, no change is "
            "shown: half its width is about the least that so many items would have shown, before "
            "the correction.",
        )


def chance(p: float | None) -> str:
    """Write a p-value as it is read: `.012`, `< .001`, or a dash where nothing was tested."""
    if p is None:
        return DASH
    if p < 0.001:
        return "< .001"
    return f"{p:.3f}".removeprefix("0") if p < 0.9995 else "1"


def costs(record: RunRecord) -> Iterator[Table]:
    """Tabulate what every part of every stage took; a stage's parts add up to its own line.

    `time` is what the run waited for, `beside` what went on while it was at something else.
    """
    rows = []
    total = Cost()
    for result in record.stages:
        if not result.costs:
            continue
        stage = sum(result.costs.values(), Cost())
        total += stage
        rows.append(_cost_row(f"{result.stage}", stage))
        rows += [_cost_row(f"· {part}", cost) for part, cost in result.costs.items()]
    if rows:
        yield _cost_table([*rows, _cost_row("whole run", total)])


def stage_costs(record: RunRecord) -> Iterator[Table]:
    """Tabulate what every stage took as a whole."""
    totals = [(str(r.stage), sum(r.costs.values(), Cost())) for r in record.stages if r.costs]
    if totals:
        whole = ("whole run", sum((cost for _, cost in totals), Cost()))
        yield _cost_table([_cost_row(name, cost) for name, cost in (*totals, whole)])


_COSTS = (
    "time", "beside", "rows", "prompt tokens", "new tokens", "new tokens/s", "failed", "ties",
    "money",
)  # fmt: skip


def _cost_table(rows: Sequence[Row]) -> Table:
    """Tabulate costs, without the columns in which no row has anything."""
    kept = [k for k in range(len(_COSTS)) if any(row.cells[k] for row in rows)]
    return Table(
        "",
        tuple(_COSTS[k] for k in kept),
        tuple(replace(row, cells=tuple(row.cells[k] for k in kept)) for row in rows),
    )


def _cost_row(name: str, cost: Cost) -> Row:
    took = cost.seconds + cost.beside
    speed = f"{cost.new_tokens / took:,.0f}" if cost.new_tokens and took else ""
    counts = (cost.rows, cost.prompt_tokens, cost.new_tokens)
    after = (sum(cost.failures.values()), cost.ties)
    return Row(
        label=name,
        cells=(
            duration(cost.seconds),
            duration(cost.beside) if cost.beside else "",
            *map(_count, counts),
            speed,
            *map(_count, after),
            _money(cost),
        ),
    )


def _count(count: int) -> str:
    return f"{count:,}" if count else ""


def _money(cost: Cost) -> str:
    unknown = f"{counted(cost.unpriced, 'call')} unknown" if cost.unpriced else ""
    return ", ".join(filter(None, (f"${cost.dollars:,.2f}" if cost.dollars else "", unknown)))


def figure(metric: Metric | None, *, signed: bool = False, tone: Tone = "") -> Cell:
    """Show a single metric."""
    if metric is None:
        return NOT_RUN
    if metric.value is None:
        return NO_SCORE
    shown = places([metric.value, metric.low, metric.high])
    return Figure(metric.value, metric.low, metric.high, shown, signed, tone)


def _metric_row(series: Series, metric: str, name: str) -> Row:
    found = [series.metric(model, metric) for model in series.results]
    return metric_row(name, found, signed=metric in SIGNED)


def notes(metrics: Iterable[tuple[str, Metric | None]]) -> str:
    """Say what must be known of metrics, each by its label, before comparing them."""
    said: dict[str, list[str]] = {}
    for name, metric in metrics:
        for part in metric.note.split("; ") if metric is not None and metric.note else ():
            said.setdefault(part, []).append(name)
    return " ".join(
        f"{', '.join(dict.fromkeys(names))}: {note.rstrip('.')}." for note, names in said.items()
    )


def _notes(series: Series, names: Sequence[str]) -> str:
    """Say what must be known of a series' metrics; those below another go by its name."""
    return notes(
        (label(metric.name.rpartition("/")[0] or metric.name), metric)
        for result in series.results.values()
        for metric in result.metrics
        if metric.name in names
    )


def metric_row(
    name: str,
    metrics: Sequence[Metric | None],
    signed: bool = False,
    tones: Sequence[Tone] = (),
) -> Row:
    """Line a metric's values up, one a model, all with the same number of decimals."""
    there = [metric for metric in metrics if metric is not None]
    shown = places([end for metric in there for end in (metric.value, metric.low, metric.high)])
    plain: Tone = ""
    cells: list[Cell] = []
    for metric, its_tone in zip(metrics, tones or (plain,) * len(metrics), strict=True):
        if metric is None or metric.value is None:
            cells.append(figure(metric))
        else:
            cells.append(Figure(metric.value, metric.low, metric.high, shown, signed, its_tone))
    return _counted(name, tuple(cells), metrics)


def _counted(name: str, cells: tuple[Cell, ...], metrics: Iterable[Metric | None]) -> Row:
    there = [metric for metric in metrics if metric is not None]
    return Row(
        label=name,
        cells=cells,
        n=_counts([metric.n for metric in there]),
        failed=_counts([metric.failed for metric in there]),
    )


def _counts(counts: Sequence[int]) -> tuple[int, ...]:
    """Keep equal counts once, different ones each."""
    return tuple(set(counts)) if len(set(counts)) == 1 else tuple(counts)


def tone(change: Change | None) -> Tone:
    """Colour a change that counts, and no other."""
    shown = change.evidence if change else None
    return shown if shown == "better" or shown == "worse" else ""


def _descriptions(series: Series) -> Iterator[str]:
    by_protocol: Mapping[str, list[str]] = {protocol: [] for protocol in series.protocols}
    said = {result.protocol: result.description for result in series.results.values()}
    for model, result in series.results.items():
        by_protocol[result.protocol].append(model)
    for protocol, names in by_protocol.items():
        whom = f"{', '.join(names)}: " if len(by_protocol) > 1 else ""
        text = f"{said[protocol].rstrip('.')}. " if said[protocol] else ""
        yield f"{whom}{text}Protocol {protocol}."
