"""Figures of a benchmark, and files as lm-eval writes them.

    results_2026-01-31T12-00-00.json            every task's means with their standard errors
    samples_arc_easy_2026-01-31T12-00-00.jsonl  every item: its prompt, answers and metrics

The figures are lm-eval's own wherever nothing failed, which is checked. Where an item failed,
lm-eval's count its placeholder and these leave it out, as does the samples file.
"""

import hashlib
import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from evals.nlp_benchmarks.benchmarks import BENCHMARKS, FEWSHOT_SEED
from evals.nlp_benchmarks.items import Sample, metrics
from harness.records import ModelRef

if TYPE_CHECKING:
    from evals.nlp_benchmarks.running import Run

Figures = dict[str, Any]
"""As in lm-eval: `{"acc,none": 0.5, "acc_stderr,none": 0.01, "sample_len": 500, ...}`."""

UNDATED = datetime(1970, 1, 1, tzinfo=UTC)
"""The date of files of which no time is known, so that a result is always the same bytes."""

_TOLERANCE = 1e-9


def figures(run: "Run") -> dict[str, Figures]:
    """Compute each task's and group's figures from what was scored.

    Raises:
        RuntimeError: nothing failed, and lm-eval comes to other figures.
    """
    by_task = {task: _values(scored(run, task)) for task in run.raw["samples"]}
    made = {task: _task_figures(run, task, values) for task, values in by_task.items()}
    for group, tasks in run.raw["group_subtasks"].items():
        made[group] = _group_figures(group, [by_task[task] for task in tasks])
    if not run.failed:
        _check(made, run.raw["results"])
    return made


def scored(run: "Run", task: str) -> list[Sample]:
    """Leave out the samples of items that failed."""
    return [one for one in run.raw["samples"][task] if (task, one["doc_id"]) not in run.failed]


def prompts_hash(run: "Run") -> str:
    """Hash every row, prompt and right answer, those of failed items too."""
    hashes = [_task_hash(samples) for samples in run.raw["samples"].values()]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()[:16]


def files(
    runs: Sequence["Run"], model: ModelRef, chat_template: str | None, date: datetime
) -> Iterator[tuple[str, str]]:
    """Write runs out as lm-eval would have: names and contents of files.

    No place on this machine is in them: a local model or data set is called by its own name.

    Args:
        runs: Benchmarks that one model answered.
        model: Which, with its fingerprint.
        chat_template: A hash of its chat template.
        date: When. lm-eval's names have no time zone, and its readers expect a date in them.
    """
    when = date.replace(tzinfo=None).isoformat().replace(":", "-")
    content = _results(runs, model, date) | {"chat_template_sha": chat_template}
    yield f"results_{when}.json", _json(content, indent=2)
    for run in runs:
        for task in run.raw["samples"]:
            lines = [_line(sample) + "\n" for sample in scored(run, task)]
            yield f"samples_{task}_{when}.jsonl", "".join(lines)


# ---------------------------------------------------------------- figures


def _values(samples: Sequence[Sample]) -> dict[str, list[float]]:
    """Collect each metric's values."""
    values: dict[str, list[float]] = defaultdict(list)
    for sample in samples:
        for key, value in metrics(sample).items():
            values[key].append(value)
    return values


def _task_figures(run: "Run", task: str, values: Mapping[str, Sequence[float]]) -> Figures:
    made: Figures = {
        "name": task,
        "alias": run.raw["results"][task]["alias"],
        "sample_len": max(map(len, values.values()), default=0),
    }
    for key, found in values.items():
        made[key] = statistics.fmean(found)
        made[_stderr(key)] = _standard_error([found])
    return made


def _group_figures(group: str, tasks: Sequence[Mapping[str, Sequence[float]]]) -> Figures:
    """Weigh every item alike, whichever task it belongs to."""
    keys = dict.fromkeys(key for values in tasks for key in values)
    found = {key: [values[key] for values in tasks if key in values] for key in keys}
    sizes = {key: sum(map(len, lists)) for key, lists in found.items()}
    made: Figures = {"name": group, "alias": group, "sample_len": max(sizes.values(), default=0)}
    for key, lists in found.items():
        made[key] = math.fsum(value for values in lists for value in values) / sizes[key]
        made[_stderr(key)] = _standard_error(lists)
    made["sample_count"] = sizes
    return made


def _standard_error(lists: Sequence[Sequence[float]]) -> float | str:
    """Estimate that of the mean over all lists, from the variance inside each.

    `N/A`, as in lm-eval, where a list of one has none.
    """
    n = sum(map(len, lists))
    if min(map(len, lists)) < 2:
        return "N/A"
    squares = sum(statistics.variance(values) * (len(values) - 1) for values in lists)
    return math.sqrt(squares / (n - len(lists)) / n)


