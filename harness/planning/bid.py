"""A request that is to be planned: built as a run would, as far as its data are at hand."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness import plugins
from harness.config import RunConfig
from harness.errors import DataError
from harness.pinned import contents
from harness.plugins import Built
from harness.protocols import Evaluation
from harness.run import Bench


@dataclass(frozen=True)
class Bid:
    """A request, built as far as its data are at hand."""

    bench: Bench
    missing: Mapping[str, str]
    """Evaluations whose data are not here, by label, with the reason."""
    request: dict[str, Any]

    @classmethod
    def build(cls, config: RunConfig) -> "Bid":
        """Build what can be built.

        Raises:
            HarnessError: the request cannot be understood.
        """
        built: list[Built[Evaluation]] = []
        options: list[dict[str, Any]] = []
        missing: dict[str, str] = {}
        for choice in config.evaluations:
            options.append(plugins.options(plugins.EVALUATIONS, choice))
            try:
                built.append(plugins.build(plugins.EVALUATIONS, choice))
            except DataError as error:
                missing[choice.called] = str(error).partition(";")[0]
        there = {one.name for one in built}
        kept = tuple(choice for choice in config.evaluations if choice.called in there)
        bench = Bench.build(config.model_copy(update={"evaluations": kept}), built)
        request = {**bench.request, "evaluations": options}
        request.pop("contents", None)
        return cls(bench, missing, {**request, "contents": contents(request)})

    def without(self, label: str, why: str) -> "Bid":
        """The same without an evaluation whose data are not here."""
        kept = tuple(one for one in self.bench.evaluations if one.name != label)
        missing = {**self.missing, label: why.partition(";")[0]}
        return replace(self, bench=replace(self.bench, evaluations=kept), missing=missing)
