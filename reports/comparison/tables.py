"""The tables of a comparison: a row a setting, a column a model, so that twenty settings fit.

examiner, score        M0      M1                  M2                  n      failed
micro (3 seeds)        0.86    3.26 [3.09, 3.43]   3.64 [3.40, 3.88]   300    0
· s.d. over seeds      0.00    0.07                0.10
positives              0.86    3.22 [3.08, 3.35]   3.34 [3.20, 3.48]   300    0
"""

from collections.abc import Iterable, Iterator, Sequence

from harness.records import Metric
from harness.statistics.intervals import Estimate
from harness.statistics.repeats import Repeats
from reports import paper
from reports.blocks import Cell, Figure, Row, Table, Tone
from reports.cautions import LENGTHS
from reports.changes import NET_WIN
from reports.comparison.contrasts import Contrast
from reports.comparison.levels import Quantity
from reports.comparison.settings import Setting, seed
from reports.comparison.steps import Step
from reports.evidence import LEAST_ITEMS, evidence
from reports.figures import DASH, places
from reports.names import label
from reports.series import missing_stages, models
from reports.tables import CORRECTED, NO_SCORE, SIGNED, chance, notes

PAPER = "Yuan et al. (2024)"
_TONES: dict[str, Tone] = {"better": "better", "worse": "worse"}


def run_table(settings: Sequence[Setting]) -> Table:
    """Tabulate the runs: what each is, and how far it is."""
    rows = []
    for setting in settings:
        for run in setting.runs:
            done, missing = len(run.record.stages), len(missing_stages(run.record))
            names = " ".join(model.name for model in models(run.record)) or DASH
            cells = (setting.name, seed(run.record), f"{done} of {done + missing}", names)
            rows.append(Row(run.name, cells))
    return Table("", ("setting", "seed", "stages", "models"), tuple(rows))


def level_tables(
    quantities: Sequence[Quantity], settings: Sequence[Setting], names: Sequence[str]
) -> Iterator[Table]:
    """Tabulate every figure of every setting, the paper's beside them."""
    described: set[tuple[str, str]] = set()
    for quantity in quantities:
        rows = [row for setting in settings for row in _level_rows(quantity, setting, names)]
        alone = [one for one in quantities if _title(one) == _title(quantity)] == [quantity]
        published = _paper_row(quantity, names)
        found = [metric for values in quantity.found.values() for metric in values.values()]
        said = (
            notes((label(quantity.metric), metric) for metric in found),
            *_unequal(quantity, settings),
            "" if _key(quantity) in described else _protocol(quantity),
            _source(quantity, names) if published else "",
        )
        yield Table(
            title=_title(quantity) if alone else f"{_title(quantity)}, {_judged_by(quantity)}",
            columns=tuple(names),
            rows=(*rows, *published),
            note=" ".join(filter(None, said)),
        )
        described.add(_key(quantity))


def _key(quantity: Quantity) -> tuple[str, str]:
    return quantity.evaluation, quantity.result.protocol


def _title(quantity: Quantity) -> str:
    over = " over the round before" if quantity.metric == NET_WIN else ""
    return f"{label(quantity.evaluation)}, {label(quantity.metric)}{over}"


def _judged_by(quantity: Quantity) -> str:
    """Tell a protocol from others."""
    protocol = f"protocol {quantity.result.protocol}"
    return f"{protocol}, judged by {quantity.result.judge}" if quantity.result.judge else protocol


def _protocol(quantity: Quantity) -> str:
    said = quantity.result.description.rstrip(".")
    return f"{said}. Protocol {quantity.result.protocol}." if said else ""


def _level_rows(quantity: Quantity, setting: Setting, names: Sequence[str]) -> Iterator[Row]:
    by_model = [list(quantity.of(setting, name).values()) for name in names]
    everything = [metric for metrics in by_model for metric in metrics]
    if not everything:
        return
    signed = quantity.metric in SIGNED
    if len(setting.runs) == 1:
        estimates: list[Metric | Repeats | None] = [next(iter(one), None) for one in by_model]
    else:
        estimates = [
            quantity.level(setting, name) if metrics else None
            for name, metrics in zip(names, by_model, strict=True)
        ]
    counts = _counts(metric.n for metric in everything)
    failed = _counts(metric.failed for metric in everything)
    yield Row(setting.name, figures(estimates, signed=signed), counts, failed)
    spread = [one.deviation if isinstance(one, Repeats) else None for one in estimates]
    if any(one is not None for one in spread):
        shown = places([end for one in estimates if one for end in (one.value, one.low)])
        cells = tuple("" if one is None else Figure(one, places=shown) for one in spread)
        yield Row("· s.d. over seeds", cells)


def figures(
    estimates: Sequence[Metric | Repeats | Estimate | None],
    *,
    signed: bool,
    tones: Iterable[str] = (),
) -> tuple[Cell, ...]:
    """Show estimates, all with the same number of decimals; those better or worse in colour."""
    there = [one for one in estimates if one is not None]
    shown = places([end for one in there for end in (one.value, one.low, one.high)])
    said = tuple(tones) or ("",) * len(estimates)
    return tuple(
        _figure(one, shown, signed, tone) for one, tone in zip(estimates, said, strict=True)
    )


