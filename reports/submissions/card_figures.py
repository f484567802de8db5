"""The figures of a model card: every main one, with what it is nothing without.

gsm8k, openai/gsm8k main test   0.113   n 1319, interval 0.097 to 0.131, 0 failed
alpaca_eval, microworld         70.4    n 120, ..., judged by examiner (exact)
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

from pydantic import JsonValue

from harness.protocols import Entry
from harness.records import EvalResult, Metric
from reports.headlines import MAIN
from reports.series import plugin
from reports.submissions import private, published

BENCHMARKS = "nlp_benchmarks"
NET_WIN = ("net_win",)
"""The main figure where models are compared."""


class DataSet(NamedTuple):
    """Questions on the hub."""

    id: str
    config: str | None
    split: str


ON_HUB: Mapping[str, DataSet] = MappingProxyType(
    {
        "arc_easy": DataSet("allenai/ai2_arc", "ARC-Easy", "test"),
        "arc_challenge": DataSet("allenai/ai2_arc", "ARC-Challenge", "test"),
        "hellaswag": DataSet("Rowan/hellaswag", None, "validation"),
        "siqa": DataSet("lighteval/siqa", None, "validation"),
        "piqa": DataSet("baber/piqa", None, "validation"),
        "gsm8k": DataSet("openai/gsm8k", "main", "test"),
        "mmlu": DataSet("cais/mmlu", None, "test"),
        "obqa": DataSet("allenai/openbookqa", "main", "test"),
        "nq": DataSet("google-research-datasets/nq_open", None, "validation"),
    }
)
"""By benchmark, the data set that lm-eval's task names; it is asked where the run says `hub`."""


@dataclass(frozen=True)
class Figure:
    """One figure of a card."""

    evaluation: EvalResult
    metric: Metric
    plugin: str
    """The evaluation's own name."""
    source: str
    """What the run was told to ask: `microworld`, `hub`, a file's name."""
    limited: bool
    """Whether only a part of the questions was asked."""

    @property
    def name(self) -> str:
        """What is measured: `score`, `net_win against M2`."""
        against = self.metric.against
        return f"{self.metric.name} against {against}" if against else self.metric.name

    @property
    def questions(self) -> str:
        """What was asked: the benchmark, or else the evaluation."""
        return self.metric.name if self.plugin == BENCHMARKS else self.evaluation.evaluation

    @property
    def data(self) -> DataSet | None:
        """The data set on the hub; None where other questions were asked."""
        if self.plugin != BENCHMARKS or self.source != "hub":
            return None
        return ON_HUB.get(self.metric.name)

    @property
    def on_microworld(self) -> bool:
        """Whether the questions are those of the embedded world."""
        return self.source.partition(":")[0] == "microworld"

    @cached_property
    def details(self) -> dict[str, JsonValue]:
        """Tell how sure it is, who judged, and what a reader must know."""
        metric = self.metric
        found: dict[str, JsonValue] = {
            "n": metric.n,
            "failed": metric.failed,
            "low": metric.low,
            "high": metric.high,
            "judge": private.scrub(self.evaluation.judge) or None,
            "note": private.scrub(metric.note) or None,
        }
        return {key: value for key, value in found.items() if value is not None}

    @property
    def caution(self) -> str:
        """Say why it may not be compared with a published figure; empty where it may."""
        where = self.evaluation.evaluation
        if self.on_microworld:
            return f"{where}: questions of the micro-world"
        if self.plugin != BENCHMARKS and self.metric.note:
            return f"{where}: {private.scrub(self.metric.note)}"
        return f"{where}: a part of the questions only" if self.limited else ""


def figures(entry: Entry) -> Iterator[Figure]:
    """List the main figures of every evaluation that could be computed."""
    for result in published.results(entry):
        name = plugin(entry.record, result.evaluation)
        asked = published.options(entry, result.evaluation)
        for metric in result.metrics:
            computed = metric.value is not None and math.isfinite(metric.value)
            if computed and _is_main(name, metric):
                source = private.scrub(str(asked.get("data", result.evaluation)))
                yield Figure(result, metric, name, source, asked.get("limit") is not None)


def _is_main(evaluation: str, metric: Metric) -> bool:
    """Choose the figures of a paper's table; of an unknown evaluation, all but parts of others."""
    if metric.against is not None:
        return metric.name in NET_WIN
    if evaluation == BENCHMARKS or evaluation not in MAIN:
        return "/" not in metric.name
    return metric.name in MAIN[evaluation]
