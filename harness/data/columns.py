r"""Rows told by their columns: prompts, demonstrations and ranked answers in the common layouts.

    prompt, chosen, rejected              a better and a worse answer, as texts or messages
    prompt, response, rank                ranked answers, one a row, 0 is best
    prompt, response, quality_score       the same, highest is best
    ... with verdict                      what an annotator wrote about the answer, to learn judging
    prompt, response                      demonstrations
    messages [{role, content} ...]        conversations; their first exchange is used
    prompt                                prompts

`instruction` (with `input`), `question` and `prompt_text` are read like `prompt`; `completion`,
`output`, `answer` and `response_text` like `response`; Self-Instruct's `instances` give the input
and the output:

    {"instruction": "Translate to French.", "input": "Hello", "output": "Bonjour"}
    ->  Demonstration(prompt="Translate to French.\n\nHello", response="Bonjour")
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.data.examples import (
    Demonstration,
    Loaded,
    PromptRow,
    RankedGroup,
    RankedResponse,
    text_id,
)
from harness.data.files import Table
from harness.errors import DataError

PROMPT = ("prompt", "instruction", "question", "prompt_text")
RESPONSE = ("response", "completion", "output", "answer", "response_text")
LAYOUTS = (
    "Open Assistant messages or trees; prompt, chosen, rejected; prompt, response, rank or "
    "quality_score; prompt, response; messages; prompt"
)
RANKED = (
    "ranks are a column `rank` (0 = best) or `quality_score` beside the answers, `chosen` and "
    "`rejected`, or Open Assistant messages or trees"
)


class _Skip(Exception):
    """A row that has nothing to use; the message is the reason to count it by."""


@dataclass(frozen=True)
class _Entry:
    """A row, and where it stands."""

    row: Mapping[str, Any]
    where: str

    def has(self, *names: str) -> bool:
        return any(name in self.row for name in names)

    def column(self, *names: str) -> str:
        """Choose the first of these columns that the row has."""
        name = next((name for name in names if name in self.row), None)
        if name is None:
            raise DataError(
                f"{self.where}: no {' or '.join(names)} among the columns "
                f"{', '.join(map(str, self.row)) or '(none)'}"
            )
        return name

    def checked(self, value: Any, name: str) -> str:
        """Take a value as a text."""
        if value is not None and not isinstance(value, str):
            raise DataError(f"{self.where}: {name!r} is {str(value)[:40]!r}, not a text")
        if value is None or not value.strip():
            raise _Skip("empty")
        return value

    def turns(self, name: str) -> list[tuple[str, str]]:
        """Read a column of messages as (role, content)."""
        messages = self.row[name]
        if not isinstance(messages, list) or not all(map(_is_message, messages)):
            raise DataError(f"{self.where}: {name!r} is not a list of {{role, content}} messages")
        if not messages:
            raise _Skip("empty")
        return [(message["role"], self.checked(message["content"], name)) for message in messages]

    def exchange(self, name: str) -> tuple[str, str | None]:
        """Read the first user turn, and the answer to it, from a column of messages."""
        turns = self.turns(name)
        if turns[0][0] != "user":
            raise _Skip(f"{turns[0][0]}_message_first")
        answered = len(turns) > 1 and turns[1][0] == "assistant"
        return turns[0][1], turns[1][1] if answered else None

    def prompt(self) -> str:
        """Read the question."""
        name = self.column(*PROMPT, "messages", "chosen")
        if name in ("messages", "chosen"):
            return self.exchange(name)[0]
        if isinstance(self.row[name], list):
            if len(self.row[name]) > 1:
                raise _Skip("multi_turn")
            return self.exchange(name)[0]
        prompt = self.checked(self.row[name], name)
        given = self.row.get("input") or self._instance().get("input")
        return f"{prompt}\n\n{given}" if isinstance(given, str) and given.strip() else prompt

    def response(self) -> str:
        """Read the answer to learn from."""
        name = self.column(*RESPONSE, "messages", "instances", "chosen")
        if name == "messages":
            answer = self.exchange(name)[1]
            if answer is None:
                raise _Skip("no_response")
            return answer
        if name == "instances":
            return self.checked(self._instance().get("output"), "instances.output")
        return self.answer(name)

    def answer(self, *names: str) -> str:
        """Read an answer that is a text, or the last of some messages."""
        name = self.column(*names)
        if not isinstance(self.row[name], list):
            return self.checked(self.row[name], name)
        turns = self.turns(name)
        if not self.has(*PROMPT) and len(turns) != 2:
            raise _Skip("multi_turn")
        if turns[-1][0] != "assistant":
            raise _Skip("no_response")
        return turns[-1][1]

    def verdict(self) -> str | None:
        """Read what an annotator wrote about the answer; None where the source has no such text."""
        value = self.row.get("verdict")
        return None if value is None else self.checked(value, "verdict")

    def number(self, name: str) -> float | None:
        """Read a number; None where there is none."""
        value = self.row.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DataError(f"{self.where}: {name!r} is {value!r}, not a number")
        return float(value) if math.isfinite(value) else None

    def id(self, *names: str) -> str | None:
        """Read the id in the first of these columns that has one."""
        given = (self.row.get(name) for name in names)
        return next((str(value) for value in given if value not in (None, "")), None)

    def _instance(self) -> Mapping[str, Any]:
        instances = self.row.get("instances")
        first = instances[0] if isinstance(instances, list) and instances else {}
        return first if isinstance(first, dict) else {}


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("role"), str) and "content" in value


def prompts(table: Table) -> Loaded[PromptRow]:
    """Read questions, each once.

    Raises:
        DataError: no known layout, or a malformed row.
    """
    dropped: Counter[str] = Counter()
    rows: dict[str, PromptRow] = {}
    for entry in _entries(table, (*PROMPT, "messages", "chosen")):
        try:
            prompt = entry.prompt()
        except _Skip as skip:
            dropped[str(skip)] += 1
            continue
        if prompt in rows:
            dropped["duplicate"] += 1
            continue
        category = entry.row.get("category")
        rows[prompt] = PromptRow(
            id=entry.id("id", "prompt_id") or text_id(prompt),
            prompt=prompt,
            category=category if isinstance(category, str) else None,
        )
    return Loaded(tuple(rows.values()), len(table.rows), dropped)


def demonstrations(table: Table) -> Loaded[Demonstration]:
    """Read questions with an answer to learn from; of ranked answers, the best.

    Raises:
        DataError: no answers, no known layout, or a malformed row.
    """
    dropped: Counter[str] = Counter()
    rows: dict[tuple[str, str], Demonstration] = {}
    best = _best_scores(table)
    taken: set[str] = set()
    for entry in _entries(table, (*RESPONSE, "messages", "instances", "chosen")):
        try:
            prompt, response = entry.prompt(), entry.response()
            if "rank" in entry.row and entry.number("rank") != 0:
                raise _Skip("not_best")
            if best and (prompt in taken or entry.number("quality_score") != best.get(prompt)):
                raise _Skip("not_best")
            if (prompt, response) in rows:
                raise _Skip("duplicate")
            taken.add(prompt)
        except _Skip as skip:
            dropped[str(skip)] += 1
            continue
        rows[prompt, response] = Demonstration(
            id=entry.id("id", "prompt_id") or text_id(prompt, response),
            prompt=prompt,
            response=response,
        )
    return Loaded(tuple(rows.values()), len(table.rows), dropped)


def ranked_groups(table: Table) -> Loaded[RankedGroup]:
    """Read questions with two or more ranked answers; `read` and `dropped` count answers.

    A score becomes a rank: the number of better answers to its question, so that equal scores tie.

    Raises:
        DataError: no ranks, no known layout, or a malformed row.
    """
    columns = table.rows[0].keys()
    if {"chosen", "rejected"} <= columns:
        return _preferences(table)
    if columns & {"rank", "quality_score"}:
        return _rankings(table)
    raise DataError(
        f"{table.source} is a seed file without ranks (its columns: {', '.join(columns)}); {RANKED}"
    )


def texts(table: Table) -> list[str]:
    """Read every prompt and answer, whatever its rank."""
    found = []
    for entry in _entries(table, (*PROMPT, *RESPONSE, "messages", "chosen")):
        for read in _readers(entry):
            try:
                found.append(read())
            except _Skip:
                continue
    return found


def _readers(entry: _Entry) -> Iterator[Any]:
    for name in ("messages", "prompt", "chosen", "rejected"):
        for message in _messages(entry.row.get(name)):
            yield lambda text=message: text
    if entry.has(*PROMPT, "messages", "chosen"):
        yield entry.prompt
    if entry.has(*RESPONSE, "messages", "instances", "chosen"):
        yield entry.response
    for name in ("chosen", "rejected"):
        if entry.has(name):
            yield lambda name=name: entry.answer(name)


def _messages(value: Any) -> list[str]:
    """Every turn of a conversation, whoever speaks."""
    turns = value if isinstance(value, list) else ()
    contents = (turn.get("content") for turn in turns if isinstance(turn, dict))
    return [content for content in contents if isinstance(content, str) and content.strip()]


def _entries(table: Table, one_of: Sequence[str]) -> Iterator[_Entry]:
    columns = table.rows[0].keys()
    if not columns & set(one_of):
        raise DataError(
            f"{table.source} has the columns {', '.join(columns) or '(none)'}; wanted one of "
            f"{', '.join(one_of)}; known layouts: {LAYOUTS}"
        )
    return (_Entry(row, table.where(index)) for index, row in enumerate(table.rows))


def _best_scores(table: Table) -> dict[str, float]:
    """Find the highest score of each prompt, where the table has scores instead of ranks."""
    best: dict[str, float] = {}
    if "quality_score" not in table.rows[0] or "rank" in table.rows[0]:
        return best
    for entry in _entries(table, PROMPT):
        score = entry.number("quality_score")
        if score is not None:
            try:
                prompt = entry.prompt()
            except _Skip:
                continue
            best[prompt] = max(score, best.get(prompt, score))
    return best


def _preferences(table: Table) -> Loaded[RankedGroup]:
    dropped: Counter[str] = Counter()
    groups: dict[tuple[str, str, str], RankedGroup] = {}
    for entry in _entries(table, ("chosen",)):
        try:
            prompt = entry.prompt()
            better, worse = entry.answer("chosen"), entry.answer("rejected")
            if better == worse:
                raise _Skip("identical")
            if (prompt, better, worse) in groups:
                raise _Skip("duplicate")
        except _Skip as skip:
            dropped[str(skip)] += 2
            continue
        groups[prompt, better, worse] = RankedGroup(
            id=entry.id("id", "prompt_id") or text_id(prompt, better, worse),
            prompt=prompt,
            responses=(RankedResponse(better, 0), RankedResponse(worse, 1)),
        )
    return Loaded(tuple(groups.values()), 2 * len(table.rows), dropped)


def _rankings(table: Table) -> Loaded[RankedGroup]:
    dropped: Counter[str] = Counter()
    prompts: dict[str, str] = {}
    answers: dict[str, dict[str, RankedResponse]] = {}
    for entry in _entries(table, RESPONSE):
        try:
            prompt, answer = entry.prompt(), _ranked(entry)
            key = entry.id("prompt_id") or text_id(prompt)
            if prompts.setdefault(key, prompt) != prompt:
                raise DataError(f"{entry.where}: prompt_id {key} stands at two different prompts")
            if answer.text in answers.setdefault(key, {}):
                raise _Skip("duplicate")
        except _Skip as skip:
            dropped[str(skip)] += 1
            continue
        answers[key][answer.text] = answer
    groups = []
    for key, found in answers.items():
        if len(found) < 2:
            dropped["single_reply"] += len(found)
        else:
            groups.append(RankedGroup(key, prompts[key], _in_order(found.values())))
    return Loaded(tuple(groups), len(table.rows), dropped)


def _ranked(entry: _Entry) -> RankedResponse:
    text = entry.response()
    verdict = entry.verdict()
    if entry.has("rank"):
        rank = entry.number("rank")
        if rank is None:
            raise _Skip("no_rank")
        if rank != int(rank) or rank < 0:
            raise DataError(f"{entry.where}: 'rank' is {rank:g}; wanted 0 (best), 1, 2 ...")
        return RankedResponse(text, int(rank), verdict)
    score = entry.number("quality_score")
    if score is None:
        raise _Skip("no_score")
    return RankedResponse(text, 0, verdict, score)


def _in_order(answers: Any) -> tuple[RankedResponse, ...]:
    """Put answers best first, and make ranks of scores."""
    found: list[RankedResponse] = list(answers)
    scores = [answer.score for answer in found if answer.score is not None]
    if scores:
        found = [
            replace(
                answer,
                rank=sum(score > answer.score for score in scores if answer.score is not None),
            )
            for answer in found
        ]
    return tuple(sorted(found, key=lambda answer: answer.rank))
