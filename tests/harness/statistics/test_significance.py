import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.statistics.intervals import sign_test
from harness.statistics.significance import holm, sign_flip_test

SMALL = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=9)


def test_six_in_one_direction_are_the_least_that_counts():
    assert sign_flip_test([1.0] * 6) == pytest.approx(0.03125)
    assert sign_flip_test([1.0] * 5) == pytest.approx(0.0625)


def test_nothing_to_look_at_has_no_p_and_no_change_has_1():
    assert sign_flip_test([]) is None
    assert sign_flip_test([0.0, 0.0]) == 1


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_changes_of_one_size_are_a_sign_test(wins, ties, losses):
    changes = [0.5] * wins + [0.0] * ties + [-0.5] * losses
    if wins + losses:
        assert sign_flip_test(changes) == sign_test(wins, losses)


@settings(deadline=None)  # scipy's first call is slow
@given(SMALL)
def test_a_few_changes_are_scipys_exact_permutation_test(changes):
    moved = np.array([change for change in changes if change])
    if moved.size < 2:
        return  # scipy needs two
    expected = stats.permutation_test(
        (moved,), np.sum, permutation_type="samples", n_resamples=np.inf
    ).pvalue
    # scipy doubles the smaller tail; the null is symmetric, so both are the same.
    assert sign_flip_test(changes) == pytest.approx(min(1.0, expected), abs=1e-9)


def test_many_changes_are_drawn_and_the_seed_decides_the_draw():
    changes = list(np.random.default_rng(1).normal(0.15, 1, size=300))
    found = sign_flip_test(changes, seed=3)
    assert found == sign_flip_test(changes, seed=3)
    assert found == pytest.approx(stats.ttest_1samp(changes, 0).pvalue, abs=0.01)


def test_p_is_never_0_and_both_directions_are_alike():
    changes = list(np.random.default_rng(1).normal(5, 1, size=200))
    assert sign_flip_test(changes) == pytest.approx(1 / 20_001)
    assert sign_flip_test([-change for change in changes]) == sign_flip_test(changes)


def test_without_a_change_p_is_below_5_percent_about_that_often():
    found = [
        sign_flip_test(list(np.random.default_rng(trial).normal(size=40))) for trial in range(200)
    ]
    assert 0.02 <= np.mean([p < 0.05 for p in found]) <= 0.09


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))
    assert holm([]) == ()


@given(st.lists(st.floats(0, 1), max_size=30))
def test_holm_lies_between_no_correction_and_bonferroni(p_values):
    corrected = holm(p_values)
    for before, after in zip(p_values, corrected, strict=True):
        assert before <= after <= min(1.0, before * len(p_values)) + 1e-12
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert [corrected[k] for k in order] == sorted(corrected)
