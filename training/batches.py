"""Which rows share an update: rows of like length, in an order that only seed and epoch decide.

    lengths 7 3 8 2 7   batch 2   ->   2 4 | 3 1 | 0        (a row's place in the data)
    of two processes the first takes   2   | 3   | 0        and the second  4 | 1 | 0, idly

Rows of like length need little padding. The order is computed, not drawn from a generator that
training also uses, so a training continued in its third epoch sees the rows that an uninterrupted
one sees; transformers' own length-grouped sampler does not give that. Nor does it depend on how
many processes share an update: accelerate's samplers would repeat rows to fill up the last one.
"""

import random
from collections.abc import Iterator, Sequence

_WINDOW = 16
"""Batches that are sorted together: about 3 % padding where lengths differ threefold, and still
more than one kind of row in most neighbourhoods."""


def order(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[int]:
    """Arrange all rows for one epoch, each exactly once.

    Batches of like length come in random order; rows left over form the last, smaller batch.

    Args:
        lengths: Tokens of each row.
        batch_size: Rows of one update.
        seed: The training's seed.
        epoch: From 0.
    """
    draw = random.Random(f"{seed}/{epoch}")
    rows = list(range(len(lengths)))
    draw.shuffle(rows)
    whole = len(rows) - len(rows) % batch_size
    batches: list[list[int]] = []
    for first in range(0, whole, _WINDOW * batch_size):
        window = rows[first : min(first + _WINDOW * batch_size, whole)]
        window.sort(key=lambda row: lengths[row])
        batches += [window[i : i + batch_size] for i in range(0, len(window), batch_size)]
    draw.shuffle(batches)
    return [row for batch in batches for row in batch] + rows[whole:]


def idle(place: int) -> int:
    """Mark a row that is taken in for company only, or unmark it.

    Processes that share a model must go through it equally often. Where an update has fewer rows
    than there are processes, some take a row that is another's, and it must count for nothing.
    """
    return -1 - place


class Shares:
    """A batch sampler for a torch data loader: what one process takes in, micro batch after other.

    An update's rows are dealt out in turn, so that every process gets short and long ones.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        micro: int,
        seed: int,
        process: int = 0,
        processes: int = 1,
    ) -> None:
        self._lengths = lengths
        self._batch_size = batch_size
        self._micro = micro
        self._seed = seed
        self._process = process
        self._processes = processes
        self._epoch = 0

    @property
    def batch_sampler(self) -> "Shares":
        """Itself: where transformers' trainer looks for what wants to know the epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Arrange the rows anew from the next iteration on."""
        self._epoch = epoch

    def __len__(self) -> int:
        whole, left = divmod(len(self._lengths), self._batch_size)
        return whole * self._steps(self._batch_size) + self._steps(left)

    def __iter__(self) -> Iterator[list[int]]:
        rows = order(self._lengths, self._batch_size, self._seed, self._epoch)
        for first in range(0, len(rows), self._batch_size):
            update = rows[first : first + self._batch_size]
            mine = update[self._process :: self._processes] or [idle(update[0])]
            # Rows that cannot be dealt out evenly lie in the last micro batch, which is then of
            # unequal size; what matters is that every process has equally many.
            for step in range(self._steps(len(update))):
                yield mine[step * self._micro : (step + 1) * self._micro] or [idle(mine[0])]

    def _steps(self, rows: int) -> int:
        """Count the micro batches of each process in an update of so many rows."""
        share = -(-rows // self._processes)
        return -(-share // self._micro)
