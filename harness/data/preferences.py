r"""Published sets of human preferences: who preferred which of two answers, or ranked several.

    PandaLM     instruction, input, response1, response2, annotator1 ...    1, 2, or 0 for a tie
    LLMBar      input, output_1, output_2, label                            1 or 2
    MT-Bench    question_id, turn, model_a, model_b, winner, judge          model_a, model_b, tie
    any         prompt, responses: [{text, rank} or {text, score} ...]      0 is best, or highest is

Where several people judged the same pair, the majority decides; where no answer leads, the two
have equal ranks. One person's vote thus weighs more where few voted. A pair is one group, however
often its answers are judged elsewhere:

    {"response1": "Hi.", "response2": "Hello.", "annotator1": 2, "annotator2": 2, "annotator3": 1}
    ->  RankedGroup(responses=(RankedResponse("Hello.", 0), RankedResponse("Hi.", 1)), ...)

MT-Bench has conversations of two turns. A vote on the second is a vote on both answers of each
model, because the first ones differ too: the prompt holds both requests, a response both answers.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.data.examples import Loaded, RankedGroup, RankedResponse, text_id
from harness.data.files import Table, read_table
from harness.errors import DataError

TIE = "tie"
_VOTE = {"question_id", "model_a", "model_b", "winner"}
_LLMBAR = {"input", "output_1", "output_2", "label"}
_PROMPT = ("prompt", "instruction", "question")


class Judgements(Loaded[RankedGroup]):
    """Groups that were each judged on their own: the same answers judged twice are two groups."""


def is_preference_set(first: Mapping[str, Any]) -> bool:
    """Tell by its first row whether a table is one of the sets that this module reads."""
    return _reader(first) is not None


def ranked_groups(table: Table) -> Judgements:
    """Read the groups; `read` and `dropped` count answers.

    Raises:
        DataError: a malformed row, or votes whose conversations cannot be found.
    """
    reader = _reader(table.rows[0])
    assert reader is not None, "is_preference_set was asked before"
    return reader(table)


def texts(table: Table) -> list[str]:
    """Read every prompt and answer, also of groups that nobody could rank."""
    if table.rows[0].keys() >= _VOTE:
        talks = _Conversations(table)
        found = [talks.of(row, side) for row in table.rows for side in ("a", "b")]
        return [turn for talk in found if talk for turn in talk]
    groups = ranked_groups(table).rows
    return [
        text
        for group in groups
        for text in (*group.history, group.prompt, *(one.text for one in group.responses))
    ]


def majority(votes: Iterable[Hashable]) -> Hashable:
    """Find what most said; `TIE` where nothing leads."""
    (first, most), *others = [*Counter(votes).most_common(2), (TIE, 0)][:2]
    return first if all(count < most for _, count in others) else TIE


def annotators(row: Mapping[str, Any]) -> list[str]:
    """List the columns that hold what PandaLM's annotators said."""
    return sorted(name for name in row if name.removeprefix("annotator").isdecimal())


def _reader(first: Mapping[str, Any]) -> Callable[[Table], Judgements] | None:
    columns = first.keys()
    if {"response1", "response2"} <= columns and annotators(first):
        return _pandalm
    if columns >= _LLMBAR:
        return _llmbar
    if columns >= _VOTE:
        return _votes
    if isinstance(first.get("responses"), list) and columns & set(_PROMPT):
        return _lists
    return None


def _pair(id: str, prompt: str, first: str, second: str, better: Hashable) -> RankedGroup:
    """Rank two answers; `better` is 1, 2 or anything else for a tie."""
    responses = [RankedResponse(first, int(better == 2)), RankedResponse(second, int(better == 1))]
    return RankedGroup(id, prompt, tuple(sorted(responses, key=lambda one: one.rank)))


