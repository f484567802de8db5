import random

from hypothesis import given
from hypothesis import strategies as st

from training.batches import LengthGrouped, order


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


def test_a_data_loader_tells_the_sampler_its_epoch() -> None:
    sampler = LengthGrouped([3, 1, 2, 5], 2, seed=0)
    sampler.set_epoch(2)

    assert list(sampler) == order([3, 1, 2, 5], 2, 0, 2)
    assert len(sampler) == 4