def _stderr(key: str) -> str:
    metric, _, filter = key.partition(",")
    return f"{metric}_stderr,{filter}"


def _check(made: Mapping[str, Figures], found: Mapping[str, Figures]) -> None:
    for task, ours in made.items():
        for key, value in ours.items():
            if isinstance(value, float) and abs(value - found[task][key]) > _TOLERANCE:
                raise RuntimeError(f"{task} {key}: {value} here, {found[task][key]} in lm-eval")


# ---------------------------------------------------------------- files


def _results(runs: Sequence["Run"], model: ModelRef, date: datetime) -> dict[str, Any]:
    settings = runs[0].settings
    by_name = {run.name: figures(run) for run in runs}
    groups = [group for run in runs for group in run.raw["group_subtasks"]]
    results = {task: made for one in by_name.values() for task, made in one.items()}
    return {
        "results": results,
        "groups": {group: results[group] for group in groups},
        **{key: _joined(runs, key) for key in ("group_subtasks", "versions", "n-shot")},
        "configs": {
            task: _published(config, run)
            for run in runs
            for task, config in run.raw["configs"].items()
        },
        "higher_is_better": _joined(runs, "higher_is_better"),
        "n-samples": {
            task: {"original": count["original"], "effective": results[task]["sample_len"]}
            for task, count in _joined(runs, "n-samples").items()
        },
        "config": {
            "model": model.name,
            "model_args": {
                "pretrained": _place(model.location),
                "revision": model.revision,
                "fingerprint": model.fingerprint,
            },
            "model_revision": model.revision,
            "model_sha": model.fingerprint,
            "limit": settings.limit,
            "bootstrap_iters": 100_000,
            "gen_kwargs": {"max_gen_toks": settings.max_gen_toks},
            "fewshot_seed": FEWSHOT_SEED,
        },
        "date": date.timestamp(),
        "lm_eval_version": version("lm_eval"),
        "fewshot_as_multiturn": settings.chat_template,
        "task_hashes": {
            task: _task_hash(scored(run, task)) for run in runs for task in run.raw["samples"]
        },
        "model_name": model.name,
        "model_name_sanitized": model.name.replace("/", "__"),
    }


def _joined(runs: Sequence["Run"], key: str) -> dict[str, Any]:
    return {task: value for run in runs for task, value in run.raw.get(key, {}).items()}


def _published(config: Mapping[str, Any], run: "Run") -> dict[str, Any]:
    """Show a task's configuration as if lm-eval had read the packaged definition."""
    task = config["task"].removeprefix(f"{BENCHMARKS[run.name].task}_")
    definition = BENCHMARKS[run.name].definition.replace("*", task)
    kept = {key: value for key, value in config.items() if key != "custom_dataset"}
    if "custom_dataset" in config:
        kept["dataset_kwargs"] = config["dataset_kwargs"] | {"source": _place(run.settings.data)}
    return kept | {
        "metadata": config["metadata"] | {"config_source": f"lm_eval/tasks/{definition}"}
    }


def _place(location: str) -> str:
    return PurePath(location).name if PurePath(location).is_absolute() else location


def _task_hash(samples: Sequence[Sample]) -> str:
    """Hash rows, prompts and right answers as lm-eval's `task_hashes` does."""
    parts = (one["doc_hash"] + one["prompt_hash"] + one["target_hash"] for one in samples)
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def _line(sample: Sample) -> str:
    """Write a sample as lm-eval does: arguments by name, responses and target as text."""
    arguments = {
        f"gen_args_{i}": {f"arg_{j}": value for j, value in enumerate(one)}
        for i, one in enumerate(sample["arguments"])
    }
    written = {
        **sample,
        "target": str(sample["target"]),
        "arguments": arguments,
        "resps": _as_text(sample["resps"]),
        "filtered_resps": _as_text(sample["filtered_resps"]),
        **{metric: float(sample[metric]) for metric in sample["metrics"]},
    }
    return _json(written)


def _as_text(value: Any) -> Any:
    return [_as_text(one) for one in value] if isinstance(value, list | tuple) else str(value)


def _json(content: Any, indent: int | None = None) -> str:
    def plain(value: Any) -> Any:
        return f"{value.__module__}.{value.__qualname__}" if callable(value) else value.item()

    # In ASCII, so that half a surrogate pair, which a server may send, can be written.
    return json.dumps(content, indent=indent, default=plain)
