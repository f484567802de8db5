"""A run read as a series of models: who was measured, in which order, by what.

    models(record)       M0, SFT, M1, M2, M3      baselines stand before the model they came with
    chain(record)        M0, M1, M2, M3           each trained from the one before
    evaluations(record)  examiner: {M0: EvalResult, SFT: EvalResult, M1: ...}, head_to_head: ...

Tables and findings ask here; nothing else walks the record's stages for models.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeVar

from pydantic import JsonValue

from harness.records import EvalResult, Metric, ModelRef, RunRecord, Score, Stage
from harness.run import stages

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Series:
    """One evaluation over the models, in the order of the run; equal to itself alone."""

    name: str
    results: dict[str, EvalResult]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of what is measured of one model alone, in order of appearance."""
        return _unique(m.name for r in self.results.values() for m in r.metrics if not m.against)

    @property
    def comparisons(self) -> tuple[tuple[str, str], ...]:
        """The (model, other model) pairs that were compared, in order of appearance."""
        return _unique(
            (model, metric.against)
            for model, result in self.results.items()
            for metric in result.metrics
            if metric.against
        )

    @property
    def comparison_metrics(self) -> tuple[str, ...]:
        """Names of what is measured of two models, in order of appearance."""
        return _unique(m.name for r in self.results.values() for m in r.metrics if m.against)

    @property
    def protocols(self) -> tuple[str, ...]:
        """The protocols met; results under more than one cannot be compared."""
        return _unique(result.protocol for result in self.results.values())

    def comparable(self, model: str, other: str) -> bool:
        """Whether both were measured, and by the same protocol, judge included."""
        found = [self.results.get(name) for name in (model, other)]
        return len({result.protocol if result else None for result in found} - {None}) == 1 and all(
            found
        )

    def metric(self, model: str, name: str, against: str | None = None) -> Metric | None:
        """Find a model's metric, or None."""
        result = self.results.get(model)
        return result.metric(name, against) if result else None

    def scores(self, model: str) -> Mapping[str, float]:
        """The model's scored items that compare it with no other, by item id."""
        return self._scores.get(model, {})

    @cached_property
    def _scores(self) -> dict[str, dict[str, float]]:
        return {
            model: {
                item.id: item.outcome.value
                for item in result.items
                if item.against is None and isinstance(item.outcome, Score)
            }
            for model, result in self.results.items()
        }

    def item_metric(self) -> str | None:
        """Name the metric that is the mean of the item scores, where there is one.

        Only of such a metric is the mean paired difference of item scores the difference.
        """
        means = {
            model: sum(scores.values()) / len(scores)
            for model in self.results
            if (scores := self.scores(model))
        }
        for name in self.metrics:
            found = {model: self.metric(model, name) for model in means}
            if means and all(
                metric is not None
                and metric.value is not None
                and math.isclose(metric.value, means[model], abs_tol=1e-6)
                for model, metric in found.items()
            ):
                return name
        return None


def models(record: RunRecord) -> tuple[ModelRef, ...]:
    """List every model of the run, baselines before the model they came with."""
    found: dict[str, ModelRef] = {}
    for result in record.stages:
        for model in (*result.comparators, result.model):
            found[model.name] = model  # more is known of it once it has been measured
    return tuple(found.values())


def chain(record: RunRecord) -> tuple[str, ...]:
    """Name the models that were each trained from the one before, without baselines."""
    return _unique(result.model.name for result in record.stages)


def evaluations(record: RunRecord) -> tuple[Series, ...]:
    """Gather the results of every evaluation, in order of appearance."""
    return _evaluations(_Same(record))


@dataclass(frozen=True, eq=False)
class _Same:
    """A record by its identity: it never changes, and is too large to be compared."""

    record: RunRecord

    def __hash__(self) -> int:
        return id(self.record)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.record is self.record


@lru_cache(maxsize=2)
def _evaluations(one: _Same) -> tuple[Series, ...]:
    found: dict[str, dict[str, EvalResult]] = {}
    for stage in one.record.stages:
        for result in stage.evaluations:
            found.setdefault(result.evaluation, {})[result.model] = result
    return tuple(Series(name, results) for name, results in found.items())


def plugin(record: RunRecord, label: str) -> str:
    """Name the plug-in that goes by a label in this run."""
    choices = record.request.get("evaluations")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and choice.get("label") == label:
            return str(choice["name"])
    return label


def missing_stages(record: RunRecord) -> tuple[Stage, ...]:
    """List the stages that the request asks for and the record does not hold."""
    iterations = record.request.get("iterations")
    if not isinstance(iterations, int):
        return ()
    done = {str(result.stage) for result in record.stages if result.finished}
    return tuple(stage for stage in stages(iterations) if str(stage) not in done)


def chosen(value: JsonValue) -> str:
    """Name a plug-in or a model as the request chose it."""
    if value is None:
        return "none"
    if not isinstance(value, dict):
        return str(value)
    return str(value.get("location") or value.get("name") or "unnamed")


def _unique(values: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(values))
