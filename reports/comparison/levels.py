"""Every main figure of every setting: the mean over its seeds, and how far they lie apart.

    examiner, score, protocol 744e   M2 of micro (3 seeds)   3.60, 3.75, 3.56   mean 3.64
                                     M2 of positives         3.34

A quantity holds figures of one protocol only, the judge included: nothing else may share a table.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness.protocols import NamedRun
from harness.records import EvalResult, Metric
from harness.statistics.repeats import Repeats, over_repeats
from reports.changes import NET_WIN
from reports.comparison.settings import Setting
from reports.headlines import MAIN
from reports.series import Series, chain, evaluations, models, plugin

ByRun = Mapping[str, Metric]
"""By the name of the run, what it measured."""


@dataclass(frozen=True)
class Quantity:
    """One figure, as one protocol measures it."""

    evaluation: str
    """Its label in the runs."""
    plugin: str
    metric: str
    result: EvalResult
    """One that was measured like that: it has the protocol, and says it in words."""
    found: dict[tuple[str, str], dict[str, Metric]] = field(default_factory=dict)
    """By setting and model, what each run measured."""

    def level(self, setting: Setting, model: str) -> Repeats:
        """Estimate a model's figure over the seeds of a setting."""
        values = [metric.value for metric in self.of(setting, model).values()]
        return over_repeats([value for value in values if value is not None])

    def of(self, setting: Setting, model: str) -> ByRun:
        """What the runs of a setting measured of a model."""
        return self.found.get((setting.name, model), {})


def quantities(settings: Sequence[Setting]) -> tuple[Quantity, ...]:
    """Gather the main figures, in the order of the first run; protocols apart."""
    found: dict[tuple[str, str, str], Quantity] = {}
    for setting in settings:
        for run in setting.runs:
            for series, name, model, metric in _main(run):
                result = series.results[model]
                key = (series.name, name, result.protocol)
                quantity = found.setdefault(
                    key, Quantity(series.name, plugin(run.record, series.name), name, result)
                )
                quantity.found.setdefault((setting.name, model), {})[run.name] = metric
    order = list(dict.fromkeys(evaluation for evaluation, _, _ in found))
    names = list(dict.fromkeys(metric for _, metric, _ in found))
    return tuple(
        quantity
        for _, quantity in sorted(
            found.items(), key=lambda one: (order.index(one[0][0]), names.index(one[0][1]))
        )
    )


def names(settings: Sequence[Setting]) -> tuple[str, ...]:
    """Name all models, in the order of the run that has most of them."""
    runs = [[model.name for model in models(r.record)] for s in settings for r in s.runs]
    return tuple(dict.fromkeys(name for run in sorted(runs, key=len, reverse=True) for name in run))


def _main(run: NamedRun) -> Iterator[tuple[Series, str, str, Metric]]:
    """List a run's main figures: series, metric, model, value."""
    trained = chain(run.record)
    before = dict(zip(trained[1:], trained, strict=False))
    for series in evaluations(run.record):
        chosen = MAIN.get(plugin(run.record, series.name), series.metrics[:1])
        for name in chosen:
            for model in series.results:
                if metric := series.metric(model, name):
                    yield series, name, model, metric
        for model in series.results:
            if metric := series.metric(model, NET_WIN, before.get(model, model)):
                yield series, NET_WIN, model, metric
