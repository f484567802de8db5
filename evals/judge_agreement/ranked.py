"""Agreement with ranks that stand beside the judge's scores, in files of whatever origin.

    {"prompt": "...", "responses": [{"rank": 0, "scores": [5, 4, null]}, {"rank": 1, "score": 3}]}
    {"prompt": "...", "response": "...", "rank": 0, "score": 5}             one response a row
    {"prompt": "...", "chosen": "...", "rejected": "...", "score_chosen": 5, "score_rejected": 3}

0 is the best rank, and `quality_score`, highest best, may stand in its place. A response's score is
the mean of those that can be read; null, a negative number and what is no number are failures, 0 is
a score. Rows may name the `judge` (or `model`); the file does otherwise. The metrics are those of
the plug-in. `five_best` is left out where scores go beyond five points.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from evals.judge_agreement import marking
from evals.judge_agreement.formats import Format, result, stem
from harness.data.files import Table
from harness.data.preferences import human_ranks, number
from harness.errors import DataError
from harness.records import EvalResult, Failure, Outcome, Score
from harness.statistics.agreement import agreement_metrics, compare

_NAME = ("id", "prompt_id", "prompt", "instruction", "question")
_SCORE = ("scores", "score")
_RANK = ("rank", "quality_score")
_CHOSEN = {"score_chosen", "score_rejected"}
_CHOSEN_AFTER = {"chosen_score", "rejected_score"}
_UNREAD = Failure(reason="no_score", detail="the stored row holds none")


@dataclass(frozen=True)
class _List:
    """Ranked responses to one prompt, with what a judge gave each."""

    judge: str
    prompt: str
    ranks: tuple[int, ...]
    verdicts: tuple[tuple[Outcome, ...], ...]

    @property
    def scores(self) -> list[float | None]:
        """By response, the mean of its readable scores."""
        read = [[one.value for one in row if isinstance(one, Score)] for row in self.verdicts]
        return [fmean(row) if row else None for row in read]


def _results(judgements: Sequence[Table], labels: Sequence[Table]) -> list[EvalResult]:
    by_judge: dict[str, list[_List]] = defaultdict(list)
    for table in judgements:
        for one in _lists(table):
            by_judge[one.judge].append(one)
    return [_result(judge, found) for judge, found in by_judge.items()]


def _result(judge: str, lists: Sequence[_List]) -> EvalResult:
    many = [one for one in lists if len(one.ranks) > 1]
    if not many:
        raise DataError(f"{judge}: no prompt has two ranked responses")
    found = agreement_metrics(
        [compare(one.ranks, one.scores) for one in many], clusters=[one.prompt for one in many]
    )
    beyond = any(score is not None and score > 5 for one in many for score in one.scores)
    unread = marking.failure_rate(
        [(outcomes, one.prompt) for one in many for outcomes in one.verdicts]
    )
    left = f"; {len(lists) - len(many)} more have one response only" if many != lists else ""
    return result(
        judge,
        [f"{one.prompt} {one.ranks}" for one in many],
        f"{sum(len(one.ranks) for one in many)} ranked responses to {len(many)} prompts{left}",
        [*(m for m in found if not (beyond and m.name == "five_best")), unread],
    )


def _lists(table: Table) -> Iterator[_List]:
    first = table.rows[0]
    if isinstance(first.get("responses"), list):
        for index, row in enumerate(table.rows):
            yield _list(table, index, row, row.get("responses"))
    elif columns := _pair_columns(first):
        chosen, rejected = columns
        for index, row in enumerate(table.rows):
            pair = [{"rank": 0, "score": row.get(chosen)}, {"rank": 1, "score": row.get(rejected)}]
            yield _list(table, index, row, pair)
    else:
        together: dict[tuple[str, str], list[int]] = defaultdict(list)
        for index, row in enumerate(table.rows):
            together[_prompt(table, index), _judge(row, table)].append(index)
        for places in together.values():
            rows = [table.rows[index] for index in places]
            yield _list(table, places[0], rows[0], rows)


def _pair_columns(first: Mapping[str, Any]) -> tuple[str, str] | None:
    """Find the columns with the scores of `chosen` and `rejected`."""
    if first.keys() >= _CHOSEN:
        return "score_chosen", "score_rejected"
    return ("chosen_score", "rejected_score") if first.keys() >= _CHOSEN_AFTER else None


def _list(table: Table, index: int, row: Mapping[str, Any], responses: Any) -> _List:
    if not isinstance(responses, list) or not all(isinstance(one, dict) for one in responses):
        raise DataError(f"{table.where(index)}: 'responses' is not a list of objects")
    if not all(any(name in one for name in _RANK) for one in responses):
        raise DataError(f"{table.where(index)}: a response has no rank (or quality_score)")
    human = [{name: one[name] for name in _RANK if name in one} for one in responses]
    ranked = [
        (rank, _outcomes(one))
        for rank, one in zip(human_ranks(human), responses, strict=True)
        if rank is not None
    ]
    return _List(
        judge=_judge(row, table),
        prompt=_prompt(table, index),
        ranks=tuple(rank for rank, _ in ranked),
        verdicts=tuple(outcomes for _, outcomes in ranked),
    )


def _judge(row: Mapping[str, Any], table: Table) -> str:
    return str(row.get("judge") or row.get("model") or stem(table))


def _prompt(table: Table, index: int) -> str:
    row = table.rows[index]
    given = next((row[name] for name in _NAME if row.get(name) is not None), None)
    return table.where(index) if given is None else str(given)


def _outcomes(response: Mapping[str, Any]) -> tuple[Outcome, ...]:
    """Read a response's scores, one or several."""
    given = next((response[name] for name in _SCORE if name in response), None)
    values = given if isinstance(given, list) and given else [given]
    return tuple(map(_outcome, values))


def _outcome(value: Any) -> Outcome:
    score = number(value)
    return _UNREAD if score is None or score < 0 else Score(value=score)


def _is_judgements(first: Mapping[str, Any]) -> bool:
    responses = first.get("responses")
    if isinstance(responses, list):
        return any(isinstance(one, dict) and any(n in one for n in _SCORE) for one in responses)
    flat = any(name in first for name in _RANK) and any(name in first for name in _SCORE)
    return _pair_columns(first) is not None or flat


RANKED = Format(
    is_judgements=_is_judgements,
    is_labels=lambda first: False,
    labels="the ranks",
    needs_labels=lambda table: False,
    results=_results,
)
