"""Score FastChat's judgement files, and bare score rows in their schema; no model is asked.

    {"question_id": 81, "model": "gpt-4", "judge": ["gpt-4", "single-v1"], "turn": 1, "score": 9.5}
    {"question_id": 81, "model_1": "M2", "model_2": "M1", "g1_winner": "tie", "g2_winner": ...}
    {"question_id": 81, "model_a": "alpaca-13b", "model_b": "claude-v1", "winner": "model_b", ...}

One result for every model and judge; a pair counts for both of its models. What the rows leave open
is decided so, and counted in the result's description:

* A score that is -1, null or no number from 0 to 10 is a failure. Where a row has no `score` at
  all, but the judge's text, the text is read.
* A row that stands there twice, in every field the same and the time stamp among them, counts once.
  Other rows of one judge on one turn are repeated judgements: their mean counts, as one item.
  FastChat averages over all rows; `score_over_judgements` does, where that is not the same.
* Turns that no row is about are missing: they are in no mean, and the n is smaller.
* Categories are those of a `question.jsonl` among the files or beside them, or else the official
  ones by question id; a question of unknown category is in no category's mean.
"""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import JsonValue

from evals import stored_files
from evals.mt_bench import scoring
from evals.mt_bench.pair import together
from evals.mt_bench.questions import OFFICIAL, TURNS, question_id
from evals.mt_bench.reading import last_rating
from evals.mt_bench.scoring import LOSS, TIE, WIN, Judged
from evals.protocol import protocol
from harness.data.files import Table
from harness.errors import DataError
from harness.records import EvalResult, Failure, ItemResult, Metric, Outcome, Score
from harness.verdicts import swapped, written

FORMATS = (
    "wanted FastChat's single judgements (question_id, model, judge, turn, score), pair judgements "
    "(model_1, model_2, g1_winner, g2_winner) or votes (model_a, model_b, winner)"
)
UNKNOWN_JUDGE = "unknown judge"
HIGHEST = 10.0


class Line(NamedTuple):
    """A row, and where it stands."""

    where: str
    row: Mapping[str, Any]


class Turn(NamedTuple):
    """A turn of a question."""

    question: str
    number: int


@dataclass(frozen=True)
class Said:
    """What a judge said about a turn, once."""

    outcome: Outcome
    text: str = ""
    prompt: str | None = None
    """The name of the judge's prompt."""
    user_prompt: str = ""
    remark: str | None = None
    """What a reader should know about how it was read."""


Sayings = dict[Turn, list[Said]]


@dataclass
class Found:
    """All that one judge said about one model."""

    said: dict[str | None, Sayings] = field(default_factory=lambda: defaultdict(_no_sayings))
    """By opponent, and under None the ratings without one; a win is this model's."""
    copies: int = 0


def _no_sayings() -> Sayings:
    return defaultdict(list)


@dataclass(frozen=True)
class Asked:
    """Which questions there are, as far as that is known."""

    categories: Mapping[str, str]
    turns: frozenset[Turn]

    def missing(self, there: Iterable[Turn]) -> int | None:
        """Count the turns that nothing is said about; None where the questions are others."""
        found = frozenset(there)
        return len(self.turns - found) if found <= self.turns else None


def score(files: Sequence[Path]) -> list[EvalResult]:
    """Compute one result for every model and judge, in the order in which the files name them.

    Raises:
        DataError: a file cannot be read, or a row in it is no judgement.
    """
    found: dict[tuple[str, str], Found] = defaultdict(Found)
    asked: list[Line] = []
    remarks: list[str] = []
    seen: set[str] = set()
    for file in files:
        table = stored_files.read(file)
        remarks.extend(table.remarks)
        for line in _lines(table):
            if _is_question(line.row):
                asked.append(line)
                continue
            content = json.dumps(line.row, sort_keys=True)
            for model, opponent, said in _sayings(line):
                one = found[model, _judge(line.row)[0]]
                if content in seen and "tstamp" in line.row:
                    one.copies += 1
                else:
                    one.said[opponent][_turn(line)].append(said)
            seen.add(content)
    if not found:
        raise DataError(f"no judgements in {', '.join(map(str, files))}; {FORMATS}")
    known = _asked(asked or _beside(files))
    return [_result(model, judge, one, known, remarks) for (model, judge), one in found.items()]


