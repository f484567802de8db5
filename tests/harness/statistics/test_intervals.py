import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.statistics.intervals import (
    contrast,
    mean,
    mean_of_means,
    net_win,
    paired_difference,
    ratio,
    share,
    share_ratio,
    sign_test,
)

FIGURE_3 = [  # Yuan et al. (2024), Fig. 3: wins, ties, losses of 256; per cent; net and half width
    ("M1 v SFT", (78, 99, 79), (30.5, 38.7, 30.9), (-0.004, 0.096)),
    ("M2 v SFT", (126, 93, 37), (49.2, 36.3, 14.5), (0.348, 0.088)),
    ("M3 v SFT", (160, 71, 25), (62.5, 27.7, 9.8), (0.527, 0.082)),
    ("M2 v M1", (142, 84, 30), (55.5, 32.8, 11.7), (0.438, 0.085)),
    ("M3 v M2", (122, 102, 32), (47.7, 39.8, 12.5), (0.352, 0.085)),
    ("M3 v M1", (176, 58, 22), (68.8, 22.7, 8.6), (0.602, 0.079)),
]


@pytest.mark.parametrize(
    ("counts", "per_cent", "net"), [row[1:] for row in FIGURE_3], ids=[row[0] for row in FIGURE_3]
)
def test_head_to_head_of_the_paper(counts, per_cent, net):
    assert sum(counts) == 256
    for count, expected in zip(counts, per_cent, strict=True):
        assert 100 * share(count, 256).value == pytest.approx(expected, abs=0.05)
    estimate = net_win(*counts)
    assert estimate.n == 256
    assert estimate.value == pytest.approx(net[0], abs=0.00051)
    assert (estimate.high - estimate.low) / 2 == pytest.approx(net[1], abs=0.0005)


@pytest.mark.parametrize(
    ("wins", "losses", "p"), [(14, 23, 0.1877), (28, 10, 0.0051), (33, 9, 0.00027)]
)
def test_human_evaluation_of_the_paper(wins, losses, p):
    assert sign_test(wins, losses) == pytest.approx(p, rel=0.01)


@given(st.integers(0, 400), st.integers(0, 400))
def test_sign_test_is_scipys(wins, losses):
    if wins + losses == 0:
        assert sign_test(wins, losses) is None
    else:
        expected = stats.binomtest(wins, wins + losses).pvalue
        assert sign_test(wins, losses) == pytest.approx(expected, rel=1e-9)


def test_a_sign_test_of_very_many_items_is_exact_and_done_at_once():
    expected = stats.binomtest(24_700, 50_000).pvalue
    assert sign_test(24_700, 25_300) == pytest.approx(expected, rel=1e-9)


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_share_interval_is_scipys_wilson(counts):
    count, n = counts
    expected = stats.binomtest(count, n).proportion_ci(0.95, method="wilson")
    estimate = share(count, n)
    assert estimate.low == pytest.approx(expected.low, abs=1e-4)  # 1.96 for 1.959964
    assert estimate.high == pytest.approx(expected.high, abs=1e-4)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_net_win_stays_in_its_range():
    assert net_win(29, 0, 1).high == 1
    assert net_win(1, 0, 29).low == -1


def test_nothing_is_not_a_number():
    nothing = (None, None, None, 0)
    assert mean([]) == nothing
    assert ratio([], []) == nothing
    assert ratio([0.0, 0.0], [0, 0]) == nothing
    assert share(0, 0) == nothing
    assert net_win(0, 0, 0) == nothing
    assert paired_difference({"a": 1.0}, {"b": 1.0}) == nothing


def test_one_cluster_has_a_value_but_no_interval():
    assert ratio([3.0], [4]) == (0.75, None, None, 4)
    assert ratio([3.0, 0.0, 0.0], [4, 0, 0]) == (0.75, None, None, 4)


def test_mean_interval_is_scipys_bootstrap():
    values = np.random.default_rng(1).gamma(2.0, size=200)
    expected = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=5000, rng=np.random.default_rng(2)
    ).confidence_interval
    estimate = mean(list(values))
    assert estimate.value == pytest.approx(values.mean())
    width = expected.high - expected.low
    assert estimate.low == pytest.approx(expected.low, abs=0.05 * width)
    assert estimate.high == pytest.approx(expected.high, abs=0.05 * width)


def test_clusters_widen_the_interval_of_items_that_agree():
    rng = np.random.default_rng(3)
    of_cluster = rng.integers(0, 2, size=100)
    items = np.repeat(of_cluster, 9)
    as_items = mean(list(items))
    as_clusters = ratio(9 * of_cluster, np.full(100, 9))
    assert as_clusters.value == as_items.value
    widened = (as_clusters.high - as_clusters.low) / (as_items.high - as_items.low)
    assert widened == pytest.approx(3, rel=0.15)  # the square root of the cluster size


