"""Head-to-head figures from judgements that others have stored.

    Vicuna blog   {"question_id": 1, "answer1_id": "J3...", "score": [9.0, 8.5]}       0 to 10 each
    FastChat      {"question_id": 81, "turn": 1, "model_1", "model_2", "g1_winner", "g2_winner"}
    MT-Bench      {"question_id": 81, "turn": 1, "model_a", "model_b", "winner", "judge"}
    AlpacaEval    {"instruction", "generator_1", "generator_2", "preference": 1.0 to 2.0}
    plain         {"id", "model", "against", "verdict_1", "verdict_2"}  or  {..., "winner"}

Every verdict becomes a `Ballot`. Two on the same item, with the answers in either order, are one
match, and only a preference that survives the swap counts; where there is one order only, its
verdict counts. A pair of models is seen from the side of the one that is named first where the
pair first occurs (the competitor, in a file of competitor and reference; AlpacaEval's model, not
its baseline), whichever side it stands on later. Of several rows on the same item and order the
last that can be read counts: reruns append.

What is stored beside a preference: the sums of points, `total` and `total_opponent`, which only
the reviews that can be read go into. [-1, -1] is FastChat's mark of a failed review; 0 is a score.

In plain rows a verdict is `model`, `against` or `tie` (or the models' names), 1, 0 or 0.5, or a
text that ends in `Better: A`, B or tie; `verdict_1` was given with the model's answer as A.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evals import stored_files
from evals.head_to_head.matches import LOSS, TIE, WIN, Match, position_consistency, shares, tally
from evals.protocol import protocol
from harness.data.files import Table
from harness.data.preferences import number
from harness.errors import DataError
from harness.reading import read_better
from harness.records import EvalResult, Failure, ItemResult, Metric, Outcome, Score
from harness.statistics.intervals import Estimate, mean, share
from harness.verdicts import swapped

Names = Mapping[str, str]
"""Models by the id of an answer."""

_UNREAD = Failure(reason="no_verdict", detail="the stored row holds none")
_OF_A_KIND = re.compile(r"-(generic|default|coding|math)$")
"""The blog has a reviewer for each kind of question, who are one judge with several prompts."""
_REVIEW = re.compile(r"review_(.+)_(.+?)\.jsonl?(?:\.gz)?")


@dataclass(frozen=True)
class Ballot:
    """One verdict on two answers."""

    item: str
    first: str
    """The model whose answer was shown first."""
    second: str
    verdict: Outcome
    """1 where the first is better, 0.5, or 0."""
    judge: str = ""
    """Who gave it; empty where that is not known, and for votes, which are all on one side."""
    points: tuple[float, float] | None = None

    @property
    def swapped(self) -> "Ballot":
        """See it from the other side."""
        points = self.points and (self.points[1], self.points[0])
        seen = swapped(self.verdict)
        return replace(self, first=self.second, second=self.first, verdict=seen, points=points)


def score(files: Sequence[Path]) -> Sequence[EvalResult]:
    """Compute head-to-head results from stored judgements, one a model and judge.

    Raises:
        DataError: a file is not in a format that is known here.
    """
    tables = [stored_files.read(file) for file in files]
    ids = _answer_ids(tables, files)
    ballots = [ballot for table in tables for ballot in _ballots(table, ids)]
    if not ballots:
        raise DataError(
            f"{', '.join(map(str, files))}: no judgements, only answers; name the reviews too"
        )
    pairs = _by_pair(ballots)
    judged = ", ".join(file.name for file in files)
    remarks = [remark for table in tables for remark in table.remarks]
    opponents: dict[tuple[str, str], dict[str, list[_Found]]] = {}
    for (judge, model, opponent), found in pairs.items():
        opponents.setdefault((judge, model), {})[opponent] = found
    return [
        _result(model, judge, met, judged, remarks) for (judge, model), met in opponents.items()
    ]


@dataclass(frozen=True)
class _Found:
    """What two models' answers to one item got."""

    item: str
    sides: Mapping[bool, Ballot]
    """Seen from the model's side: whether its answer was shown first, and what was said."""

    @property
    def match(self) -> Match:
        return Match(tuple(self.sides[first].verdict for first in sorted(self.sides)[::-1]))

    @property
    def points(self) -> list[tuple[float, float]]:
        return [one.points for one in self.sides.values() if one.points is not None]


def _by_pair(ballots: Sequence[Ballot]) -> dict[tuple[str, str, str], list[_Found]]:
    """Gather each judge's ballots on each pair of models by item, all seen from the same side."""
    pairs: dict[tuple[str, str, str], dict[str, dict[bool, Ballot]]] = {}
    for ballot in ballots:
        straight = (ballot.judge, ballot.second, ballot.first) not in pairs
        seen = ballot if straight else ballot.swapped
        pair = (seen.judge, seen.first, seen.second)
        sides = pairs.setdefault(pair, {}).setdefault(seen.item, {})
        before = sides.get(straight)
        if before is None or isinstance(before.verdict, Failure) or isinstance(seen.verdict, Score):
            sides[straight] = seen
    return {
        pair: [_Found(item, sides) for item, sides in items.items()]
        for pair, items in pairs.items()
    }


