"""Agreement with the people who labelled PandaLM's test set.

    testset-v1.json                  {"idx": 0, ..., "annotator1": 2, "annotator2": 2, ...}
    gpt-3.5-turbo-testset-v1.json    {"idx": 0, "gpt_result": "1"}        0 or Tie, 1 or 2

People decide by majority, and where no answer leads it is a tie. `three_class_accuracy` leaves
unreadable verdicts out; counted as wrong they give `three_class_accuracy_failures_wrong`, and with
a spelled-out "Tie" as wrong as well, because it is not the label 0, `three_class_accuracy_strict`.
`human_three_class_accuracy` is how often two people say the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from evals.judge_agreement.formats import Format, each, result, share, stem
from harness.data.files import Table
from harness.data.preferences import annotators, majority, number
from harness.errors import DataError
from harness.records import EvalResult
from harness.statistics.pairs import TIE, JudgedPair, pair_metrics

_RESULT = "_result"
_PREFERS = {0: TIE, 1: 1.0, 2: 0.0}
"""The labels, as the preference for the first response."""


def _results(judgements: Sequence[Table], labels: Sequence[Table]) -> list[EvalResult]:
    rows = {str(row["idx"]): row for table in labels for row in each(table, ("idx",))}
    return [
        _of(table, column, rows, several=len(_columns(table.rows[0])) > 1)
        for table in judgements
        for column in _columns(table.rows[0])
    ]


def _columns(first: Mapping[str, Any]) -> list[str]:
    return [name for name in first if name.endswith(_RESULT)]


def _of(
    table: Table, column: str, labels: Mapping[str, Mapping[str, Any]], several: bool
) -> EvalResult:
    said: dict[str, Any] = {}
    for index, row in enumerate(table.rows):
        id = str(row.get("idx"))
        if id not in labels:
            raise DataError(f"{table.where(index)}: idx {id} is not in the test set")
        if _verdict(row.get(column)) is not None or id not in said:
            said[id] = row.get(column)
    human = {id: _human(row) for id, row in labels.items()}
    asked = {id: str(row.get("instruction", id)) for id, row in labels.items()}
    pairs = [JudgedPair(human[id], (_verdict(said.get(id)),), asked[id]) for id in labels]
    strict = [
        replace(pair, verdicts=(None,)) if _is_word(said.get(id)) else pair
        for id, pair in zip(labels, pairs, strict=True)
    ]
    people = [
        JudgedPair(_vote(row, one), (_vote(row, other),), asked[id])
        for id, row in labels.items()
        for one, other in combinations(annotators(row), 2)
    ]
    agreed = next(m for m in pair_metrics(people) if m.name == "three_class_accuracy")
    judge = stem(table).removesuffix("-testset-v1")
    return result(
        f"{judge} {column.removesuffix(_RESULT)}" if several else judge,
        [f"{id} {value}" for id, value in human.items()],
        f"{len(pairs)} pairs of {len(set(asked.values()))} instructions, the majority of people "
        f"against {table.source}",
        (
            *pair_metrics(pairs),
            share("three_class_accuracy_failures_wrong", pairs, _same),
            share("three_class_accuracy_strict", strict, _same).model_copy(
                update={"note": 'a spelled-out "Tie" is not the label 0, and wrong'}
            ),
            agreed.model_copy(update={"name": "human_three_class_accuracy"}),
        ),
    )


def _human(row: Mapping[str, Any]) -> float:
    votes = [_vote(row, name) for name in annotators(row)]
    leading = majority(votes)
    return leading if isinstance(leading, float) else TIE


def _vote(row: Mapping[str, Any], annotator: str) -> float:
    value = _verdict(row.get(annotator))
    if value is None:
        raise DataError(
            f"test set item {row.get('idx')}: {annotator} said {row.get(annotator)!r}; "
            "wanted 0 (tie), 1 or 2"
        )
    return value


def _verdict(value: Any) -> float | None:
    if _is_word(value):
        return TIE
    label = number(value)
    return None if label is None else _PREFERS.get(int(label)) if label == int(label) else None


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lower() == "tie"


def _same(pair: JudgedPair) -> float:
    return float(pair.judged == pair.human)


PANDALM = Format(
    is_judgements=lambda first: "idx" in first and bool(_columns(first)),
    is_labels=lambda first: "idx" in first and bool(annotators(first)),
    labels="PandaLM's testset-v1.json",
    needs_labels=lambda table: True,
    results=_results,
)
