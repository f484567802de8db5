import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.blocks import Figure
from reports.figures import number, visible


@pytest.mark.parametrize(
    ("value", "places", "signed", "text"),
    [
        (0.4375, 3, True, "+0.438"),
        (-0.0001, 2, True, "0.00"),
        (-0.0001, 2, False, "0.00"),
        (1234.5, 1, False, "1,234.5"),
        (float("nan"), 2, False, "not finite"),
    ],
)
def test_numbers(value, places, signed, text):
    assert number(value, places, signed=signed) == text


def test_short_intervals_lose_only_leading_zeros():
    figure = Figure(0.1, -0.05, 10.25, places=2, signed=True)
    assert figure.short_interval == "-.05\N{EN DASH}+10.25"
    assert Figure(0.1).short_interval == ""


def test_invisible_characters_are_shown():
    assert visible("a\x1b[2Jb\nc\u202ed\x7f\td") == "a␛[2Jb ⏎ c<U+202E>d<U+007F> d"
    assert visible("क\u094dष\u200d👩") == "क\u094dष\u200d👩", "joiners are part of writing"


def test_long_texts_are_cut_with_what_is_left():
    assert visible("x" * 1_000_000, longest=4) == "xxxx … (999,996 more characters)"


@given(st.text())
def test_whatever_is_shown_can_be_printed_in_one_line(text):
    shown = visible(text)
    shown.encode()
    assert all(c.isprintable() or c in "\u200c\u200d" for c in shown)
    assert len(shown.splitlines()) <= 1
