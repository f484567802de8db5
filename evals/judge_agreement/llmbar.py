"""Agreement with the labels of LLMBar, whose pairs were judged in both orders.

    result.json    {"label": 1, "results": [{"swap = False": {"winner": "1"},
                                             "swap = True": {"winner": "1"}}]}

`accuracy_order_1` is of the pairs as they stand, `accuracy_order_2` of them swapped, and `accuracy`
the mean of both. The published statistics count an unreadable verdict as wrong, and where a rating
is no whole number the winners that LLMBar makes up, `1` and then `2`: that is `accuracy_published`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from evals.judge_agreement.formats import Format, result, share, stem
from harness.data import preferences
from harness.data.files import Table
from harness.errors import DataError
from harness.records import EvalResult
from harness.statistics.pairs import TIE, JudgedPair, pair_metrics

_WHOLE = re.compile(r"\s*[-+]?\d+\s*")


def _results(judgements: Sequence[Table], labels: Sequence[Table]) -> list[EvalResult]:
    return [_of(table, labels) for table in judgements]


def _of(table: Table, labels: Sequence[Table]) -> EvalResult:
    known = next((one for one in labels if len(one.rows) == len(table.rows)), None)
    if known is None and labels:
        sizes = ", ".join(f"{one.source} {len(one.rows)}" for one in labels)
        raise DataError(f"{table.source} has {len(table.rows)} rows, and {sizes}: another set")
    pairs, stored = [], []
    for index, row in enumerate(table.rows):
        item = known.rows[index] if known else {}
        label, gold = row.get("label", item.get("label")), item.get("label", row.get("label"))
        human = {"1": 1.0, "2": 0.0}.get(str(label))
        if human is None or str(label) != str(gold):
            raise DataError(f"{table.where(index)}: label {label!r}; the data set has {gold!r}")
        pair = JudgedPair(human, _stored(row), str(item.get("input", index)))
        stored.append(pair)
        pairs.append(replace(pair, verdicts=(None, None)) if _made_up(row) else pair)
    return result(
        stem(table),
        [str(pair.human) for pair in pairs],
        f"{len(pairs)} pairs of LLMBar, judged in both orders, of {table.source}",
        (
            *pair_metrics(pairs),
            share("accuracy_order_1", pairs, lambda pair: _right(pair, 0)),
            share("accuracy_order_2", pairs, lambda pair: _right(pair, 1)),
            share("accuracy_published", stored, lambda pair: sum(pair.right) / 2).model_copy(
                update={"note": "unreadable verdicts are wrong, made-up ones count"}
            ),
        ),
    )


def _right(pair: JudgedPair, order: int) -> float | None:
    verdict = pair.verdicts[order]
    return None if verdict is None else float(verdict == pair.human)


def _stored(row: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Read the winner in each order."""
    first, second = (_winner(_last(row).get(f"swap = {swapped}")) for swapped in (False, True))
    return first, second


def _made_up(row: Mapping[str, Any]) -> bool:
    """Say whether the winners follow from a rating that is no whole number."""
    ratings = [_last(row)[name] for name in ("score_1", "score_2") if name in _last(row)]
    return not all(
        _WHOLE.fullmatch(str(one[0] if isinstance(one, list) and one else one)) for one in ratings
    )


def _last(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take the last of the judge's steps, which has the verdict."""
    steps = row.get("results")
    last = steps[-1] if isinstance(steps, list) and steps else None
    return last if isinstance(last, dict) else {}


def _winner(order: Any) -> float | None:
    said = str(order.get("winner")) if isinstance(order, dict) else ""
    return {"1": 1.0, "2": 0.0, "0": TIE, "tie": TIE}.get(said.lower())


LLMBAR = Format(
    is_judgements=lambda first: isinstance(first.get("results"), list),
    is_labels=lambda first: "label" in first and preferences.is_preference_set(first),
    labels="LLMBar's dataset.json",
    needs_labels=lambda table: "label" not in table.rows[0],
    results=_results,
)
