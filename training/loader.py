"""The data loader of one process: its shares of the updates, collated.

    rows 4 and 1 for this process   ->   {"input_ids": (2, 23), "labels": ...}
    row 4 for another, and idly     ->   the same, to be made to count for nothing

It stays outside accelerate, which would fill up an epoch's last update with rows it has seen.
"""

from collections.abc import Callable, Sequence
from typing import Any

from accelerate import PartialState
from torch.utils.data import DataLoader, Dataset

from training.batches import Shares, idle
from training.job import Job

Batch = dict[str, Any]


class _Places(Dataset[int]):
    """A data set of row numbers, to be looked up when they are collated."""

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, place: int) -> int:
        return place


def dealt(
    job: Job, lengths: Sequence[int], collate: Callable[[list[int], bool], Batch], pin_memory: bool
) -> DataLoader[Any]:
    """Deal out a training's rows to this process.

    Args:
        job: Whose batch size and seed.
        lengths: Tokens of each row.
        collate: Makes a batch of the rows at these places, and is told whether they count.
        pin_memory: Whether batches go to a GPU.
    """
    state = PartialState()
    _, micro = job.settings.share(state.num_processes)
    sampler = Shares(
        lengths,
        job.settings.batch_size,
        micro,
        job.seed,
        process=state.process_index,
        processes=state.num_processes,
    )

    def look_up(places: list[int]) -> Batch:
        if places[0] < 0:
            return collate([idle(place) for place in places], False)
        return collate(places, True)

    return DataLoader(
        _Places(len(lengths)), batch_sampler=sampler, collate_fn=look_up, pin_memory=pin_memory
    )
