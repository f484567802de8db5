"""The forms, by plain values: whatever these are, a drawing is sound or is not there."""

from pathlib import Path
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from reports.charts import svg
from reports.charts.curves import MOST_POINTS, Curve, CurvePanel, curves, thinned
from reports.charts.histograms import Histogram, histograms
from reports.charts.ink import Ink, inks
from reports.charts.panels import Line, Panel, Place, panels
from reports.charts.points import Axes, Point, plane
from reports.charts.rows import Dot, Group, Row, rows
from reports.charts.stacks import Bar, Part, stacks
from reports.evidence import Evidence
from tests.reports.charts.soundness import sound, texts, titles

GOLDEN = Path(__file__).parent / "golden" / "small.svg"
number = st.one_of(st.none(), st.floats())
widths = st.sampled_from([svg.WIDTH, svg.NARROW])
estimates = st.lists(st.tuples(st.text(max_size=12), number, number, number), max_size=5)


def test_the_small_drawing_is_the_golden_one():
    """Where the difference is wanted, write the new text to golden/small.svg."""
    bar = Bar("M2 vs M1", (Part("wins", 142, "better"), Part("ties", 84, "neutral")), "net win +1")
    chart = stacks("small", "A small one", [("", [bar])], alt="142 wins, 84 ties.")
    assert chart is not None
    sound(chart)
    assert chart.svg + "\n" == GOLDEN.read_text(encoding="utf-8")


@given(estimates, st.booleans(), widths)
def test_panels_draw_any_values(found, hollow, width):
    places = tuple(Place(*one, n=3) for one in found)
    lines = (Line("one", places), Line("other", places, hollow))
    panel = Panel("<b>", "unit", lines, reference=(0.5, "chance"), steps={"a": "better"})
    chart = panels("x", "t", [panel], inks([place.name for place in places]), width=width)
    assert (chart is None) == (not any(place.there for place in places))
    if chart is not None:
        sound(chart)


@given(estimates, st.booleans(), st.booleans(), widths)
def test_rows_draw_any_values(found, joined, centred, width):
    dots = tuple(Dot(name, value, Ink("c1"), low, high) for name, value, low, high in found)
    group = Group((Row("<b>", dots, "1", joined=joined),), "t", "u", (0.0, "zero"), True, centred)
    chart = rows("x", "t", [group], alt="a", width=width)
    assert (chart is None) == (not any(dot.there for dot in dots))
    if chart is not None:
        sound(chart)


@given(st.lists(st.tuples(st.floats(), st.floats(), number, number), max_size=5), st.booleans())
def test_planes_draw_any_values(found, measured):
    points = [Point(x, y, Ink("c2"), "<b>", "p", low, high) for x, y, low, high in found]
    axes = Axes("x", "y") if measured else None
    chart = plane("x", "t", points, alt="a", axes=axes, paths=[points])
    assert (chart is None) == (not any(point.there for point in points))
    if chart is not None:
        sound(chart)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(), st.floats()), max_size=300))
def test_curves_draw_any_values(points):
    panel = CurvePanel("loss", (Curve("M1", tuple(points)),), (0.5, "chance"))
    chart = curves("x", "t", [panel], inks(["M1"]))
    if chart is not None:
        sound(chart)


def test_a_long_curve_is_averaged_and_keeps_its_mean():
    points = [(float(k), float(k % 2)) for k in range(1200)]
    found = thinned(points)
    assert len(found) == MOST_POINTS
    assert {y for _, y in found} == {0.5}


def test_every_mark_says_its_estimate_to_a_pointer():
    place = Place("M2", 63.3, 56.7, 69.6, 120)
    chart = panels("x", "t", [Panel("p", "u", (Line("", (place,)),))], inks(["M2"]))
    assert chart is not None
    assert "M2: 63.3 [56.7, 69.6], n 120" in titles(chart)


def test_what_is_missing_is_said_and_never_drawn_as_a_number():
    places = (Place("M0", None, missing="not run"), Place("M1", 2.0), Place("M2", None))
    chart = panels("x", "t", [Panel("p", "u", (Line("", places),))], inks(["M0", "M1", "M2"]))
    assert chart is not None
    written = texts(chart)
    assert written[written.index("M0") :] == ["M0", "not", "run", "M1", "2.00", "M2", "no", "score"]
    row = Row("r", (Dot("M0", None, Ink("c0"), missing="not run"), Dot("M1", 1.0, Ink("c1"))))
    drawn = rows("x", "t", [Group((row,))], alt="a")
    assert drawn is not None
    assert "M0: not run" in texts(drawn)


def test_every_evidence_has_a_mark_and_a_word():
    steps = dict(zip("abcdef", get_args(Evidence), strict=True))
    places = tuple(Place(name, 1.0) for name in steps)
    chart = panels("x", "t", [Panel("p", "u", (Line("", places),), steps=steps)], inks([*steps]))
    assert chart is not None
    sound(chart)
    assert {"better than the one before", "not after correction"} <= set(texts(chart))


def test_a_baseline_stands_beside_the_line():
    places = tuple(Place(name, value) for name, value in (("M0", 1.0), ("SFT", 9.0), ("M1", 2.0)))
    joined = Panel("p", "u", (Line("", places),))
    apart = Panel("p", "u", (Line("", places),), frozenset({"SFT"}))
    found = [panels("x", "t", [panel], inks(["M0", "SFT", "M1"])) for panel in (joined, apart)]
    lines = [chart.svg.count("L") for chart in found if chart is not None]
    assert lines[0] == lines[1] + 1


def test_bars_that_hold_nothing_are_not_drawn():
    assert stacks("x", "t", [("", [Bar("a", ())])], alt="") is None
    assert histograms("x", "t", [Histogram("h", {}, Ink("c0"))]) is None


def test_a_share_that_is_not_all_is_not_written_as_all():
    chart = histograms("x", "t", [Histogram("h", {1: 1, 2: 999}, Ink("c0"))])
    assert chart is not None
    assert {"<1%", ">99%"} <= set(texts(chart))