def _result(
    model: str,
    judge: str,
    opponents: Mapping[str, Sequence[_Found]],
    judged: str,
    remarks: Sequence[str],
) -> EvalResult:
    asked = sorted({found.item for matches in opponents.values() for found in matches})
    about = [f"stored judgements of {judged}", f"{model} against {', '.join(opponents)}"]
    caveats = [*([f"judged by {judge}"] if judge else []), *remarks]
    metrics = (metric for name, found in opponents.items() for metric in _metrics(found, name))
    return EvalResult(
        evaluation="head_to_head",
        model=model,
        protocol=protocol("head_to_head", "stored", judge, *asked),
        description="; ".join([*about, *caveats]),
        judge=judge,
        metrics=tuple(
            one.model_copy(update={"note": "; ".join(filter(None, [*caveats, one.note]))})
            for one in metrics
        ),
        items=tuple(
            ItemResult(
                id=one.item,
                answer="",
                outcome=one.match.outcome,
                against=name,
                details={"points": [list(points) for points in one.points]},
            )
            for name, found in opponents.items()
            for one in found
        ),
    )


def _metrics(found: Sequence[_Found], opponent: str) -> Iterator[Metric]:
    """Summarise the matches against one opponent, as shares and as counts."""
    matches = [one.match for one in found]
    counts = tally(matches)
    n = sum(counts)
    failed = len(matches) - n
    yield from shares(matches, opponent)
    if any(len(one.verdicts) == 2 for one in matches):
        yield position_consistency(matches, opponent)
    for name, count in zip(("wins", "ties", "losses"), counts, strict=True):
        yield _times(share(count, n), n).metric(name, failed, opponent)
    if any(one.points for one in found):
        points = [pair for one in found for pair in one.points]
        unread = sum(side.points is None for one in found for side in one.sides.values())
        for name, place in (("total", 0), ("total_opponent", 1)):
            values = [pair[place] for pair in points]
            total = _times(mean(values), len(values))._replace(value=sum(values))
            yield total.metric(name, unread, opponent, "sum of points over the reviews")


def _times(estimate: Estimate, n: int) -> Estimate:
    """Turn a mean or a share of n items into their sum or count, interval and all."""
    value, low, high = (None if part is None else part * n for part in estimate[:3])
    return Estimate(value if value is None else round(value, 9), low, high, estimate.n)


def _ballots(table: Table, ids: Names) -> Iterator[Ballot]:
    """Read a file's verdicts by what its first row holds.

    Raises:
        DataError: it is in no known format, or a row lacks what it needs.
    """
    first = table.rows[0].keys()
    if _is_answers(first):
        return iter(())
    for columns, read in _FORMATS:
        if first >= columns:
            return _each(table, read, ids)
    known = "; ".join(", ".join(sorted(columns)) for columns, _ in _FORMATS)
    raise DataError(
        f"{table.source} has the columns {', '.join(first)}; wanted judgements of two answers, "
        f"with one of these sets of columns: {known}"
    )


def _each(table: Table, read: "_Reader", ids: Names) -> Iterator[Ballot]:
    for index, row in enumerate(table.rows):
        try:
            yield from read(row, table, ids)
        except KeyError as error:
            raise DataError(f"{table.where(index)}: there is no {error.args[0]!r}") from error


_Reader = Callable[[Mapping[str, Any], Table, Names], Iterator[Ballot]]


def _review(row: Mapping[str, Any], table: Table, ids: Names) -> Iterator[Ballot]:
    """Read a review of the Vicuna blog: two scores from 0 to 10."""
    first, second = _reviewed(row, Path(table.source).name, ids)
    reviewer = _OF_A_KIND.sub("", _judge(row.get("reviewer_id")))
    points = _points(row.get("score"))
    if points is None:
        failure = Failure(reason="no_score", detail=str(row.get("text", ""))[:160])
        yield Ballot(str(row["question_id"]), first, second, failure, reviewer)
        return
    one, other = points
    verdict = TIE if one == other else WIN if one > other else LOSS
    yield Ballot(str(row["question_id"]), first, second, Score(value=verdict), reviewer, points)


def _points(score: Any) -> tuple[float, float] | None:
    """Read two scores from 0 to 10; None where the review failed."""
    if not isinstance(score, list | tuple) or len(score) != 2:
        return None
    one, other = map(number, score)
    if one is None or other is None or not (0 <= one <= 10 and 0 <= other <= 10):
        return None
    return one, other


def _reviewed(row: Mapping[str, Any], file: str, ids: Names) -> tuple[str, str]:
    """Name the two models: by the file, review_A_B.jsonl, or by whose answers they are."""
    named = _REVIEW.fullmatch(file)
    if named and "_" not in named[1]:
        return named[1], named[2]
    known = ids.get(str(row.get("answer1_id"))), ids.get(str(row.get("answer2_id")))
    if known[0] and known[1]:
        return known[0], known[1]
    if named:
        return named[1], named[2]
    return f"{file} answer 1", f"{file} answer 2"


