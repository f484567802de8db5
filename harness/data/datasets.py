"""The one door to data, for training and evaluations.

    prompts("koala.jsonl", rows=100, seed=1)              questions
    demonstrations("microworld:ift", rows=1200)           questions and good answers (IFT)
    ranked_groups(["trees.jsonl.gz", "org/name::train"])  questions and ranked answers (EFT)
    texts("held_out.jsonl")                               all there is to read, to keep it out
    held_out(["held_out.jsonl"])("Why is the sky blue?")  whether a prompt is in it

A source is `microworld:NAME` (generated here), a local file or a hub name (`files`); several
are read one after the other. What a file holds is told by its columns (`open_assistant`,
`preferences`, `fastchat` and `columns`). A loader counts what it leaves out, by reason:

    >>> demonstrations("oasst1_en_validation.jsonl").dropped
    {'incomplete_tree': 3, 'no_best_reply': 2}
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Generic

from harness.data import columns, fastchat, open_assistant, preferences
from harness.data.examples import Demonstration, Loaded, PromptRow, RankedGroup, Row, text_id
from harness.data.files import Table, file_kind, read_table
from harness.data.overlap import key
from harness.data.preferences import Judgements
from harness.errors import DataError
from harness.microworld import datasets as microworld
from harness.microworld import items

Source = str | Sequence[str]
MICROWORLD = "microworld:"
_Maker = Callable[..., Sequence[PromptRow | Demonstration | RankedGroup]]
_MADE: dict[str, _Maker] = {
    "ift": microworld.demonstrations,
    "eft": microworld.ranked_groups,
    "prompts": microworld.training_prompts,
    "preferences": microworld.preferences,
    "evaluation": microworld.evaluation_prompts,
}


def check(source: Source) -> None:
    """Find out whether a source can be there at all, without reading it.

    Raises:
        DataError: a file that does not exist, or a name that nothing can have.
    """
    for name in [source] if isinstance(source, str) else source:
        if name.startswith(MICROWORLD):
            _maker(name)
        else:
            file_kind(name)


def prompts(source: Source, rows: int | None = None, seed: int = 0) -> Loaded[PromptRow]:
    """Read questions, each once.

    Args:
        source: Where from.
        rows: At most how many, drawn without repeats; None for all, in the source's order, and
            of the micro-world, which has no end, for as many as its default run takes.
        seed: Of the draw, and of what the micro-world makes.

    Raises:
        DataError: no such source, unreadable, or nothing in it to use.
    """
    return _load(source, rows, seed, _PROMPTS)


def demonstrations(source: Source, rows: int | None = None, seed: int = 0) -> Loaded[Demonstration]:
    """Read questions with an answer to learn from; of ranked answers, the best.

    Raises:
        DataError: as for `prompts`.
    """
    return _load(source, rows, seed, _DEMONSTRATIONS)


def ranked_groups(source: Source, rows: int | None = None, seed: int = 0) -> Loaded[RankedGroup]:
    """Read questions with two or more ranked answers; of conversations, the first turns.

    `read` and `dropped` count answers; `rows` and `len(Loaded.rows)` count questions.

    Raises:
        DataError: as for `prompts`, and where a source has no ranks.
    """
    return _load(source, rows, seed, _GROUPS)


def texts(source: Source) -> list[str]:
    """Read every prompt and answer of a source, each once, of all turns and languages.

    What is held out is held out whole: these are what `overlap.split_seeds` is to exclude.

    Raises:
        DataError: as for `prompts`.
    """
    found: dict[str, None] = {}
    for name in _names(source):
        if name.startswith(MICROWORLD):
            found |= dict.fromkeys(text for row in _make(name, None, 0) for text in _texts(row))
            continue
        table = _table(name)
        found |= dict.fromkeys(_all_texts(table))
    return list(found)


def held_out(source: Source) -> Callable[[str], bool]:
    """Make the test whether a prompt is held out: whether a source has its text anywhere.

    Of the micro-world, a seventh of all facts is held out, however a prompt asks about them.

    Raises:
        DataError: as for `prompts`.
    """
    names = [source] if isinstance(source, str) else source
    files = [name for name in names if not name.startswith(MICROWORLD)]
    known = {key(text) for text in texts(files)} if files else set()
    by_fact = len(files) < len(names)

    def test(prompt: str) -> bool:
        item = items.parse(prompt) if by_fact else None
        return key(prompt) in known or (item is not None and items.is_held_out(item))

    return test


@dataclass(frozen=True)
class _Kind(Generic[Row]):
    """One of the three kinds of rows, and how it is read."""

    what: str
    from_conversations: Callable[[Table], Loaded[Row]]
    from_columns: Callable[[Table], Loaded[Row]]
    from_made: Callable[[PromptRow | Demonstration | RankedGroup], Row | None]
    """Take it from a row of the micro-world; None where that has too little."""
    same: Callable[[Row], str]
    """Rows of different sources for which this is equal are the same row."""


def _prompt(row: PromptRow | Demonstration | RankedGroup) -> PromptRow:
    return row if isinstance(row, PromptRow) else PromptRow(text_id(row.prompt), row.prompt)


def _demonstration(row: PromptRow | Demonstration | RankedGroup) -> Demonstration | None:
    if isinstance(row, RankedGroup):
        return Demonstration(row.id, row.prompt, row.responses[0].text)
    return row if isinstance(row, Demonstration) else None


def _group(row: PromptRow | Demonstration | RankedGroup) -> RankedGroup | None:
    return row if isinstance(row, RankedGroup) else None


def _texts(row: PromptRow | Demonstration | RankedGroup) -> list[str]:
    if isinstance(row, RankedGroup):
        return [row.prompt, *(response.text for response in row.responses)]
    return [row.prompt, row.response] if isinstance(row, Demonstration) else [row.prompt]


def _all_texts(table: Table) -> list[str]:
    if _is_open_assistant(table):
        return open_assistant.texts(table)
    if preferences.is_preference_set(table.rows[0]):
        return preferences.texts(table)
    if fastchat.is_questions(table.rows[0]):
        return fastchat.texts(table)
    return columns.texts(table)


def _questions(table: Table) -> Loaded[PromptRow]:
    if fastchat.is_questions(table.rows[0]):
        return fastchat.prompts(table)
    return columns.prompts(table)


def _rankings(table: Table) -> Loaded[RankedGroup]:
    if preferences.is_preference_set(table.rows[0]):
        return preferences.ranked_groups(table)
    return columns.ranked_groups(table)


_PROMPTS = _Kind(
    "prompts",
    open_assistant.prompts,
    _questions,
    _prompt,
    same=lambda row: key(row.prompt),
)
_DEMONSTRATIONS = _Kind(
    "demonstrations",
    open_assistant.demonstrations,
    columns.demonstrations,
    _demonstration,
    same=lambda row: "\x1f".join(map(key, _texts(row))),
)
_GROUPS = _Kind(
    "ranked groups",
    open_assistant.ranked_groups,
    _rankings,
    _group,
    same=lambda row: "\x1f".join(map(key, _texts(row))),
)


def _load(source: Source, rows: int | None, seed: int, kind: _Kind[Row]) -> Loaded[Row]:
    loaded = _together([_read(name, rows, seed, kind) for name in _names(source)], kind)
    if not loaded.rows:
        reasons = ", ".join(f"{reason} {count}" for reason, count in loaded.dropped.items())
        raise DataError(
            f"no {kind.what} in {', '.join(_names(source))}: {loaded.read} rows were read and none "
            f"can be used ({reasons}); {columns.RANKED if kind is _GROUPS else columns.LAYOUTS}"
        )
    if rows is None or rows >= len(loaded.rows):
        return loaded
    drawn = tuple(Random(seed).sample(loaded.rows, rows))
    left = sum(map(_size, loaded.rows)) - sum(map(_size, drawn))
    return replace(loaded, rows=drawn, dropped={**loaded.dropped, "not_drawn": left})


def _read(source: str, rows: int | None, seed: int, kind: _Kind[Row]) -> Loaded[Row]:
    if source.startswith(MICROWORLD):
        found = [kind.from_made(row) for row in _make(source, rows, seed)]
        fitting = tuple(row for row in found if row is not None)
        if not fitting:
            raise DataError(f"{source} has no {kind.what}; name a source that does")
        return Loaded(fitting, sum(map(_size, fitting)))
    table = _table(source)
    if _is_open_assistant(table):
        return kind.from_conversations(table)
    return kind.from_columns(table)


def _make(
    source: str, rows: int | None, seed: int
) -> Sequence[PromptRow | Demonstration | RankedGroup]:
    make = _maker(source)
    return make(seed=seed) if rows is None else make(rows, seed=seed)


def _maker(source: str) -> _Maker:
    make = _MADE.get(source.removeprefix(MICROWORLD))
    if make is None:
        known = ", ".join(f"{MICROWORLD}{name}" for name in _MADE)
        raise DataError(f"there is no data source {source!r}; the micro-world has {known}")
    return make


def _together(parts: Sequence[Loaded[Row]], kind: _Kind[Row]) -> Loaded[Row]:
    """Join sources: the same row counts once, and every row has an id of its own."""
    dropped: Counter[str] = Counter()
    rows: dict[str, Row] = {}
    seen: set[str] = set()
    for number, part in enumerate(parts):
        dropped.update(part.dropped)
        for row in part.rows:
            judged_alone = isinstance(part, Judgements)
            content = f"{number}\x1f{row.id}" if judged_alone else kind.same(row)
            if content in seen:
                dropped["duplicate"] += _size(row)
                continue
            seen.add(content)
            own = replace(row, id=text_id(content)) if row.id in rows else row
            rows[own.id] = own
    return Loaded(tuple(rows.values()), sum(part.read for part in parts), +dropped)


def _size(row: PromptRow | Demonstration | RankedGroup) -> int:
    """Count a row in the unit of `Loaded.read`."""
    return len(row.responses) if isinstance(row, RankedGroup) else 1


def _names(source: Source) -> Sequence[str]:
    names = [source] if isinstance(source, str) else list(source)
    if not names:
        raise DataError("no data source is named")
    return names


def _table(source: str) -> Table:
    table = read_table(source)
    if not table.rows:
        raise DataError(f"data source {source!r} is empty")
    return table


def _is_open_assistant(table: Table) -> bool:
    return open_assistant.is_open_assistant(table.rows[0])