def test_interval_covers_the_truth_about_as_often_as_it_says():
    covered = 0
    for trial in range(200):
        rng = np.random.default_rng(trial)
        sizes = rng.integers(1, 6, size=60)
        right = rng.binomial(sizes, rng.beta(6, 2, size=60))
        estimate = ratio(right, sizes, seed=trial)
        covered += estimate.low <= 0.75 <= estimate.high
    assert 0.90 <= covered / 200 <= 0.985


def test_resamples_without_anything_to_divide_by_are_left_out():
    assert ratio([1.0, 1.0, 0.0, 0.0], [2, 2, 0, 0]) == (0.5, 0.5, 0.5, 4)


def test_the_seed_decides_the_resamples():
    values = list(np.random.default_rng(5).normal(size=50))
    assert mean(values, seed=1) == mean(values, seed=1)
    assert mean(values, seed=1) != mean(values, seed=2)


def test_large_data_are_resampled_in_blocks():
    values = np.random.default_rng(6).normal(size=5_000)
    estimate = mean(list(values))
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert (estimate.high - estimate.low) / 2 == pytest.approx(half, rel=0.1)


def test_pairing_takes_out_what_makes_items_hard():
    rng = np.random.default_rng(7)
    hard = rng.normal(scale=3, size=100)
    old = {str(k): float(x) for k, x in enumerate(hard)}
    new = {str(k): float(x + 0.5 + rng.normal(scale=0.1)) for k, x in enumerate(hard)}
    new["only here"] = 1e9
    estimate = paired_difference(new, old)
    assert estimate.n == 100
    assert estimate.value == pytest.approx(0.5, abs=0.05)
    assert estimate.high - estimate.low < 0.1


def test_an_estimate_is_written_down_as_a_metric():
    metric = share(3, 4).metric("win", failed=2, against="M1")
    assert (metric.name, metric.value, metric.n, metric.failed, metric.against) == (
        "win", 0.75, 4, 2, "M1",
    )  # fmt: skip
    assert metric.low < 0.75 < metric.high


def test_groups_weigh_the_same_whatever_their_size():
    groups = [[1.0] * 90 + [0.0] * 10, [0.0, 1.0, 1.0, 0.0]]
    found = mean_of_means(groups)
    assert found.value == pytest.approx((0.9 + 0.5) / 2)
    assert found.n == 104
    # The variance of a mean of two independent means.
    spread = math.sqrt((0.09 / 100 + 0.25 / 4) / 4)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * spread, rel=0.1)
    many = [[k / 100 for k in range(100)], groups[1]]  # more values than are drawn by counts
    assert mean_of_means(many).value == pytest.approx((0.495 + 0.5) / 2)


def test_a_group_without_items_leaves_no_mean_of_all():
    assert mean_of_means([[1.0], []]).value is None
    assert mean_of_means([]).value is None
    alone = mean_of_means([[1.0], [0.0, 1.0]])
    assert alone.value == 0.75
    assert alone.low is None


@given(st.integers(1, 80), st.integers(80, 200), st.integers(1, 80), st.integers(80, 200))
def test_the_ratio_of_two_shares_is_scipys(count, n, other_count, other_n):
    estimate = share_ratio(count, n, other_count, other_n)
    expected = stats.contingency.relative_risk(count, n, other_count, other_n)
    ends = expected.confidence_interval(0.95)
    assert estimate.value == pytest.approx(expected.relative_risk)
    assert (estimate.low, estimate.high) == pytest.approx((ends.low, ends.high), rel=1e-4)


def test_a_share_of_nothing_has_no_ratio():
    assert share_ratio(3, 10, 0, 10) == (None, None, None, 20)
    assert share_ratio(0, 10, 3, 10) == (0, None, None, 20)
    assert share_ratio(0, 0, 3, 10).value is None


def test_a_contrast_is_the_difference_of_two_means():
    rng = np.random.default_rng(5)
    left, right = rng.normal(1, 1, size=60), rng.normal(0, 1, size=40)
    estimate = contrast(list(left), list(right))
    expected = stats.ttest_ind(left, right, equal_var=False).confidence_interval(0.95)
    assert estimate.value == pytest.approx(left.mean() - right.mean())
    assert estimate.low == pytest.approx(expected.low, abs=0.08)
    assert estimate.high == pytest.approx(expected.high, abs=0.08)
    assert contrast([1.0], [2.0, 3.0]) == (-1.5, None, None, 3)
    assert contrast([], [2.0]).value is None