def _answer_ids(tables: Sequence[Table], files: Sequence[Path]) -> Names:
    """Read whose answers are whose, from the answers named or lying beside the reviews."""
    beside = {
        path
        for table, file in zip(tables, files, strict=True)
        if "answer1_id" in table.rows[0]
        for path in (*file.parent.glob("answer*.jsonl"), *file.parent.glob("answer*.jsonl.gz"))
    }
    answers = [table for table in tables if _is_answers(table.rows[0].keys())]
    answers += [stored_files.read(path) for path in sorted(beside - set(files))]
    return {
        str(row["answer_id"]): str(row["model_id"])
        for table in answers
        for row in table.rows
        if row.get("answer_id") and row.get("model_id")
    }


def _is_answers(columns: Collection[str]) -> bool:
    return "answer_id" in columns and "model_id" in columns


def _pair_judgement(row: Mapping[str, Any], table: Table, ids: Names) -> Iterator[Ballot]:
    """Read FastChat's judgement in both orders; its winners are already mapped back."""
    one, other = str(row["model_1"]), str(row["model_2"])
    item, judge = _turn(row), _judge(row.get("judge"))
    said = {"model_1": Score(value=WIN), "model_2": Score(value=LOSS), "tie": Score(value=TIE)}
    yield Ballot(item, one, other, said.get(str(row.get("g1_winner")), _UNREAD), judge)
    yield Ballot(item, one, other, said.get(str(row.get("g2_winner")), _UNREAD), judge).swapped


def _judge(given: Any) -> str:
    """Read a judge's name; FastChat writes [model, prompt]."""
    return str((given[0] if isinstance(given, list) and given else given) or "")


def _vote(row: Mapping[str, Any], table: Table, ids: Names) -> Iterator[Ballot]:
    """Read a vote; one of each of several voters."""
    one, other = str(row["model_a"]), str(row["model_b"])
    item = _turn(row) + (f"/{row['judge']}" if "judge" in row else "")
    said = {"model_a": Score(value=WIN), "model_b": Score(value=LOSS)}
    said |= dict.fromkeys(("tie", "tie (inconsistent)"), Score(value=TIE))
    yield Ballot(item, one, other, said.get(str(row.get("winner")), _UNREAD))


def _turn(row: Mapping[str, Any]) -> str:
    return f"{row['question_id']}/{row['turn']}" if "turn" in row else str(row["question_id"])


def _annotation(row: Mapping[str, Any], table: Table, ids: Names) -> Iterator[Ballot]:
    """Read AlpacaEval's annotation: 1 prefers output 1, 2 output 2, 1.5 or 0 neither."""
    preference = number(row.get("preference"))
    verdict: Outcome = _UNREAD
    if preference is not None and (preference == 0 or 1 <= preference <= 2):
        sure = preference or 1.5
        verdict = Score(value=TIE if sure == 1.5 else WIN if sure > 1.5 else LOSS)
    item = str(row.get("instruction", row.get("id")))
    model, baseline = str(row["generator_2"]), str(row["generator_1"])
    yield Ballot(item, model, baseline, verdict, _judge(row.get("annotator")))


def _plain(row: Mapping[str, Any], table: Table, ids: Names) -> Iterator[Ballot]:
    """Read a plain row: a verdict for each order, or a winner."""
    item, model, against = str(row["id"]), str(row["model"]), str(row["against"])
    ballot = Ballot(item, model, against, _UNREAD, _judge(row.get("judge")))
    if "winner" in row:
        yield replace(ballot, verdict=_said(row["winner"], model, against, WIN))
        return
    yield replace(ballot, verdict=_said(row["verdict_1"], model, against, WIN))
    if "verdict_2" in row:
        yield replace(ballot, verdict=_said(row["verdict_2"], model, against, LOSS)).swapped


def _said(verdict: Any, model: str, against: str, if_a: float) -> Outcome:
    """Read what a plain row says, from the model's side; `if_a` is what A is worth."""
    words = {"against": LOSS, "model": WIN, "tie": TIE, against: LOSS, model: WIN}
    if isinstance(verdict, str):
        if verdict in words:
            return Score(value=words[verdict])
        read = read_better(verdict if len(verdict) > 1 else f"Better: {verdict}")
        return read if if_a == WIN else swapped(read)
    value = number(verdict)
    return Score(value=value) if value in (WIN, TIE, LOSS) else _UNREAD


_FORMATS: tuple[tuple[set[str], _Reader], ...] = (
    ({"question_id", "model_1", "model_2", "g1_winner", "g2_winner"}, _pair_judgement),
    ({"question_id", "answer1_id", "answer2_id", "score"}, _review),
    ({"question_id", "model_a", "model_b", "winner"}, _vote),
    ({"generator_1", "generator_2", "preference"}, _annotation),
    ({"id", "model", "against", "verdict_1"}, _plain),
    ({"id", "model", "against", "winner"}, _plain),
)
