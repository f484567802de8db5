import hypothesis.strategies as st
import numpy
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from harness.engines.sampling import noise, sample


def sample_by_sorting(
    logits: Tensor, temperature: Tensor, top_p: Tensor, noise: Tensor
) -> list[int]:
    """The definition, one row at a time: sort everything, cut the nucleus, invert its sum."""
    drawn = []
    for row, t, p, u in zip(logits, temperature, top_p, noise, strict=True):
        if t == 0:
            drawn.append(int(row.argmax()))
            continue
        scaled = row / t
        order = scaled.sort(descending=True, stable=True)
        probabilities = (order.values - scaled.logsumexp(-1)).exp()
        reached = probabilities.cumsum(-1)
        size = max(1, int((reached - probabilities < p).sum()))
        target = u * (1.0 if p >= 1 else reached[size - 1])
        position = min(int((reached <= target).sum()), size - 1)
        drawn.append(int(order.indices[position]))
    return drawn


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    vocabulary=st.sampled_from([3, 16, 17, 40, 129, 700]),
    spread=st.sampled_from([0.0, 0.01, 1.0, 4.0, 30.0]),
    steps=st.sampled_from([None, 1.0, 0.25]),
)
def test_sampling_is_exact(seed: int, vocabulary: int, spread: float, steps: float | None) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(24, vocabulary, generator=generator) * spread
    if steps is not None:  # equal logits, as low precision makes them
        logits = (logits / steps).round() * steps
    temperature = torch.tensor([0.0, 0.3, 0.7, 1.0, 1.5, 1.0]).repeat(4)
    top_p = torch.tensor([1.0, 0.98, 0.9, 0.5, 0.9, 0.05, 1.0, 0.999]).repeat(3)
    uniform = torch.rand(24, generator=generator)
    expected = sample_by_sorting(logits, temperature, top_p, uniform)
    assert sample(logits, temperature, top_p, uniform).tolist() == expected


def test_the_extremes_of_the_noise_stay_in_the_nucleus() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0] + [-20.0] * 400])
    for top_p, last in ((0.8, 1), (1.0, 402)):
        ends = [
            sample(logits, torch.ones(1), torch.tensor([top_p]), torch.tensor([u])).item()
            for u in (0.0, 1 - 2**-24)
        ]
        assert ends[0] == 0
        assert ends[1] <= last


def test_frequencies_are_the_probabilities() -> None:
    logits = torch.tensor([[1.0, 0.5, 0.0, -1.0]]).repeat(20_000, 1)
    uniform = torch.from_numpy(noise(0, "row", 0, 20_000))
    ones = torch.ones(20_000)
    counts = sample(logits, ones, ones, uniform).bincount(minlength=4) / 20_000
    assert counts.tolist() == pytest.approx(logits[0].softmax(-1).tolist(), abs=0.012)


def test_noise_is_the_rows_own_and_does_not_depend_on_its_length() -> None:
    short, long = noise(3, "a", 1, 5), noise(3, "a", 1, 50)
    assert numpy.array_equal(short, long[:5])
    others = [noise(4, "a", 1, 5), noise(3, "b", 1, 5), noise(3, "a", 2, 5)]
    assert all(not numpy.array_equal(short, other) for other in others)
    assert 0 <= long.min() <= long.max() < 1
