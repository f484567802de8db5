"""Which rows go through the model together.

A row is one completion on its way. Rows wait in a queue, longest prompt first, and are taken by
the batch: no more than `rows` of them, and no more than `tokens` of key-value cache.

    prompts of 40, 39, 12, 11 tokens, 10 new tokens each; tokens=100
    -> [40, 39]  [12, 11]

The longest go first, so that a batch which does not fit in memory is met at once, not at the end.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from harness.protocols import Request


@dataclass
class Row:
    """One completion on its way."""

    request: Request
    index: int
    prompt_ids: tuple[int, ...]
    room: int
    """How many tokens may be sampled."""
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    likeliest: list[list[tuple[int, float]]] = field(default_factory=list)
    """By sampled token, the likeliest tokens and their log-probabilities, where asked."""
    finish_reason: Literal["stop", "length"] | None = None

    @property
    def length(self) -> int:
        """The most tokens the row can come to, prompt included."""
        return len(self.prompt_ids) + self.room


def queue_up(rows: Iterable[Row]) -> deque[Row]:
    """Order rows by prompt length, longest first, rows with the same prompt side by side."""
    first: dict[tuple[int, ...], int] = {}
    waiting = list(rows)
    for row in waiting:
        first.setdefault(row.prompt_ids, len(first))
    waiting.sort(key=lambda row: (-len(row.prompt_ids), first[row.prompt_ids]))
    return deque(waiting)


def take(queue: deque[Row], rows: int, tokens: int) -> list[Row]:
    """Take the next batch off the queue: at least one row, then as many as the limits allow."""
    batch: list[Row] = []
    longest = 0
    while queue and len(batch) < rows:
        longest = max(longest, queue[0].length)
        if batch and (len(batch) + 1) * longest > tokens:
            break
        batch.append(queue.popleft())
    return batch


def put_back(queue: deque[Row], batch: Sequence[Row]) -> None:
    """Return the unfinished rows of a batch to the head of the queue, to be begun again."""
    unfinished = [row for row in batch if row.finish_reason is None]
    for row in unfinished:
        row.token_ids.clear()
        row.logprobs.clear()
        row.likeliest.clear()
    queue.extendleft(reversed(unfinished))