def _pandalm(table: Table) -> Judgements:
    groups = []
    for index, row in enumerate(table.rows):
        prompt, given = str(row.get("instruction") or ""), str(row.get("input") or "")
        votes = [_label(table, index, name, (0, 1, 2)) for name in annotators(row)]
        groups.append(
            _pair(
                str(row.get("idx", index)),
                f"{prompt}\n\n{given}" if given.strip() else prompt,
                str(row["response1"]),  # a few are JSON's true
                str(row["response2"]),
                majority(votes),
            )
        )
    return Judgements(tuple(groups), 2 * len(table.rows))


def _llmbar(table: Table) -> Judgements:
    groups = [
        _pair(
            str(index),
            str(row["input"]),
            str(row["output_1"]),
            str(row["output_2"]),
            _label(table, index, "label", (1, 2)),
        )
        for index, row in enumerate(table.rows)
    ]
    return Judgements(tuple(groups), 2 * len(table.rows))


def _label(table: Table, index: int, name: str, allowed: Sequence[int]) -> int:
    value = table.rows[index].get(name)
    try:
        label = int(str(value))
    except ValueError:
        label = -1
    if label not in allowed:
        wanted = ", ".join(map(str, allowed))
        raise DataError(f"{table.where(index)}: {name!r} is {value!r}; wanted one of {wanted}")
    return label


def _votes(table: Table) -> Judgements:
    """Read MT-Bench's votes: a group for each question, turn and pair of models."""
    talks = _Conversations(table)
    votes: dict[tuple[str, int, str, str], list[str]] = defaultdict(list)
    rows: dict[tuple[str, int, str, str], dict[str, Any]] = {}
    for index, row in enumerate(table.rows):
        turn, winner = row.get("turn", 1), row.get("winner")
        if turn not in (1, 2) or not isinstance(winner, str):
            raise DataError(f"{table.where(index)}: turn {turn!r}, winner {winner!r} is no vote")
        first, second = sorted((str(row["model_a"]), str(row["model_b"])))
        key = (str(row["question_id"]), turn, first, second)
        votes[key].append(str(row[winner]) if winner in ("model_a", "model_b") else TIE)
        rows.setdefault(key, row)
    dropped: Counter[str] = Counter()
    groups = []
    for key, row in rows.items():
        question, turn, first, second = key
        sides = {str(row[f"model_{side}"]): talks.of(row, side) for side in ("a", "b")}
        one, two = sides[first], sides[second]
        if not one or not two or min(len(one), len(two)) < 2 * turn:
            dropped["no_answer"] += 2
            continue
        better = majority(votes[key])
        groups.append(
            _pair(
                f"{question}/{turn}/{first}/{second}",
                _numbered("request", one[0 : 2 * turn : 2]),
                _numbered("answer", one[1 : 2 * turn : 2]),
                _numbered("answer", two[1 : 2 * turn : 2]),
                1 if better == first else 2 if better == second else 0,
            )
        )
    return Judgements(tuple(groups), 2 * len(rows), dropped)


def _numbered(what: str, turns: Sequence[str]) -> str:
    """Join the turns of one speaker, the only one as it is."""
    if len(turns) == 1:
        return turns[0]
    places = ("First", "Second", "Third", "Fourth")
    return "\n\n".join(
        f"{place} {what}:\n{turn}" for place, turn in zip(places, turns, strict=False)
    )


