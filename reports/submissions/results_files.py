"""What readers of lm-eval's files rest on, and what of them is not the tasks' own protocol.

    results_<date>.json            {"results": {"arc_easy": {"acc,none": 0.5, ...}}, "configs": ...}
    samples_arc_easy_<date>.jsonl  {"doc_id": 0, "filter": "none", "metrics": ["acc"], "acc": 1.0}

Every figure is the mean over its samples, every hash that of their rows and prompts.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from harness.errors import DataError
from harness.protocols import Rule
from reports.submissions import private
from reports.submissions.findings import judged, mapping, repeated, rows

KEYS = (
    "results", "configs", "versions", "n-shot", "higher_is_better", "n-samples", "config", "date",
    "lm_eval_version", "task_hashes", "model_name", "model_name_sanitized",
)  # fmt: skip
NESTED = ("results", "configs", "n-samples", "task_hashes", "config")
TABLES = ("results", "configs", "n-samples")
"""Of these, what there is of each task is a table again."""
SAMPLE_KEYS = (
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics",
    "doc_hash", "prompt_hash", "target_hash",
)  # fmt: skip
MEANS = ("acc", "acc_norm", "exact_match")
"""Metrics that are the mean over samples."""
TOLERANCE = 1e-9
_DATED = re.compile(r"(results|samples_.+)_\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(\.\d+)?\.jsonl?")

Samples = Sequence[Mapping[str, Any]]


def tables(folder: Path) -> list[Path]:
    """Find results in a folder, or in one of its folders, which lm-eval calls by the model."""
    return sorted([*folder.glob("results_*.json"), *folder.glob("*/results_*.json")])


def sanitized(model: str) -> str:
    """Write a model's name as lm-eval does where it names a folder."""
    return re.sub(r"[\"<>:/|\\?*\[\]]+", "__", model)


def check(folder: Path) -> Sequence[Rule]:
    """Apply every rule to a folder with the results of one model."""
    there = tables(folder)
    if len(there) != 1:
        names = ", ".join(path.relative_to(folder).as_posix() for path in there) or "none"
        return [judged("one file of results", [f"there are {names}"])]
    try:
        table = mapping(there[0])
        lacking = [f"no {key}" for key in KEYS if key not in table]
        lacking += [f"{key} is no table" for key in NESTED if not isinstance(table.get(key), dict)]
        lacking += [
            f"{key} has more than tables" for key in TABLES if not _is_of_tables(table.get(key))
        ]
        whole = judged("every key of lm-eval's results", lacking)
        if lacking:
            return [whole]
        date = there[0].name.removeprefix("results_").removesuffix(".json")
        wanted = {task: f"samples_{task}_{date}.jsonl" for task in table["configs"]}
        home = there[0].parent
        found = {t: rows(home / name) for t, name in wanted.items() if (home / name).is_file()}
    except DataError as error:
        return [judged("every file can be read", [str(error)])]
    lost = [f"no {wanted[task]}" for task in wanted if task not in found]
    listed = set(wanted.values())
    strange = [path.name for path in home.glob("samples_*") if path.name not in listed]
    lost += [f"{name} is of no task in the results" for name in sorted(strange)]
    return [whole, judged("samples of every task", lost), *Files(there[0], table, found).rules()]


