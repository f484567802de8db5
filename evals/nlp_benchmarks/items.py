"""What came of each item of a benchmark: what the model answered, and each metric's 0 or 1.

arc_easy/17      "the Sun"          acc 1, acc_norm 0    -> Score(1), the headline's
mmlu/anatomy/3   "B"                acc 0                -> Score(0)
hellaswag/9001   prompt_too_long                         -> Failure

The details show why:

prompt           "What does the Earth go round?"         without the examples before it
right_answers    ["the Sun"]
choices          {"text": "the Sun", "logprob": -4.1, "per_character": -0.5857}, ...
extracted        {"exact_match_strict": "[invalid]", "exact_match_flexible": "7"}
scores           {"acc": 1, "acc_norm": 0}
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import JsonValue

from evals.nlp_benchmarks.benchmarks import ACC_NORM, BENCHMARKS, METRICS, Benchmark
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
            failure = run.failed.get((task, row))
            details, values, answer = _asked(benchmark, filtered[0]), dict[str, float](), ""
            if failure is None:
                for sample in filtered:
                    values |= metrics(sample)
                answer = _answer(filtered[0], normalised=headline == ACC_NORM)
                details |= _found(benchmark, filtered, (task, row) in run.truncated)
            item = ItemResult(
                id=item_id(benchmark.name, subject, row),
                answer=answer,
                outcome=failure or Score(value=values[headline]),
                category=benchmark.name,
                details=details,
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


def _is_choice(sample: Sample) -> bool:
    return not isinstance(sample["resps"][0][0], str)


def _choices(benchmark: Benchmark, sample: Sample) -> list[str]:
    """Write the choices; MMLU's are asked for by letter alone."""
    choices = [str(continuation).strip() for _, continuation in sample["arguments"]]
    if not benchmark.by_subject:
        return choices
    return [f"{one}. {text}" for one, text in zip(choices, sample["doc"]["choices"], strict=True)]


def _asked(benchmark: Benchmark, sample: Sample) -> dict[str, JsonValue]:
    """Say what was asked and what is right."""
    target = sample["target"]
    if _is_choice(sample):
        right = [_choices(benchmark, sample)[int(target)]]
    else:
        right = [str(one) for one in target] if isinstance(target, list) else [str(target)]
    return {"prompt": benchmark.question(sample["doc"]), "right_answers": [*right]}


def _found(
    benchmark: Benchmark, filtered: Sequence[Sample], truncated: bool
) -> dict[str, JsonValue]:
    """Say how likely each choice was, or what was read out of a text, and what that is worth."""
    scores: dict[str, JsonValue] = {}
    for sample in filtered:
        scores |= {METRICS[key]: value for key, value in metrics(sample).items()}
    if _is_choice(filtered[0]):
        return {"choices": _likelihoods(benchmark, filtered[0]), "scores": scores}
    extracted: dict[str, JsonValue] = {
        METRICS[key]: str(sample["filtered_resps"][0])
        for sample in filtered
        for key in metrics(sample)
    }
    return {"extracted": extracted, "scores": scores, "truncated": truncated}


def _likelihoods(benchmark: Benchmark, sample: Sample) -> list[JsonValue]:
    """Lay the choices out, with natural-log probabilities to four places."""
    laid_out: list[JsonValue] = []
    for text, (_, said), [(logprob, _)] in zip(
        _choices(benchmark, sample), sample["arguments"], sample["resps"], strict=True
    ):
        one: dict[str, JsonValue] = {"text": text, "logprob": round(logprob, 4)}
        if ACC_NORM in benchmark.metrics:
            one["per_character"] = round(logprob / len(said.strip()), 4)
        laid_out.append(one)
    return laid_out


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