@dataclass
class _Conversations:
    """What was said: in the votes' own rows, or in FastChat's files beside them.

    Those are `question.jsonl` and `model_answer/*.jsonl`, in the folder of the votes or above it.
    """

    table: Table

    def __post_init__(self) -> None:
        self._questions: dict[str, list[str]] = {}
        self._answers: dict[tuple[str, str], list[str]] = {}
        if "conversation_a" in self.table.rows[0]:
            return
        here = Path(self.table.source).parent
        for folder in (here, here.parent):
            if (folder / "question.jsonl").is_file() and (folder / "model_answer").is_dir():
                self._read(folder)
                return
        raise DataError(
            f"{self.table.source} holds votes without the conversations they are about; put "
            "FastChat's question.jsonl and model_answer/ beside it or in the folder above, or name "
            "the hub's lmsys/mt_bench_human_judgments::human, which has both"
        )

    def _read(self, folder: Path) -> None:
        for row in read_table(str(folder / "question.jsonl")).rows:
            self._questions[str(row["question_id"])] = row["turns"]
        for file in sorted((folder / "model_answer").glob("*.jsonl")):
            for row in read_table(str(file)).rows:
                key = str(row["question_id"]), str(row.get("model_id", file.stem))
                self._answers[key] = row["choices"][0]["turns"]

    def of(self, row: Mapping[str, Any], side: str) -> list[str]:
        """Give one side's turns, user and assistant by turns; nothing where it is not known."""
        own = row.get(f"conversation_{side}")
        if own is not None:
            return [str(message["content"]) for message in own]
        question = str(row["question_id"])
        answers = self._answers.get((question, str(row[f"model_{side}"])), [])
        asked = self._questions.get(question, [])
        return [turn for both in zip(asked, answers, strict=False) for turn in both]


def _lists(table: Table) -> Judgements:
    """Read rows that hold a whole ranked list."""
    dropped: Counter[str] = Counter()
    groups, read = [], 0
    for index, row in enumerate(table.rows):
        history, prompt = _turns(table, index)
        found = list(_ranked(table, index, row["responses"]))
        read += len(row["responses"])
        answers = tuple(sorted((one for one in found if one), key=lambda one: one.rank))
        dropped["no_rank"] += len(found) - len(answers)
        if len(answers) < 2:
            dropped["single_reply"] += len(answers)
            continue
        given = row.get("id", row.get("prompt_id"))
        id = text_id(*history, prompt, *(one.text for one in answers)) if given is None else given
        groups.append(RankedGroup(str(id), prompt, answers, history))
    return Judgements(tuple(groups), read, +dropped)


def _turns(table: Table, index: int) -> tuple[tuple[str, ...], str]:
    """Read what was asked: a text, or messages of which the last is the prompt."""
    row = table.rows[index]
    prompt = next((row[name] for name in _PROMPT if row.get(name)), None)
    if isinstance(prompt, list):
        turns = [str(message.get("content", "")) for message in prompt if isinstance(message, dict)]
        if turns:
            return tuple(turns[:-1]), turns[-1]
    if not isinstance(prompt, str):
        raise DataError(f"{table.where(index)}: the prompt is {str(prompt)[:40]!r}, not a text")
    return (), prompt


def _ranked(table: Table, index: int, responses: Any) -> Iterator[RankedResponse | None]:
    """Read a list's answers, None for one that nobody ranked; scores become ranks."""
    if not isinstance(responses, list) or not all(isinstance(one, dict) for one in responses):
        raise DataError(f"{table.where(index)}: 'responses' is not a list of objects")
    for one, rank in zip(responses, human_ranks(responses), strict=True):
        text = next((one[name] for name in ("text", "response", "output") if name in one), None)
        if not isinstance(text, str):
            raise DataError(f"{table.where(index)}: a response has no text")
        yield None if rank is None else RankedResponse(text, rank)


def human_ranks(responses: Sequence[Mapping[str, Any]]) -> list[int | None]:
    """Rank answers by `rank` (0 is best), or by `quality_score` or `score` (highest is best).

    A score becomes the number of answers that are better, so that equal scores tie.
    """
    if any("rank" in one for one in responses):
        ranks = [number(one.get("rank")) for one in responses]
        return [None if rank is None else int(rank) for rank in ranks]
    scores = [number(one.get("quality_score", one.get("score"))) for one in responses]
    known = [score for score in scores if score is not None]
    return [None if s is None else sum(other > s for other in known) for s in scores]


def number(value: Any) -> float | None:
    """Read a finite number, also one written as a text; None where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) else None
