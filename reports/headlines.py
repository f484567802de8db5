"""Every evaluation's main figure for every model, in one table.

main figures                      M0       SFT      M1       M2       n    failed
AlpacaEval, win rate              1.9      30.1     31.5     44.2     120  0
MT-Bench, score                   2.31     5.02     5.40     6.11     64   0
Head to head, net win over the one before  ...      +0.77    +0.24    300  0
"""

from collections.abc import Iterator

from harness.records import Metric, RunRecord
from reports.blocks import Table
from reports.names import label
from reports.series import Series, chain, evaluations, models, plugin
from reports.tables import metric_row, notes

MAIN: dict[str, tuple[str, ...]] = {
    "alpaca_eval": ("win_rate", "length_controlled_win_rate", "average_length"),
    "mt_bench": ("score",),
    "nlp_benchmarks": ("mean",),
    "judge_agreement": ("pairwise_accuracy",),
    "examiner": ("score",),
}
"""By evaluation, the metrics that a paper's table would show."""


def headlines(record: RunRecord) -> Iterator[Table]:
    """Tabulate the main figures; nothing where a single evaluation ran, or only strangers'."""
    measured = evaluations(record)
    if len(measured) < 2:
        return
    names = tuple(model.name for model in models(record))
    found = [
        (f"{label(series.name)}, {label(name)}", [series.metric(m, name) for m in names], False)
        for series in measured
        for name in MAIN.get(plugin(record, series.name), ())
        if name in series.metrics
    ]
    found += [
        (
            f"{label(series.name)}, net win over the one before",
            _net_wins(record, series, names),
            True,
        )
        for series in measured
        if "net_win" in series.comparison_metrics
    ]
    if not found:
        return
    yield Table(
        title="Main figures",
        columns=names,
        rows=tuple(metric_row(name, metrics, signed) for name, metrics, signed in found),
        note=notes((name, metric) for name, metrics, _ in found for metric in metrics),
    )


def _net_wins(record: RunRecord, series: Series, names: tuple[str, ...]) -> list[Metric | None]:
    """Find each model's net win over the one before it, or else over that it was trained from."""
    trained = chain(record)
    before, parents = (dict(zip(n[1:], n, strict=False)) for n in (names, trained))
    return [
        series.metric(name, "net_win", before.get(name, name))
        or series.metric(name, "net_win", parents.get(name, name))
        for name in names
    ]
