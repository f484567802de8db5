from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.charts import svg


def test_coordinates_have_two_decimals_at_most():
    written = [svg.fixed(value) for value in (3, 4.125001, -0.001, 1e6, 2.50)]
    assert written == ["3", "4.13", "0", "1000000", "2.5"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_has_no_place(value):
    with pytest.raises(ValueError, match="no place"):
        svg.fixed(value)


@given(st.text())
def test_any_text_is_written_as_text(text: str):
    drawn = svg.words(0, 0, text, room=80)
    if drawn:
        [element] = ElementTree.fromstring(f"<svg>{drawn}</svg>")
        assert {child.tag for child in element} <= {"title"}


def test_what_does_not_fit_is_cut_and_whole_in_its_title():
    drawn = svg.words(0, 0, "a long name of a model", room=60)
    text = ElementTree.fromstring(drawn)
    assert (text.text or "").endswith("…")
    assert text[0].text == "a long name of a model"
    assert svg.width(text.text or "") <= 60


def test_marks_from_right_to_left_cannot_turn_a_name_round():
    assert "\u202e" not in svg.words(0, 0, "M\u202e1")
    assert "&lt;U+202E&gt;" in svg.words(0, 0, "M\u202e1")


def test_a_legend_that_does_not_fit_takes_more_lines():
    entries = [(svg.Ink("c0"), f"model {k}") for k in range(12)]
    _, one = svg.legend(entries[:2], 0, 640)
    _, more = svg.legend(entries, 0, 320)
    assert more > one == svg.LINE
