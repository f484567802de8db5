"""A published format of stored judgements: how its files are known, and what is made of them.

pandalm    labels  testset-v1.json        judgements  gpt-3.5-turbo-testset-v1.json
votes      labels  human.jsonl            judgements  gpt4_pair.jsonl
llmbar     labels  in the judgements      judgements  result.json
ranked     labels  in the judgements      judgements  any.jsonl
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.protocol import protocol
from harness.data.files import Table
from harness.errors import DataError
from harness.records import EvalResult, Metric
from harness.statistics.agreement import gatherer
from harness.statistics.intervals import ratio
from harness.statistics.pairs import JudgedPair

_ENDING = re.compile(r"\.(jsonl?|csv|parquet)(\.gz)?$")

Is = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True)
class Format:
    """How a format's files are told by their first row, and what is computed from them."""

    is_judgements: Is
    is_labels: Is
    labels: str
    """What the file with people's labels is called, for whoever has to find it."""
    needs_labels: Callable[[Table], bool]
    """Whether judgements come without the labels, so that those are in a file of their own."""
    results: Callable[[Sequence[Table], Sequence[Table]], list[EvalResult]]
    """Make a result for every judge out of (judgements, labels)."""


def result(judge: str, labels: Sequence[str], about: str, metrics: Sequence[Metric]) -> EvalResult:
    """Write a judge's figures down; `labels` is what two judges must share to be compared."""
    return EvalResult(
        evaluation="judge_agreement",
        model=judge,
        protocol=protocol("judge_agreement", "stored", *labels),
        description=about,
        metrics=tuple(metrics),
    )


def each(table: Table, needed: Collection[str]) -> Iterator[Mapping[str, Any]]:
    """Give a table's rows, all of which must have what is needed to tell what they are about.

    Raises:
        DataError: a row lacks one of these columns.
    """
    for index, row in enumerate(table.rows):
        missing = sorted(name for name in needed if row.get(name) is None)
        if missing:
            raise DataError(f"{table.where(index)}: there is no {' and no '.join(missing)}")
        yield row


def stem(table: Table) -> str:
    """Name a judge by its file, or, where that is just `result`, by the folders it is in.

    Those of LLMBar are `Neighbor/evaluators/GPT-4/CoT`: the judge's name says on which set.
    """
    path = Path(table.source).absolute()
    name = _ENDING.sub("", path.name)
    if name != "result":
        return name
    judge, of = path.parent.parts[-2:], path.parent.parts[-4:-2]
    return "/".join(judge) + (f" on {of[0]}" if of[1:] == ("evaluators",) else "")


def share(
    name: str, pairs: Sequence[JudgedPair], value: Callable[[JudgedPair], float | None]
) -> Metric:
    """Average something over pairs, with an interval by cluster; None is a failure."""
    values = [value(pair) for pair in pairs]
    gathered = gatherer([pair.cluster for pair in pairs])
    there = gathered([one is not None for one in values])
    return ratio(gathered([one or 0.0 for one in values]), there).metric(
        name, failed=values.count(None)
    )
