"""The rows of a benchmark, checked before anything is asked.

    read("microworld", "arc_easy", shots=0)     the embedded world's own, in the same schema
    read("data/nlp", "arc_easy", shots=25)      data/nlp/arc_easy_test.jsonl, arc_easy_train.jsonl

Files have the rows of the Hugging Face data sets that lm-eval names, and are of any kind that
`harness.data.files` reads; MMLU's subjects are in one file, told apart by the column `subject`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from evals.nlp_benchmarks.benchmarks import BENCHMARKS, Benchmark, Name
from harness.data.files import Table, read_table
from harness.errors import DataError
from harness.microworld import benchmarks as microworld

MICROWORLD = "microworld"
HUB = "hub"
"""Stands for the data sets that lm-eval's definitions name, which it downloads itself."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Splits:
    """What a benchmark asks, and what it shows before."""

    evaluated: Sequence[Row]
    examples: Sequence[Row]
    """Empty where none are shown."""
    pool: str | None
    """The split that the examples come from."""


@lru_cache(maxsize=2 * len(BENCHMARKS))
def read(source: str, name: Name, shots: int) -> Splits:
    """Read a benchmark's rows, once in a process.

    Args:
        source: `microworld` or a folder.
        name: Which benchmark.
        shots: How many examples are shown before each question.

    Raises:
        DataError: a split, a column or a right answer is missing, or there are too few examples.
    """
    benchmark = BENCHMARKS[name]
    evaluated = _table(source, benchmark, benchmark.evaluated)
    if evaluated is None:
        raise _missing(source, benchmark, benchmark.evaluated, "")
    _check(evaluated, benchmark)
    if not shots:
        return Splits(evaluated.rows, (), None)
    found = ((pool, _table(source, benchmark, pool)) for pool in benchmark.pool)
    pool, examples = next(((pool, table) for pool, table in found if table), (None, None))
    if examples is None:
        remedy = f" to show {shots} examples; or set `shots.{name}` to 0"
        raise _missing(source, benchmark, benchmark.pool[0], remedy)
    _check(examples, benchmark)
    _check_enough(benchmark, evaluated, examples, shots)
    return Splits(evaluated.rows, examples.rows, pool)


def _table(source: str, benchmark: Benchmark, split: str) -> Table | None:
    if source == MICROWORLD:
        rows = _microworld(benchmark.name).get(split)
        places = [f"row {number}" for number in range(1, len(rows or ()) + 1)]
        return None if rows is None else Table(f"{MICROWORLD} {benchmark.name}", rows, places)
    files = sorted(Path(source).expanduser().glob(f"{benchmark.files}_{split}.*"))
    return read_table(str(files[0])) if files else None


@lru_cache(maxsize=len(BENCHMARKS))
def _microworld(name: Name) -> Mapping[str, list[Row]]:
    return microworld.nlp(name)


def _missing(source: str, benchmark: Benchmark, split: str, purpose: str) -> DataError:
    folder = Path(source).expanduser()
    there = ", ".join(sorted(file.name for file in folder.glob(f"{benchmark.files}_*"))) or "none"
    where = f"{source} has {there}" if folder.is_dir() else f"there is no folder {source!r}"
    return DataError(
        f"{benchmark.name} needs {benchmark.files}_{split}.jsonl with the columns "
        f"{', '.join(benchmark.columns)}{purpose}; {where}"
    )


def _check(table: Table, benchmark: Benchmark) -> None:
    if not table.rows:
        raise DataError(f"{table.source} has no rows; {benchmark.name} needs some")
    for index, row in enumerate(table.rows):
        missing = [column for column in benchmark.columns if not _has(row, column)]
        if missing:
            raise DataError(
                f"{table.where(index)}, has no {', '.join(missing)}; {benchmark.name} reads "
                f"{', '.join(benchmark.columns)} and the row has {', '.join(row)}"
            )
        try:
            answered = benchmark.is_answered(row)
        except (TypeError, ValueError, AttributeError):
            answered = False
        if not answered:
            raise DataError(
                f"{table.where(index)}, has no right answer among its choices, so that every model "
                f"would be marked wrong; give {benchmark.name} a split with answers"
            )


def _has(row: Mapping[str, Any], column: str) -> bool:
    outer, _, inner = column.partition(".")
    value = row.get(outer)
    return value is not None and (not inner or (isinstance(value, Mapping) and inner in value))


def _check_enough(benchmark: Benchmark, evaluated: Table, examples: Table, shots: int) -> None:
    """Check that lm-eval finds as many examples as it shows, for MMLU in every subject."""
    if benchmark.by_subject:
        there = Counter(row["subject"] for row in examples.rows)
        short = sorted({row["subject"] for row in evaluated.rows if there[row["subject"]] < shots})
        of = f" of the subject {short[0]}" if short else ""
        count = there[short[0]] if short else shots
    else:
        # One more, for the question itself is left out where it is among them.
        count, of = len(examples.rows) - 1, " to draw from, beside the question itself,"
    if count < shots:
        raise DataError(
            f"{examples.source} has {count} rows{of} and {benchmark.name} is to show {shots} "
            f"examples; give more rows, or set `shots.{benchmark.name}`"
        )
