import math

from hypothesis import given
from hypothesis import strategies as st

from reports.charts.scales import Scale, tick_label

values = st.lists(st.one_of(st.none(), st.floats()), max_size=6)


@given(values, st.integers(1, 8))
def test_every_value_has_a_place_and_ticks_lie_between_the_ends(found, most):
    for scale in (Scale.over(found, (0, 100)), Scale.around(found, (0, 100))):
        assert scale.low < scale.high
        for value in found:
            if value is not None and math.isfinite(value):
                assert 0 <= scale(value) <= 100
        ticks = scale.ticks(most)
        assert len(ticks) <= most
        assert all(scale.low <= tick <= scale.high for tick in ticks)
        assert all(len(tick_label(tick, ticks)) < 30 for tick in ticks)


def test_ticks_are_round():
    assert Scale(0.86, 3.8, 0, 100).ticks(4) == (1, 2, 3)
    assert Scale(0, 100, 0, 100).ticks(5) == (0, 25, 50, 75, 100)


def test_a_single_value_lies_in_the_middle():
    assert Scale.over([5.0, 5.0], (0, 100))(5.0) == 50


def test_zero_lies_in_the_middle_of_a_scale_around_it():
    scale = Scale.around([3.0, 12.0], (0, 100))
    assert scale(0) == 50


def test_tick_labels_tell_neighbours_apart():
    ticks = (0.0, 0.25, 0.5)
    assert [tick_label(tick, ticks) for tick in ticks] == ["0.00", "0.25", "0.50"]
    assert tick_label(20, (-20, 0, 20), signed=True) == "+20"
