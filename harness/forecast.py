"""What a run will ask of its judge, before anything is asked: a rehearsal with stand-ins.

    forecast(evaluations, ["M0", "SFT", "M1"], judge)["head_to_head"]
    Workload(calls=1536, input_tokens=812_544, output_tokens=786_432)

Every evaluation goes through the motions for every model: a stand-in answers with half of the
tokens that an answer may have, another counts what the judge is asked and says nothing. So the
calls are those of the run, whatever the evaluation (but for identical answers, which no judge is
asked about), and the tokens are about right: four bytes each of a prompt, and as many of a verdict
as it may have.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.engines.scripted import prompt_text
from harness.plugins import Built
from harness.protocols import (
    Completion,
    Continuation,
    Evaluation,
    LogLikelihood,
    Prompt,
    Request,
    Workload,
)
from harness.records import EvalResult, Failure, ModelRef
from harness.rows import RowLog

_BYTES_PER_TOKEN = 4
_SILENT = Failure(reason="rehearsal")


def forecast(
    evaluations: Sequence[Built[Evaluation]],
    lineage: Sequence[ModelRef],
    judge: ModelRef,
    accept: Callable[[ModelRef, Request], None] = lambda judge, request: None,
) -> dict[str, Workload]:
    """Count, by evaluation, the calls of the judge over all models, oldest first.

    Args:
        evaluations: All of the run.
        lineage: The models, oldest first.
        judge: Whom they ask.
        accept: Says, by raising, that the judge cannot be sampled as a request asks.

    Raises:
        HarnessError: an evaluation cannot be done as asked.
    """
    return {
        built.name: _rehearse(built.plugin, lineage, judge, accept)
        for built in evaluations
        if built.plugin.needs_judge
    }


def lineage(model: ModelRef, iterations: int) -> list[ModelRef]:
    """Name the models that a run will measure, with the one baseline that a trainer usually has."""
    models = [model]
    for iteration in range(1, iterations + 1):
        parent = models[-1].name
        if iteration == 1:
            models.append(ModelRef(name="SFT", location="none", parent=parent))
        models.append(ModelRef(name=f"M{iteration}", location="none", parent=parent))
    return models


def _rehearse(
    plugin: Evaluation,
    lineage: Sequence[ModelRef],
    judge: ModelRef,
    accept: Callable[[ModelRef, Request], None],
) -> Workload:
    counter = _StandIn(judge, speaks=False, accept=accept)
    earlier: list[EvalResult] = []
    with TemporaryDirectory() as folder:
        for model in lineage:
            with RowLog(Path(folder) / f"{model.name}.jsonl") as log:
                plugin.answer(_StandIn(model, speaks=True), log)
                earlier.append(plugin.mark(model, log, counter, earlier))
    return counter.asked


@dataclass
class _StandIn:
    """A model that counts what it is asked; it answers at half length, or not at all."""

    ref: ModelRef
    speaks: bool
    accept: Callable[[ModelRef, Request], None] = lambda model, request: None
    chat_template: str | None = None
    context: int = 1 << 30
    asked: Workload = field(default_factory=Workload)

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        for request in requests:
            self.accept(self.ref, request)
            n, most = request.sampling.n, request.sampling.max_tokens
            self.asked += Workload(n, n * self.count_tokens(request.prompt), n * most)
            for index in range(n):
                if self.speaks:
                    yield Completion(request.id, index, self.ref.name + " and" * (most // 2))
                else:
                    yield Completion(request.id, index, "", (), (), "failed", failure=_SILENT)

    def loglikelihood(self, requests: Iterable[Continuation]) -> Iterator[LogLikelihood]:
        for request in requests:
            self.asked += Workload(1, self.count_tokens(request.prompt), 1)
            yield LogLikelihood(request.id, float("nan"), 0, greedy=False, failure=_SILENT)

    def count_tokens(self, prompt: Prompt) -> int:
        return -(-len(prompt_text(prompt).encode()) // _BYTES_PER_TOKEN)