def _figure(
    one: Metric | Repeats | Estimate | None, shown: int, signed: bool, evidence: str
) -> Cell:
    if one is None:
        return DASH
    if one.value is None:
        return NO_SCORE
    return Figure(one.value, one.low, one.high, shown, signed, _TONES.get(evidence, ""))


def _counts(counts: Iterable[int]) -> tuple[int, ...]:
    """Keep the least and the largest of many counts."""
    there = sorted(set(counts))
    return (there[0], there[-1]) if len(there) > 1 else tuple(there)


def _unequal(quantity: Quantity, settings: Sequence[Setting]) -> Iterator[str]:
    """Say which figures rest on fewer seeds than their setting has."""
    for (name, model), found in quantity.found.items():
        seeds = next(len(setting.runs) for setting in settings if setting.name == name)
        there = sum(metric.value is not None for metric in found.values())
        if 0 < there < seeds:
            yield f"{name}: {model} was measured in {there} of {seeds} seeds."


def _paper_row(quantity: Quantity, names: Sequence[str]) -> tuple[Row, ...]:
    found = [_published(quantity, name) for name in names]
    there = [one for one in found if one]
    if not there:
        return ()
    shown = places([end for one in there for end in (one.value, one.low, one.high)])
    signed = quantity.metric in SIGNED
    cells = tuple(
        Figure(one.value, one.low, one.high, shown, signed) if one else DASH for one in found
    )
    counts = _counts(one.n for one in there if one.n is not None)
    return (Row(PAPER, cells, counts, (0,) if counts else ()),)


def _published(quantity: Quantity, model: str) -> paper.Published | None:
    if quantity.metric != NET_WIN:
        return paper.published(quantity.plugin, quantity.metric, model)
    metrics = (
        m for (_, name), by_run in quantity.found.items() if name == model for m in by_run.values()
    )
    against = next((metric.against for metric in metrics), None)
    return paper.published(quantity.plugin, NET_WIN, model, against) if against else None


def _source(quantity: Quantity, names: Sequence[str]) -> str:
    sources = dict.fromkeys(one.source for name in names if (one := _published(quantity, name)))
    return (
        f"{PAPER}: {'; '.join(sources)}; Llama 2 70B, other questions, and GPT-4 where a judge is "
        "asked."
    )


def step_tables(steps: Sequence[Step]) -> Iterator[Table]:
    """Tabulate the steps of each setting with several seeds."""
    for setting in dict.fromkeys(step.setting.name for step in steps):
        own = [step for step in steps if step.setting.name == setting]
        columns = tuple(dict.fromkeys((step.later, step.earlier) for step in own))
        rows: list[Row] = []
        for quantity in {id(step.quantity): step.quantity for step in own}.values():
            by_step = {(s.later, s.earlier): s for s in own if s.quantity is quantity}
            found = [by_step.get(column) for column in columns]
            repeats = [step.repeats if step else None for step in found]
            longer = quantity.metric in LENGTHS  # which is neither better nor worse
            tones = () if longer else map(_over_seeds, repeats)
            rows.append(Row(_title(quantity), figures(repeats, signed=True, tones=tones)))
            rows.append(Row("· higher in", tuple(_higher(step) for step in found)))
        yield Table(
            title=setting,
            columns=tuple(f"{later} - {earlier}" for later, earlier in columns),
            rows=tuple(rows),
        )


def _higher(step: Step | None) -> str:
    return f"{step.higher} of {step.repeats.n}" if step else ""


def contrast_tables(contrasts: Sequence[Contrast]) -> Iterator[Table]:
    """Tabulate the differences from the first setting, an evaluation a table."""
    there = [one for one in contrasts if not one.refused]
    for evaluation in dict.fromkeys(one.evaluation for one in there):
        own = [one for one in there if one.evaluation == evaluation]
        columns = tuple(dict.fromkeys(one.model for one in own))
        rows: list[Row] = []
        for setting in dict.fromkeys(one.setting.name for one in own):
            by_model = {one.model: one for one in own if one.setting.name == setting}
            rows += _contrast_rows(setting, [by_model.get(name) for name in columns])
        yield Table(
            title=f"{label(evaluation)}, {label(own[0].metric)}, less that of {own[0].first.name}",
            columns=columns,
            rows=tuple(rows),
        )


def _contrast_rows(name: str, found: Sequence[Contrast | None]) -> Iterator[Row]:
    there = [one for one in found if one]
    seeds = tuple(dict.fromkeys(seed for one in there for seed in one.seeds))
    of = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}" if seeds else "all seeds"
    yield Row(
        label=f"{name}, {of}",
        cells=figures(
            [one.estimate if one else None for one in found],
            signed=True,
            tones=[one.evidence if one else "" for one in found],
        ),
        n=_counts(one.estimate.n for one in there),
        failed=_counts(one.asked - one.estimate.n for one in there),
    )
    yield Row(f"· {CORRECTED}", tuple(chance(one.corrected) if one else "" for one in found))
    if len(seeds) > 1:
        repeats = [one.over_seeds if one else None for one in found]
        yield Row("· over seeds", figures(repeats, signed=True, tones=map(_over_seeds, repeats)))


def _over_seeds(one: Repeats | None) -> str:
    """Say what an interval over seeds shows; few seeds have none anyway."""
    return evidence(one.low, one.high, LEAST_ITEMS) if one else ""
