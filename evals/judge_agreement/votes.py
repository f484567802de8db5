"""Agreement with the MT-Bench votes: every human vote on a pair that the judge has judged.

    human.jsonl          {"question_id": 81, "turn": 1, "model_a", "model_b", "winner", "judge"}
    gpt4_pair.jsonl      the same columns, or FastChat's model_1, model_2, g1_winner, g2_winner
    gpt-4_single.jsonl   {"question_id": 81, "turn": 1, "model": "gpt-4", "score": 9}

Every vote counts once, models are compared by name and not by side, and `tie (inconsistent)` is a
tie. `pairwise_accuracy` leaves a vote out where either side says tie (published as "without ties"),
`three_class_accuracy` counts all ("with ties"). Both are also given by turn and by who voted
(`/turn_1_expert`), and, as `human_...`, for people with each other: all pairs of votes on the same
answers. Intervals are clustered by question.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from evals.judge_agreement.formats import Format, each, result, stem
from harness.data.files import Table
from harness.data.preferences import number
from harness.errors import DataError
from harness.records import EvalResult, Metric
from harness.statistics.pairs import TIE, JudgedPair, pair_metrics

_VOTE = {"question_id", "model_a", "model_b", "winner"}
_BOTH_ORDERS = {"question_id", "model_1", "model_2", "g1_winner", "g2_winner"}
_SINGLE = {"question_id", "model", "score", "turn"}
_PERSON = re.compile(r"(expert|author|human|annotator)(_.*)?")
_GIVEN = ("pairwise_accuracy", "three_class_accuracy")

Key = tuple[str, str, str, str]
"""Question, turn, and the two models in the order of the alphabet."""


@dataclass(frozen=True)
class _Vote:
    """What somebody said about a pair: 1 for its first model, 0 for its second, 0.5, or None."""

    key: Key
    voter: str
    value: float | None
    shown: str
    """The model that stood first; who voted twice saw the answers in either order."""

    @property
    def group(self) -> str:
        """Say which kind of person voted."""
        return self.voter.partition("_")[0]


def _is_vote(first: Mapping[str, Any]) -> bool:
    return first.keys() >= _VOTE and bool(_PERSON.fullmatch(str(first.get("judge", "human"))))


def _is_judgement(first: Mapping[str, Any]) -> bool:
    columns = first.keys()
    by_judge = columns >= _VOTE and not _is_vote(first)
    return by_judge or columns >= _BOTH_ORDERS or columns >= _SINGLE


def _results(judgements: Sequence[Table], labels: Sequence[Table]) -> list[EvalResult]:
    votes = _once(vote for table in labels for vote in _votes(table) if _is_persons(vote))
    return [
        _result(judge, judged, votes)
        for table in judgements
        for judge, judged in _judges(table, votes).items()
    ]


def _is_persons(vote: _Vote) -> bool:
    return vote.value is not None and bool(_PERSON.fullmatch(vote.voter))


def _votes(table: Table) -> Iterator[_Vote]:
    for row in each(table, ("question_id", "model_a", "model_b")):
        one, other = str(row["model_a"]), str(row["model_b"])
        said = {"model_a": 1.0, "model_b": 0.0, "tie": TIE, "tie (inconsistent)": TIE}
        yield _vote(
            row, one, other, str(row.get("judge", "human")), said.get(str(row.get("winner")))
        )


def _vote(row: Mapping[str, Any], one: str, other: str, voter: str, value: float | None) -> _Vote:
    question, turn = str(row["question_id"]), str(row.get("turn", 1))
    if one > other and value is not None:
        value = 1 - value
    return _Vote((question, turn, min(one, other), max(one, other)), voter, value, one)


def _once(votes: Iterable[_Vote]) -> list[_Vote]:
    """Keep every vote once, where rows occur again: the last that can be read."""
    kept: dict[tuple[Key, str, str], _Vote] = {}
    for vote in votes:
        same = vote.key, vote.voter, vote.shown
        if vote.value is not None or same not in kept:
            kept[same] = vote
    return list(kept.values())


def _judges(table: Table, votes: Sequence[_Vote]) -> dict[str, Mapping[Key, float | None]]:
    """Read what each judge of a file said, by pair."""
    columns = table.rows[0].keys()
    if columns >= _VOTE:
        said = list(_votes(table))
    elif columns >= _BOTH_ORDERS:
        said = list(_both_orders(table))
    else:
        return _singles(table, votes)
    judges: dict[str, dict[Key, float | None]] = defaultdict(dict)
    for vote in _once(said):
        judges[vote.voter][vote.key] = vote.value
    return dict(judges)


def _both_orders(table: Table) -> Iterator[_Vote]:
    for row in each(table, ("question_id", "model_1", "model_2")):
        one, other = str(row["model_1"]), str(row["model_2"])
        said = {"model_1": 1.0, "model_2": 0.0, "tie": TIE}
        first, second = (said.get(str(row.get(game))) for game in ("g1_winner", "g2_winner"))
        value = None if None in (first, second) else first if first == second else TIE
        yield _vote(row, one, other, _judge(row, table), value)


def _judge(row: Mapping[str, Any], table: Table) -> str:
    """Name the judge; FastChat writes [model, prompt]."""
    given = row.get("judge")
    return str(given[0] if isinstance(given, list) and given else given or stem(table))


def _singles(table: Table, votes: Sequence[_Vote]) -> dict[str, Mapping[Key, float | None]]:
    """Compare the scores that a judge gave two answers one by one."""
    scores: dict[str, dict[tuple[str, str, str], float]] = defaultdict(dict)
    for row in each(table, ("question_id", "turn", "model")):
        score = number(row.get("score"))
        at = str(row["question_id"]), str(row["turn"]), str(row["model"])
        if score is not None and score >= 0:  # -1 is FastChat's mark of a failure
            scores[f"{_judge(row, table)} single"][at] = score
    found: dict[str, Mapping[Key, float | None]] = {}
    for judge, given in scores.items():
        models = {model for _, _, model in given}
        keys = {vote.key for vote in votes if models >= set(vote.key[2:])}
        found[judge] = {key: _higher(given, key) for key in keys}
    return found


def _higher(scores: Mapping[tuple[str, str, str], float], key: Key) -> float | None:
    question, turn, one, other = key
    first, second = scores.get((question, turn, one)), scores.get((question, turn, other))
    if first is None or second is None:
        return None
    return TIE if first == second else float(first > second)


def _result(judge: str, judged: Mapping[Key, float | None], votes: Sequence[_Vote]) -> EvalResult:
    about = [vote for vote in votes if vote.key in judged]
    if not about:
        raise DataError(
            f"{judge} judged no (question, turn, pair of models) that people voted on; name the "
            "judgements and the votes of the same questions and models"
        )
    groups = sorted({vote.group for vote in about})
    turns = sorted({vote.key[1] for vote in about})
    metrics = list(pair_metrics([_pair(vote, judged[vote.key]) for vote in about]))
    people = list(_people(about))
    metrics += _named("human_", "", people)
    for turn in turns:
        for group in ("all", *groups):
            of = f"/turn_{turn}_{group}"
            chosen = [v for v in about if v.key[1] == turn and group in ("all", v.group)]
            metrics += _named("", of, [_pair(vote, judged[vote.key]) for vote in chosen])
            metrics += _named("human_", of, list(_people(chosen)))
    return result(
        judge,
        sorted(f"{vote.key} {vote.voter} {vote.value}" for vote in about),
        f"{len(about)} human votes on {len({vote.key for vote in about})} pairs of answers "
        f"(question, turn, two models) that {judge} judged too; every vote counts once",
        metrics,
    )


def _pair(vote: _Vote, judged: float | None) -> JudgedPair:
    assert vote.value is not None, "only votes that can be read are kept"
    return JudgedPair(vote.value, (judged,), vote.key[0])


def _people(votes: Sequence[_Vote]) -> Iterator[JudgedPair]:
    """Compare every two people who voted on the same pair."""
    by_key: dict[Key, list[_Vote]] = defaultdict(list)
    for vote in votes:
        by_key[vote.key].append(vote)
    for together in by_key.values():
        for one, other in combinations(together, 2):
            if one.voter != other.voter:
                yield _pair(one, other.value)


def _named(before: str, after: str, pairs: Sequence[JudgedPair]) -> list[Metric]:
    return [
        one.model_copy(update={"name": f"{before}{one.name}{after}"})
        for one in pair_metrics(pairs)
        if one.name in _GIVEN
    ]


VOTES = Format(
    is_judgements=_is_judgement,
    is_labels=_is_vote,
    labels="the MT-Bench votes (human.jsonl)",
    needs_labels=lambda table: True,
    results=_results,
)