def _lines(table: Table) -> list[Line]:
    return [Line(table.where(index), row) for index, row in enumerate(table.rows)]


def _is_question(row: Mapping[str, Any]) -> bool:
    return "category" in row and ("turns" in row or "text" in row) and "score" not in row


def _sayings(line: Line) -> Iterator[tuple[str, str | None, Said]]:
    """Read what a row says, by its fields: of which model, against which, if any."""
    row = line.row
    if "g1_winner" in row or "g2_winner" in row:
        one, two = _name(line, "model_1"), _name(line, "model_2")
        first, second = (
            _winner(row.get(game), {"model_1": WIN, "model_2": LOSS})
            for game in ("g1_winner", "g2_winner")
        )
        outcome = together(first, second)
    elif "winner" in row:
        one, two = _name(line, "model_a"), _name(line, "model_b")
        outcome = _winner(row["winner"], {"model_a": WIN, "model_b": LOSS})
    elif "score" in row or "judgment" in row:
        yield _name(line, "model"), None, _rating(row)
        return
    else:
        fields = ", ".join(row) or "no fields"
        raise DataError(f"{line.where}, is no judgement but has {fields}; {FORMATS}")
    yield one, two, Said(outcome)
    yield two, one, Said(swapped(outcome))


def _name(line: Line, field: str) -> str:
    match line.row.get(field):
        case str() as name if name.strip():
            return name
    raise DataError(f"{line.where}, has no {field}; {FORMATS}")


def _turn(line: Line) -> Turn:
    said = line.row.get("turn")
    numbers = {str(turn): turn for turn in TURNS}
    number = numbers.get(str(said).removesuffix(".0"))
    if number is None:
        raise DataError(f"{line.where}, has the turn {said!r}; MT-Bench has turns 1 and 2")
    return Turn(question_id(line.row, line.where), number)


def _judge(row: Mapping[str, Any]) -> tuple[str, str | None]:
    """Read the judge's name and its prompt's, from `[model, prompt]` or from the name alone."""
    match row.get("judge"):
        case [str() as model, str() as prompt]:
            return model, prompt
        case (str() as model) | [str() as model]:
            return model, None
    return UNKNOWN_JUDGE, None


def _winner(said: Any, names: Mapping[str, float]) -> Outcome:
    """Read a winner for the first model; `tie (inconsistent)` is a tie as well."""
    if isinstance(said, str):
        if said in names:
            return Score(value=names[said])
        if said.startswith("tie"):
            return Score(value=TIE)
    return Failure(reason="no_choice", detail=repr(said)[:160])


def _rating(row: Mapping[str, Any]) -> Said:
    text, shown = row.get("judgment"), row.get("user_prompt")
    text = text if isinstance(text, str) else ""
    outcome = again = last_rating(text)
    remark = "scores read from the judge's text" if isinstance(again, Score) else None
    if "score" in row:
        outcome = _stored(row["score"])
        differs = isinstance(outcome, Score) and isinstance(again, Score) and outcome != again
        remark = "scores are not the last rating in the judge's text" if differs else None
    return Said(
        outcome=outcome,
        text=text,
        prompt=_judge(row)[1],
        user_prompt=shown if isinstance(shown, str) else "",
        remark=remark,
    )


def _stored(score: Any) -> Outcome:
    """Read a stored score; FastChat's -1 means that there is none."""
    try:
        value = math.nan if isinstance(score, bool | None) else float(score)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if math.isnan(value) or value == -1:
        return Failure(reason="not_scored", detail=repr(score)[:160])
    if not 0 <= value <= HIGHEST:
        return Failure(reason="out_of_range", detail=repr(score)[:160])
    return Score(value=value)


def _beside(files: Sequence[Path]) -> list[Line]:
    """Read the questions that lie beside the judgements, as in FastChat's folders."""
    places = [folder for file in files for folder in file.absolute().parents[:2]]
    found = (place / "question.jsonl" for place in places)
    beside = next((file for file in found if file.is_file()), None)
    there = _lines(stored_files.read(beside)) if beside else []
    return [line for line in there if _is_question(line.row)]


