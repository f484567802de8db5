"""Whether paired changes could be chance, and what is left of that when many are tested.

    >>> sign_flip_test([1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0])  # six of seven, all upwards
    0.03125
    >>> holm([0.01, 0.04, 0.03])
    (0.03, 0.06, 0.06)

The test asks how often a sum at least as far from 0 comes out when every change is as likely to be
upwards as downwards (Fisher 1935, sec. 21). Where all changes are of one size (an item won or
lost, right or wrong) that is the exact sign test, and so McNemar's exact test; with few changes all
signs are tried, with many `FLIPS` of them. The correction is Holm's (1979): it holds for any number
of tests, however much they depend on each other.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.statistics.intervals import sign_test

FLIPS = 20_000
"""Drawn where there are too many to try: the smallest p is then 1 / 20,001."""
MOST_EXACT = 14
"""Of this many changes all 2^14 signs are tried."""
_BLOCK = 2**21  # signs drawn at a time, so that memory does not grow with the data
_ROUNDING = 1e-9  # of sums that are equal but for the order of their additions


def sign_flip_test(changes: Sequence[float], seed: int = 0) -> float | None:
    """Compute the two-sided p of: are changes as likely to be upwards as downwards?

    Args:
        changes: One a cluster (items that are not independent belong to one), each with the weight
            that it has in the mean; 0 where nothing changed.
        seed: Of the draws; the same seed and changes give the same p.

    Returns:
        None without any change to look at, 1 where none of them differs from 0.
    """
    if not len(changes):
        return None
    moved = np.asarray(changes, dtype=float)
    moved = moved[moved != 0]
    if not moved.size:
        return 1.0
    sizes = np.abs(moved)
    if np.allclose(sizes, sizes[0], rtol=_ROUNDING, atol=0):
        upwards = int((moved > 0).sum())
        return sign_test(upwards, moved.size - upwards)
    least = abs(moved.sum()) - _ROUNDING * sizes.sum()
    if moved.size <= MOST_EXACT:
        signs = (np.arange(2**moved.size)[:, None] >> np.arange(moved.size)) & 1
        return float(np.mean(np.abs(_sums(signs, sizes)) >= least))
    return (1 + _beyond(sizes, least, seed)) / (1 + FLIPS)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Correct p-values for how many there are; compare what comes out with .05 itself.

    The smallest is multiplied by the number of tests, the next by one less, and so on; none comes
    out smaller than one that was smaller before. In the order they were given.
    """
    corrected = [1.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = largest
    return tuple(corrected)


def _beyond(sizes: NDArray[np.float64], least: float, seed: int) -> int:
    """Count, of `FLIPS` draws of signs, those whose sum is at least so far from 0."""
    rng = np.random.default_rng(seed)
    rows = max(1, _BLOCK // sizes.size)
    found = 0
    for start in range(0, FLIPS, rows):
        shape = (min(rows, FLIPS - start), sizes.size)
        bits = np.unpackbits(
            np.frombuffer(rng.bytes(math.ceil(math.prod(shape) / 8)), dtype=np.uint8),
            count=math.prod(shape),
        )
        found += int(np.count_nonzero(np.abs(_sums(bits.reshape(shape), sizes)) >= least))
    return found


def _sums(signs: NDArray[np.integer], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum changes upwards where the sign is 1, downwards where it is 0; shape (rows,)."""
    return np.asarray(2 * (signs.astype(float) @ sizes) - sizes.sum())
