"""Open Assistant conversations: demonstrations, and answers that people ranked.

A conversation tree has a prompt, several answers to it, several further prompts to each answer,
and so on. Volunteers ranked sibling answers, 0 for the best. It comes in two forms: messages that
name their parent (the hub's), and trees whose messages hold their `replies`:

    {"message_id": "b", "parent_id": "a", "role": "assistant", "rank": 0, "text": ..., ...}
    {"prompt": {"message_id": "a", "text": ..., "replies": [{"message_id": "b", "rank": 0, ...}]}}

Demonstrations are first prompts with their best answer, as in Yuan et al. 2024 and Li et al. 2024.
Messages that the moderators deleted are left out unless asked for. The few synthetic prompts and
answers (`synthetic`) are kept: people ranked them like all others.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.data.examples import Demonstration, Loaded, PromptRow, RankedGroup, RankedResponse
from harness.data.files import Table
from harness.errors import DataError

_NEEDED = ("message_id", "text", "role")


@dataclass(frozen=True)
class Message:
    """A message and the answers to it."""

    id: str
    text: str
    role: str
    language: str | None
    rank: int | None
    deleted: bool
    replies: "list[Message]"


@dataclass(frozen=True)
class _Turn:
    """A prompter's message, with the conversation that led to it."""

    prompt: Message
    history: tuple[str, ...]


def is_open_assistant(first: Mapping[str, Any]) -> bool:
    """Tell by its first row whether a table holds Open Assistant messages or trees."""
    return {"message_id", "parent_id", "text", "role"} <= first.keys() or (
        isinstance(first.get("prompt"), dict) and "text" in first["prompt"]
    )


def prompts(table: Table, language: str | None = "en") -> Loaded[PromptRow]:
    """Read the first prompts of all conversations."""
    roots, dropped = _roots(table, language, deleted=False)
    read = len(roots) + sum(dropped.values())
    return Loaded(tuple(PromptRow(root.id, root.text) for root in roots), read, dropped)


def demonstrations(table: Table, language: str | None = "en") -> Loaded[Demonstration]:
    """Read first prompts with the answer that was ranked best."""
    roots, dropped = _roots(table, language, deleted=False)
    read = len(roots) + sum(dropped.values())
    rows = []
    for root in roots:
        best = next((r for r in root.replies if r.rank == 0 and not r.deleted), None)
        if best is None:
            dropped["no_best_reply"] += 1
        else:
            rows.append(Demonstration(root.id, root.text, best.text))
    return Loaded(tuple(rows), read, dropped)


def ranked_groups(
    table: Table,
    language: str | None = "en",
    first_turn_only: bool = True,
    deleted: bool = False,
) -> Loaded[RankedGroup]:
    """Read prompts with two or more ranked answers; `read` and `dropped` count answers.

    Args:
        table: Messages or trees.
        language: The prompts' language, as the data set codes it; None for every language.
        first_turn_only: Leave out the later turns of a conversation, whose answers can only be
            judged knowing what came before (`RankedGroup.history`).
        deleted: Keep what the moderators deleted, as published counts of the data do.
    """
    dropped: Counter[str] = Counter()
    roots, orphans = _trees(table)
    dropped["incomplete_tree"] += _answers(orphans)
    groups, read = [], dropped.total()
    for turn in _turns(roots):
        answers = [reply for reply in turn.prompt.replies if reply.role == "assistant"]
        read += len(answers)
        if language is not None and turn.prompt.language != language:
            dropped["language"] += len(answers)
        elif turn.history and first_turn_only:
            dropped["later_turn"] += len(answers)
        elif turn.prompt.deleted and not deleted:
            dropped["deleted"] += len(answers)
        else:
            dropped["deleted"] += sum(a.deleted and not deleted for a in answers)
            answers = [answer for answer in answers if deleted or not answer.deleted]
            responses = sorted(
                (RankedResponse(a.text, a.rank) for a in answers if a.rank is not None),
                key=lambda response: response.rank,
            )
            dropped["no_rank"] += len(answers) - len(responses)
            if len(responses) >= 2:
                prompt = turn.prompt
                groups.append(RankedGroup(prompt.id, prompt.text, tuple(responses), turn.history))
            else:
                dropped["single_reply"] += len(responses)
    return Loaded(tuple(groups), read, +dropped)


def texts(table: Table) -> list[str]:
    """Read every message, whatever its language, turn and state."""
    roots, orphans = _trees(table)
    return [message.text for message in _walk([*roots, *orphans])]


def _roots(table: Table, language: str | None, deleted: bool) -> tuple[list[Message], Counter[str]]:
    roots, orphans = _trees(table)
    dropped = Counter({"incomplete_tree": len(orphans)})
    kept = []
    for root in roots:
        if language is not None and root.language != language:
            dropped["language"] += 1
        elif root.deleted and not deleted:
            dropped["deleted"] += 1
        else:
            kept.append(root)
    return kept, +dropped


def _trees(table: Table) -> tuple[list[Message], list[Message]]:
    """Read the conversations, and the pieces whose beginning is not in the file."""
    if "parent_id" in table.rows[0]:
        return _link(table)
    return [
        _nested(row.get("prompt"), table.where(index)) for index, row in enumerate(table.rows)
    ], []


def _link(table: Table) -> tuple[list[Message], list[Message]]:
    messages: dict[str, Message] = {}
    for index, row in enumerate(table.rows):
        message = _message(row, table.where(index))
        if message.id in messages:
            raise DataError(f"{table.where(index)}: message {message.id} is there twice")
        messages[message.id] = message
    roots, orphans = [], []
    for row, message in zip(table.rows, messages.values(), strict=True):
        parent = row.get("parent_id")
        if parent is None:
            roots.append(message)
        elif parent in messages:
            messages[parent].replies.append(message)
        else:
            orphans.append(message)
    return roots, orphans


def _nested(row: Any, where: str) -> Message:
    message = _message(row, where)
    message.replies.extend(_nested(reply, where) for reply in row.get("replies") or ())
    return message


def _message(row: Any, where: str) -> Message:
    if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in _NEEDED):
        raise DataError(f"{where}: a message needs {', '.join(_NEEDED)}, each a text")
    rank = row.get("rank")
    if rank is not None and (isinstance(rank, bool) or not isinstance(rank, int | float)):
        raise DataError(f"{where}: the rank of message {row['message_id']} is {rank!r}, no number")
    return Message(
        id=row["message_id"],
        text=row["text"],
        role=row["role"],
        language=row.get("lang"),
        rank=None if rank is None else int(rank),
        deleted=bool(row.get("deleted")),
        replies=[],
    )


def _turns(roots: Sequence[Message]) -> Iterator[_Turn]:
    """Yield every prompter's message, the earlier turns of a conversation first."""
    stack: list[tuple[Message, tuple[str, ...]]] = [(root, ()) for root in reversed(roots)]
    while stack:
        message, history = stack.pop()
        if message.role == "prompter":
            yield _Turn(message, history)
        stack.extend((reply, (*history, message.text)) for reply in reversed(message.replies))


def _walk(messages: Sequence[Message]) -> Iterator[Message]:
    stack = list(reversed(messages))
    while stack:
        message = stack.pop()
        yield message
        stack.extend(reversed(message.replies))


def _answers(messages: Sequence[Message]) -> int:
    return sum(message.role == "assistant" for message in _walk(messages))
