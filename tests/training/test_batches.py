import random

from hypothesis import given
from hypothesis import strategies as st

from training.batches import Shares, idle, order


@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=80),
    batch=st.integers(1, 9),
    epoch=st.integers(0, 3),
)
def test_every_row_comes_exactly_once(lengths: list[int], batch: int, epoch: int) -> None:
    assert sorted(order(lengths, batch, 7, epoch)) == list(range(len(lengths)))


def test_order_depends_on_seed_and_epoch_alone() -> None:
    lengths = [random.Random(0).randint(5, 60) for _ in range(100)]
    first = order(lengths, 8, 0, 0)

    random.seed(5)

    assert order(lengths, 8, 0, 0) == first
    assert order(lengths, 8, 0, 1) != first
    assert order(lengths, 8, 1, 0) != first


def test_batches_need_little_padding() -> None:
    draw = random.Random(0)
    lengths = [draw.randint(25, 70) for _ in range(2000)]
    rows = [lengths[i] for i in order(lengths, 32, 0, 0)]
    batches = [rows[i : i + 32] for i in range(0, 1984, 32)]  # the last 16 are a random remainder

    padding = 1 - sum(map(sum, batches)) / sum(max(batch) * len(batch) for batch in batches)

    assert padding < 0.05
    shuffled = [lengths[i : i + 32] for i in range(0, 1984, 32)]
    assert sum(map(sum, shuffled)) / sum(max(b) * len(b) for b in shuffled) < 0.75


@given(
    rows=st.integers(1, 60),
    batch=st.sampled_from([(8, 1, 8), (8, 2, 2), (8, 4, 2), (12, 3, 2), (6, 6, 1), (2, 4, 1)]),
    epoch=st.integers(0, 3),
)
def test_processes_share_each_update_of_one_process(
    rows: int, batch: tuple[int, int, int], epoch: int
) -> None:
    size, processes, micro = batch
    lengths = [random.Random(rows).randint(5, 60) for _ in range(rows)]
    alone = order(lengths, size, 7, epoch)
    shares = [Shares(lengths, size, micro, 7, process, processes) for process in range(processes)]
    for share in shares:
        share.set_epoch(epoch)
    taken = [list(share) for share in shares]

    steps = -(-size // processes) // micro
    assert {len(share) for share in shares} == {len(taken[0])}
    assert {len(mine) for mine in taken} == {len(taken[0])}  # or one would wait for ever
    for number, first in enumerate(range(0, rows, size)):
        update = [batch for mine in taken for batch in mine[number * steps :][:steps]]
        assert all(0 < len(batch) <= micro for batch in update)
        idle = [batch for batch in update if batch[0] < 0]
        assert all(len(batch) == 1 for batch in idle)
        working = [place for batch in update if batch not in idle for place in batch]
        assert sorted(working) == sorted(alone[first : first + size])


def test_one_process_takes_its_rows_in_order() -> None:
    sampler = Shares([3, 1, 2, 5, 4], 4, 2, seed=0)
    sampler.set_epoch(2)

    assert [place for batch in sampler for place in batch] == order([3, 1, 2, 5, 4], 4, 0, 2)
    assert len(sampler) == 3


def test_an_idle_row_can_be_told_and_found() -> None:
    assert [idle(place) for place in (0, 5)] == [-1, -6]
    assert idle(idle(5)) == 5