@dataclass(frozen=True)
class Files:
    """Results and samples of one model, as they are found."""

    path: Path
    table: Mapping[str, Any]
    samples: Mapping[str, Samples]
    """By task."""

    def rules(self) -> Iterator[Rule]:
        """Go through all rules, from names to figures to the protocol."""
        yield judged("names as lm-eval's readers expect", self._name_faults())
        yield judged("every key of lm-eval's samples", self._sample_faults())
        yield judged("one line an item and filter", self._repeats())
        yield judged("as many samples as the results say", self._count_faults())
        yield judged("hashes of rows and prompts", self._hash_faults())
        yield judged("figures computed again", self._figure_faults())
        yield judged("no private places", private.places(dict(self.table)))
        yield from self._protocol()

    def _name_faults(self) -> Iterator[str]:
        home, wanted = self.path.parent.name, sanitized(str(self.table["model_name"]))
        if self.table["model_name_sanitized"] != wanted:
            yield f"model_name_sanitized is {self.table['model_name_sanitized']}, wanted {wanted}"
        if home != wanted:
            yield f"the folder is {home}, wanted {wanted}"
        if not _DATED.fullmatch(self.path.name):
            yield f"{self.path.name} has no date in its name"

    def _sample_faults(self) -> Iterator[str]:
        for task, samples in self.samples.items():
            for number, sample in enumerate(samples, start=1):
                if lacking := [key for key in SAMPLE_KEYS if key not in sample]:
                    yield f"{task}, line {number}, lacks {', '.join(lacking)}"
                elif not isinstance(sample["metrics"], list):
                    yield f"{task}, line {number}, has no list of metrics"
                elif lacking := [one for one in map(str, sample["metrics"]) if one not in sample]:
                    yield f"{task}, line {number}, lacks its {', '.join(lacking)}"

    def _repeats(self) -> Iterator[str]:
        for task, samples in self.samples.items():
            places = [(sample.get("doc_id"), sample.get("filter")) for sample in samples]
            yield from (f"{task}: {what}" for what in repeated(places))

    def _count_faults(self) -> Iterator[str]:
        for task, samples in self.samples.items():
            told = self.table["n-samples"].get(task, {}).get("effective")
            found = Counter(str(sample.get("filter")) for sample in samples)
            for name, count in found.items():
                if count != told:
                    yield f"{task} has {count} by the filter {name}, the results say {told}"

    def _hash_faults(self) -> Iterator[str]:
        for task, samples in self.samples.items():
            keys = ("doc_hash", "prompt_hash", "target_hash")
            parts = (str(sample.get(key)) for sample in samples for key in keys)
            found = hashlib.sha256("".join(parts).encode("utf-8", "replace")).hexdigest()
            if self.table["task_hashes"].get(task) != found:
                yield f"{task} has other rows or prompts than the results say"

    def _figure_faults(self) -> Iterator[str]:
        for task, samples in self.samples.items():
            values: dict[str, list[float]] = {}
            for sample in samples:
                for metric in set(MEANS) & sample.keys():
                    if isinstance(sample[metric], int | float):
                        key = f"{metric},{sample.get('filter')}"
                        values.setdefault(key, []).append(float(sample[metric]))
            told = self.table["results"].get(task, {})
            for key, found in sorted(values.items()):
                value = told.get(key)
                if not isinstance(value, int | float) or abs(value - fmean(found)) > TOLERANCE:
                    yield f"{task} {key} is {value}, {fmean(found)} by its samples"

    def _total(self, key: str) -> int:
        counts = (count.get(key) for count in self.table["n-samples"].values())
        return sum(count for count in counts if isinstance(count, int))

    def _protocol(self) -> Iterator[Rule]:
        """Say what of the protocol is not that of the tasks."""
        configs = self.table["configs"]
        others = sorted(
            {str(one.get("dataset_path")) for one in configs.values() if _is_other_data(one)}
        )
        wrong = [f"questions of {name}" for name in others]
        yield judged("the tasks' own data sets", wrong, "differs")
        asked, there = self._total("original"), self._total("effective")
        limit = self.table["config"].get("limit")
        why = f"the first {limit} of each task" if limit else "the others failed or were left out"
        wrong = [f"{there} of {asked} items: {why}"] if there < asked else []
        yield judged("every item of every task", wrong, "differs", f"{asked} items")


def _is_of_tables(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(one, dict) for one in value.values())


def _is_other_data(config: Mapping[str, Any]) -> bool:
    """Whether a task was asked on other rows than those of the data set that it names."""
    keywords = config.get("dataset_kwargs")
    return isinstance(keywords, dict) and "source" in keywords
