"""A benchmark as lm-eval's own tasks, on rows that are already in memory.

For each task a YAML is written that includes the packaged one and says where the rows are:

    include: ".../lm_eval/tasks/arc/arc_easy.yaml"
    task: "arc_easy"
    dataset_kwargs: {"source": "microworld", "name": "arc_easy", "shots": 0}
    custom_dataset: !function evals.nlp_benchmarks.tasks.documents

lm-eval's index of all tasks, which takes it tens of seconds to build, is never built, and nothing
is written into a cache of the `datasets` library.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType, FunctionType
from typing import Any

from lm_eval.tasks import TaskManager

from evals.nlp_benchmarks import data
from evals.nlp_benchmarks.benchmarks import BENCHMARKS, FEWSHOT_SEED, Benchmark, Name
from evals.nlp_benchmarks.data import HUB, Row
from harness.errors import DataError


class Documents(list[Row]):
    """Rows with what lm-eval asks of a `datasets.Dataset` beside them."""

    def __init__(self, rows: Iterable[Row]) -> None:
        super().__init__(rows)
        self._mapped: dict[CodeType, Documents] = {}

    @property
    def features(self) -> Mapping[str, None]:
        """The names of the columns."""
        return dict.fromkeys(self[0])

    def map(self, function: FunctionType) -> "Documents":
        """Add to each row what the function makes of it.

        lm-eval maps a split whenever it looks at it, each time by a new copy of the function.
        """
        code = function.__code__
        if code not in self._mapped:
            self._mapped[code] = Documents({**row, **function(row)} for row in self)
        return self._mapped[code]


def documents(
    source: str, name: Name, shots: int, subject: str | None = None, **_: Any
) -> dict[str, Documents]:
    """Give lm-eval the splits of a task, by the names that its definition has for them."""
    return _documents(source, name, shots, subject)


@lru_cache(maxsize=256)
def _documents(source: str, name: Name, shots: int, subject: str | None) -> dict[str, Documents]:
    splits = data.read(source, name, shots)
    benchmark = BENCHMARKS[name]
    found = {benchmark.evaluated: splits.evaluated, benchmark.pool[0]: splits.examples}
    return {split: Documents(_of(rows, subject)) for split, rows in found.items()}


def _of(rows: Sequence[Row], subject: str | None) -> Iterator[Row]:
    return (row for row in rows if subject is None or row["subject"] == subject)


def load(benchmark: Benchmark, source: str, shots: int) -> dict[str, Any]:
    """Build a benchmark's tasks.

    Args:
        benchmark: Which one.
        source: `microworld`, a folder, or `hub`.
        shots: How many examples are shown before each question.

    Returns:
        What `lm_eval.evaluate` takes: tasks by name, and groups by name.

    Raises:
        DataError: a data set of the hub cannot be loaded, or a subject has no definition.
    """
    with TemporaryDirectory() as folder:
        _write(Path(folder), benchmark, source, shots)
        manager = TaskManager(include_path=folder, include_defaults=False)
        try:
            tasks: dict[str, Any] = manager.load([benchmark.task])
        except (OSError, ValueError) as error:
            if source != HUB:
                raise
            reason = str(error).strip().splitlines()[0]
            raise DataError(
                f"{benchmark.name} cannot be loaded from the hub ({reason}); connect, or name a "
                "folder with its rows in `data`"
            ) from error
    for task in tasks["tasks"].values():
        task.set_config(key="num_fewshot", value=shots)
        task.set_fewshot_seed(seed=FEWSHOT_SEED)
    return tasks


def _write(folder: Path, benchmark: Benchmark, source: str, shots: int) -> None:
    """Write the YAMLs of a benchmark's tasks."""
    if not benchmark.by_subject:
        text = _definition(benchmark, benchmark.definition, benchmark.task, source, shots, None)
        (folder / "task.yaml").write_text(text)
        return
    subjects = _subjects(benchmark, source, shots)
    names = {subject: f"{benchmark.task}_{subject}" for subject in subjects}
    for subject, task in names.items():
        path = benchmark.definition.replace("*", subject)
        text = _definition(benchmark, path, task, source, shots, subject)
        (folder / f"{task}.yaml").write_text(text)
    group = {
        "group": benchmark.task,
        "task": list(names.values()),
        "aggregate_metric_list": [{"metric": "acc", "weight_by_size": True}],
        "metadata": {"version": 2},
    }
    (folder / "group.yaml").write_text(json.dumps(group))


def _subjects(benchmark: Benchmark, source: str, shots: int) -> list[str]:
    """List the subjects that there are rows of, or all."""
    before, _, after = benchmark.definition.partition("*")
    files = packaged().glob(f"{before}*{after}")
    defined = sorted(str(file.relative_to(packaged()))[len(before) : -len(after)] for file in files)
    if source == HUB:
        return defined
    there = dict.fromkeys(
        row["subject"] for row in data.read(source, benchmark.name, shots).evaluated
    )
    unknown = sorted(there.keys() - set(defined))
    if unknown:
        raise DataError(
            f"{benchmark.name} in {source} has the subject {unknown[0]!r}, which lm-eval does not "
            f"define; it has {', '.join(defined[:3])} ... {defined[-1]}"
        )
    return list(there)


def packaged() -> Path:
    """Find the folder of lm-eval's task definitions."""
    spec = find_spec("lm_eval")
    assert spec is not None and spec.origin is not None, "it is imported above"
    return Path(spec.origin).parent / "tasks"


def _definition(
    benchmark: Benchmark, path: str, task: str, source: str, shots: int, subject: str | None
) -> str:
    """Write one task's YAML; whatever the included one says and this does not, stands."""
    keys: dict[str, Any] = {"include": str(packaged() / path), "task": task}
    if source == HUB:
        return json.dumps(keys)
    keys |= {
        "dataset_path": Path(source).name,
        "dataset_name": None,
        "dataset_kwargs": {
            "source": source,
            "name": benchmark.name,
            "shots": shots,
            "subject": subject,
        },
    }
    lines = [f"{key}: {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join([*lines, f"custom_dataset: !function {__name__}.{documents.__name__}"])