def _asked(rows: Sequence[Line]) -> Asked:
    """Take the questions from their rows, or else take the official ones."""
    if not rows:
        official = frozenset(Turn(id, turn) for id in OFFICIAL for turn in TURNS)
        return Asked(OFFICIAL, official)
    categories, turns = dict[str, str](), set[Turn]()
    for line in rows:
        id, asked = question_id(line.row, line.where), line.row.get("turns")
        categories[id] = _name(line, "category")
        turns |= {Turn(id, turn) for turn in TURNS[: len(asked) if isinstance(asked, list) else 1]}
    return Asked({**OFFICIAL, **categories}, frozenset(turns))


def _result(
    model: str, judge: str, found: Found, asked: Asked, remarks: Sequence[str]
) -> EvalResult:
    metrics: list[Metric] = []
    items: list[ItemResult] = []
    parts: list[str] = []
    for opponent, said in found.said.items():
        judged = _judged(said, asked.categories)
        there, *caveats = _state(opponent, judged, said, asked)
        note = "; ".join((f"judged by {judge}", *caveats, *remarks))
        if opponent is None:
            metrics += scoring.single(judged, note)
            metrics += scoring.over_judgements(judged)
        else:
            metrics += scoring.pair(judged, opponent, note)
        items += (_item(row, judge, opponent, said[Turn(row.question, row.turn)]) for row in judged)
        parts += there, *caveats
    if found.copies:
        parts.append(f"{found.copies} exact copies of rows left out")
    return EvalResult(
        evaluation="mt_bench",
        model=model,
        protocol=protocol("mt_bench", "stored judgements", judge),
        description=f"{model}, stored judgements by {judge}: {'; '.join((*parts, *remarks))}",
        judge="" if judge == UNKNOWN_JUDGE else judge,
        metrics=tuple(metrics),
        items=tuple(items),
    )


def _judged(said: Sayings, categories: Mapping[str, str]) -> list[Judged]:
    """Order what was judged by question, numbers by size, and turn."""

    def place(turn: Turn) -> tuple[int, str, int]:
        number = int(turn.question) if turn.question.isdecimal() else -1
        return number, turn.question, turn.number

    return [
        Judged(*turn, categories.get(turn.question), tuple(one.outcome for one in said[turn]))
        for turn in sorted(said, key=place)
    ]


def _state(
    opponent: str | None, judged: Sequence[Judged], said: Sayings, asked: Asked
) -> Iterator[str]:
    """Say how many turns there are, and then what is the matter with how many."""
    what = f"compared with {opponent}" if opponent else "rated"
    missing = asked.missing(said)
    of = "" if missing is None else f" of {len(asked.turns)}"
    yield f"{len(judged)}{of} turns {what}"
    if missing is None:
        yield "questions that are not all known"
    elif missing:
        yield f"{missing}{of} turns missing"
    reasons = Counter(row.outcome.reason for row in judged if isinstance(row.outcome, Failure))
    if reasons:
        causes = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
        yield f"{reasons.total()} failed ({causes})"
    repeated = sum(len(row.outcomes) > 1 for row in judged)
    if repeated:
        yield f"{repeated} judged more than once, whose mean counts"
    unread = sum(len(row.outcomes) - len(row.values) for row in judged if row.values)
    if unread:
        yield f"{unread} judgements failed whose turn another one scored"
    remarks = Counter(one.remark for sayings in said.values() for one in sayings if one.remark)
    yield from (f"{count} {remark}" for remark, count in remarks.items())
    unknown = sum(row.category is None for row in judged)
    if unknown:
        yield f"{unknown} of unknown category, which a question.jsonl among the files would tell"


def _item(row: Judged, judge: str, opponent: str | None, said: Sequence[Said]) -> ItemResult:
    details: dict[str, JsonValue] = {"judge": judge}
    if opponent is None:
        details |= {
            "judge_prompt": said[0].prompt,
            "user_prompt": said[0].user_prompt,
            "verdicts": [written(one.text, one.outcome) for one in said],
        }
    return ItemResult(
        id=row.id,
        answer="",
        outcome=row.outcome,
        against=opponent,
        category=row.category,
        details=details,
    )
