"""What came of each item of a benchmark: what the model answered, and each metric's 0 or 1.

arc_easy/17      "the Sun"          acc 1, acc_norm 0    -> Score(1), the headline's
mmlu/anatomy/3   "B"                acc 0                -> Score(0)
hellaswag/9001   prompt_too_long                         -> Failure
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from evals.nlp_benchmarks.benchmarks import ACC_NORM, BENCHMARKS
from harness.records import ItemResult, Score

if TYPE_CHECKING:
    from evals.nlp_benchmarks.running import Run

Sample = Mapping[str, Any]
"""As lm-eval makes it: one for each item and filter."""


class Marked(NamedTuple):
    """An item and what it is worth by each metric."""

    item: ItemResult
    values: Mapping[str, float]
    """By lm-eval's `metric,filter`; empty where the item failed."""


def item_id(benchmark: str, subject: str | None, row: int) -> str:
    """Name an item, the same in every model and every run: `mmlu/anatomy/3`."""
    return "/".join(filter(None, (benchmark, subject, str(row))))


def mark(run: "Run") -> list[Marked]:
    """Read the items out of lm-eval's samples."""
    benchmark = BENCHMARKS[run.name]
    headline = benchmark.headline(run.settings.chat_template)
    marked = []
    for task, samples in run.raw["samples"].items():
        subject = task.removeprefix(f"{benchmark.task}_") if benchmark.by_subject else None
        for row, filtered in by_row(samples).items():
            id = item_id(benchmark.name, subject, row)
            failure = run.failed.get((task, row))
            if failure is not None:
                item = ItemResult(id=id, answer="", outcome=failure, category=benchmark.name)
                marked.append(Marked(item, {}))
                continue
            values = {key: value for sample in filtered for key, value in metrics(sample).items()}
            item = ItemResult(
                id=id,
                answer=_answer(filtered[0], normalised=headline == ACC_NORM),
                outcome=Score(value=values[headline]),
                category=benchmark.name,
                details={"truncated": True} if (task, row) in run.truncated else {},
            )
            marked.append(Marked(item, values))
    return marked


def by_row(samples: Sequence[Sample]) -> Mapping[int, list[Sample]]:
    """Put the samples of one row, which are one a filter, together."""
    rows = defaultdict(list)
    for sample in samples:
        rows[sample["doc_id"]].append(sample)
    return rows


def metrics(sample: Sample) -> dict[str, float]:
    """Give a sample's metrics the names that lm-eval gives their means."""
    return {f"{metric},{sample['filter']}": float(sample[metric]) for metric in sample["metrics"]}


def _answer(sample: Sample, normalised: bool) -> str:
    """Say what was generated, or which choice was likeliest, by character where normalised."""
    said = [resps[0] for resps in sample["resps"]]
    if isinstance(said[0], str):
        return str(said[0])
    choices = [str(continuation).strip() for _, continuation in sample["arguments"]]
    logprobs = [
        logprob / (len(choice) if normalised else 1)
        for (logprob, _), choice in zip(said, choices, strict=True)
    ]
    return choices[logprobs.index(max(logprobs))]
