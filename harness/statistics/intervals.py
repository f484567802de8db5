"""Estimates with 95 % intervals.

    >>> share(142, 256).value
    0.5546875
    >>> net_win(wins=142, ties=84, losses=30)
    Estimate(value=0.4375, low=0.3523..., high=0.5226..., n=256)

Bootstrap intervals are percentile intervals over `RESAMPLES` resamples of whole clusters
(Efron and Tibshirani 1993, ch. 13; clusters as in Field and Welsh 2007). With fewer than two
clusters that hold anything nothing is known about the spread, and there is no interval. Where all
clusters say the same, a bootstrap cannot see beyond it: the interval is that one point.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.records import Metric

RESAMPLES = 5_000
_Z = 1.96
_FEW, _MANY = 16, 2_000
_BLOCK = 2**20  # indices drawn at a time, so that memory does not grow with the data


LEAST_DECIDED = 6
"""Of items that differ, all in one direction, six are the least that a two-sided sign test tells
from chance (p = 0.031); four wins in 300 with 296 ties are not a narrow interval above 0."""


class Estimate(NamedTuple):
    """A value with its 95 % interval and what it was computed from.

    Attributes:
        value: None where nothing was there to compute it from.
        low: Lower end of the interval, None where there is none.
        high: Upper end.
        n: How many items (pairs, verdicts ...) the value is made of.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int

    def metric(
        self, name: str, failed: int = 0, against: str | None = None, note: str = ""
    ) -> Metric:
        """Write the estimate down under a name."""
        return Metric(
            name=name,
            value=self.value,
            low=self.low,
            high=self.high,
            n=self.n,
            failed=failed,
            against=against,
            note=note,
        )


def ratio(numerators: ArrayLike, denominators: ArrayLike, seed: int = 0) -> Estimate:
    """Estimate a ratio of sums over clusters, with a clustered bootstrap interval.

    Items of one cluster (the pairs of one instruction, say) are not independent, so that whole
    clusters are resampled. Resamples whose denominator is 0 have no ratio and are left out.

    Args:
        numerators: One sum per cluster, shape (clusters,).
        denominators: One item count per cluster, shape (clusters,); their sum is the n.
        seed: Of the resampling; the same seed resamples the same clusters in every metric.

    Raises:
        ValueError: the shapes differ.
    """
    sums = np.stack([np.asarray(part, dtype=float) for part in (numerators, denominators)], axis=1)
    top, bottom = sums.sum(axis=0)
    if not bottom:
        return Estimate(None, None, None, 0)
    spread = np.count_nonzero(sums[:, 1]) > 1
    low, high = _percentile_interval(sums, seed) if spread else (None, None)
    return Estimate(float(top / bottom), low, high, int(bottom))


def mean(values: Sequence[float], seed: int = 0) -> Estimate:
    """Estimate a mean of independent items, with a bootstrap interval."""
    return ratio(values, np.ones(len(values)), seed)


