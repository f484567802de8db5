import pytest
from scipy import stats

from harness.statistics.repeats import over_repeats, student_factor


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 10, 29, 100])
def test_students_factor_is_scipys(freedom):
    assert student_factor(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-12)


def test_the_interval_is_students():
    values = [3.22, 3.31, 3.26, 3.4]
    found = over_repeats(values)
    low, high = stats.t.interval(0.95, 3, loc=found.value, scale=stats.sem(values))
    assert found.value == pytest.approx(3.2975)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.error == pytest.approx(stats.sem(values))


def test_two_repeats_have_a_spread_and_no_interval():
    found = over_repeats([1.0, 2.0])
    assert (found.value, found.low, found.high, found.n) == (1.5, None, None, 2)
    assert found.deviation == pytest.approx(0.5**0.5)


def test_equal_repeats_have_no_interval():
    found = over_repeats([0.1, 0.1, 0.1])
    assert (found.deviation, found.low) == (pytest.approx(0.0), None)


def test_one_or_none_have_no_spread():
    assert over_repeats([2.0]) == (2.0, None, None, None, 1)
    assert over_repeats([2.0]).error is None
    assert over_repeats([]) == (None, None, None, None, 0)