def paired_difference(
    left: Mapping[str, float],
    right: Mapping[str, float],
    clusters: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Estimate:
    """Estimate the mean of left minus right over the items that both have, by item id.

    What makes an item easy or hard cancels out, so that the interval is narrower than that of the
    difference of two means. There is none where fewer than `LEAST_DECIDED` clusters differ.

    Args:
        left: Scores by item id.
        right: The same of the other model.
        clusters: By item id, what items share that are not independent; each its own without.
        seed: Of the resampling.
    """
    changes = paired_changes(left, right, clusters)
    estimate = ratio([sum(one) for one in changes], [len(one) for one in changes], seed)
    return _if_decided(estimate, sum(any(one) for one in changes))


def paired_changes(
    left: Mapping[str, float], right: Mapping[str, float], clusters: Mapping[str, str] | None = None
) -> list[list[float]]:
    """List left minus right of the items that both have, cluster by cluster, in order of id."""
    changes: dict[str, list[float]] = {}
    for id in sorted(left.keys() & right.keys()):
        cluster = id if clusters is None else clusters.get(id, id)
        changes.setdefault(cluster, []).append(left[id] - right[id])
    return list(changes.values())


def mean_of_means(groups: Sequence[Sequence[float]], seed: int = 0) -> Estimate:
    """Estimate the mean of the groups' means, each group of the same weight whatever its size.

    The groups are fixed (nine benchmarks, say) and the items of each are a sample: every resample
    draws each group's items anew.
    """
    if not groups or not all(groups):
        return Estimate(None, None, None, 0)
    value = float(np.mean([np.mean(group) for group in groups]))
    n = sum(map(len, groups))
    if min(map(len, groups)) < 2:
        return Estimate(value, None, None, n)
    rng = np.random.default_rng(seed)
    resampled = np.mean([_resampled_means(np.asarray(group), rng) for group in groups], axis=0)
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Estimate(value, float(low), float(high), n)


def share(count: int, n: int) -> Estimate:
    """Estimate a share of independent items, with Wilson's (1927) score interval.

    Unlike a bootstrap or normal interval it has a width at 0 and 1 and never leaves [0, 1].
    """
    if n == 0:
        return Estimate(None, None, None, 0)
    p = count / n
    centre = p + _Z**2 / (2 * n)
    half = _Z * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
    scale = 1 + _Z**2 / n
    # At 0 and n the end is exact; only the rounding of the square root moves it.
    low = 0.0 if count == 0 else (centre - half) / scale
    high = 1.0 if count == n else (centre + half) / scale
    return Estimate(p, low, high, n)


def share_ratio(count: int, n: int, other_count: int, other_n: int) -> Estimate:
    """Estimate how many times as large one share is as an independent other, with Katz's interval.

    The interval is normal on the scale of logarithms (Katz et al. 1978). There is none where
    nothing was counted on one of the sides, nor a value where the other share is 0.
    """
    if not n or not other_count:
        return Estimate(None, None, None, n + other_n)
    times = (count / n) / (other_count / other_n)
    if not count:
        return Estimate(times, None, None, n + other_n)
    spread = _Z * math.sqrt(1 / count - 1 / n + 1 / other_count - 1 / other_n)
    return Estimate(times, times * math.exp(-spread), times * math.exp(spread), n + other_n)


def contrast(left: Sequence[float], right: Sequence[float], seed: int = 0) -> Estimate:
    """Estimate the mean of one group of items minus that of another, both resampled."""
    if not left or not right:
        return Estimate(None, None, None, 0)
    n = len(left) + len(right)
    value = float(np.mean(left) - np.mean(right))
    if min(len(left), len(right)) < 2:
        return Estimate(value, None, None, n)
    rng = np.random.default_rng(seed)
    resampled = [_resampled_means(np.asarray(group), rng) for group in (left, right)]
    low, high = np.percentile(resampled[0] - resampled[1], [2.5, 97.5])
    return Estimate(value, float(low), float(high), n)


def net_win(wins: int, ties: int, losses: int) -> Estimate:
    """Estimate the share of wins minus the share of losses, with a normal interval.

    The half width is 1.96 sqrt((win + loss - net^2) / n): an item is worth +1, 0 or -1. There is
    no interval where fewer than `LEAST_DECIDED` items are won or lost.
    """
    n = wins + ties + losses
    if n == 0:
        return Estimate(None, None, None, 0)
    net = (wins - losses) / n
    half = _Z * math.sqrt(((wins + losses) / n - net**2) / n)
    whole = Estimate(net, max(net - half, -1.0), min(net + half, 1.0), n)
    return _if_decided(whole, wins + losses)


def _if_decided(estimate: Estimate, decided: int) -> Estimate:
    """Take the interval away where too few items differ for it to mean anything."""
    return estimate if decided >= LEAST_DECIDED else estimate._replace(low=None, high=None)


def sign_test(wins: int, losses: int) -> float | None:
    """Compute the two-sided p of an exact sign test: are wins and losses equally likely?

    Ties say nothing about it and are left out (Dixon and Mood 1946). None without any win or loss.
    """
    n = wins + losses
    if n == 0:
        return None
    ways = tail = 1
    for k in range(min(wins, losses)):
        ways = ways * (n - k) // (k + 1)  # n over k + 1, exactly
        tail += ways
    return min(1.0, tail / (1 << (n - 1)))


def _resampled_means(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Resample a group's items; return `RESAMPLES` means.

    Few distinct values (right or wrong) are drawn by their counts, which is the same and does not
    take as long as there are items.
    """
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= _FEW:
        drawn = rng.multinomial(len(values), counts / len(values), size=RESAMPLES)
        return np.asarray(drawn @ distinct / len(values))
    return np.array(
        [values[rng.integers(len(values), size=len(values))].mean() for _ in range(RESAMPLES)]
    )


def _percentile_interval(sums: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """Resample clusters; `sums` has shape (clusters, 2): numerator and denominator.

    Many clusters of few kinds (thousands of right and wrong answers) are drawn by their counts,
    which is the same and does not take as long as there are clusters.
    """
    rng = np.random.default_rng(seed)
    clusters = len(sums)
    if clusters > _MANY:
        distinct, counts = np.unique(sums, axis=0, return_counts=True)
        if len(distinct) <= _FEW:
            times = rng.multinomial(clusters, counts / clusters, size=RESAMPLES)
            return _percentiles(times @ distinct[:, 0], times @ distinct[:, 1])
    block = max(1, _BLOCK // clusters)
    tops, bottoms = [], []
    for start in range(0, RESAMPLES, block):
        drawn = rng.integers(clusters, size=(min(block, RESAMPLES - start), clusters))
        tops.append(sums[drawn, 0].sum(axis=1))
        bottoms.append(sums[drawn, 1].sum(axis=1))
    return _percentiles(np.concatenate(tops), np.concatenate(bottoms))


def _percentiles(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> tuple[float, float]:
    there = bottom > 0
    low, high = np.percentile(top[there] / bottom[there], [2.5, 97.5])
    return float(low), float(high)
