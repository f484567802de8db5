import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.protocols import Completion, Step
from harness.reading import (
    expected_points,
    expected_score,
    identifier_probability,
    points_probabilities,
    read_better,
    read_identifier,
    read_points,
    read_ranking,
)
from harness.records import Failure, Score


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("Relevant and clear. Score: 4", 4),
        ("**Score:** 4/5", 4),
        ("**Score**: 0", 0),
        ("Score: 3.5", 3.5),
        ("Score: 5 out of 5.", 5),
        ("I first thought Score: 2, but on reflection\nScore: 4\n", 4),
        ("Score: 6", "out_of_range"),
        ("Score: -1", "out_of_range"),
        ("Score: 8/10", "wrong_scale"),
        ("Score: 3-4", "unclear_score"),
        ("Score: <total points>", "unclear_score"),
        ("Four points.", "no_score"),
        ("", "no_score"),
    ],
)
def test_points_are_read_or_failed(text, outcome):
    read = read_points(text)
    assert (read.value if isinstance(read, Score) else read.reason) == outcome


@given(st.text())
def test_any_text_is_read_without_a_guess(text):
    outcome = read_points(text)
    assert isinstance(outcome, Failure) or 0 <= outcome.value <= 5


@given(st.integers(0, 5), st.text())
def test_a_last_line_with_points_is_always_read(points, rationale):
    assert read_points(f"{rationale}\nScore: {points}") == Score(value=points)


def test_a_comparison_is_read():
    assert read_better("A is short. Better: B") == Score(value=0)
    assert read_better("Better: A\n... Better: **tie**") == Score(value=0.5)
    assert read_better("A is better. A good one.").reason == "no_verdict"


@pytest.mark.parametrize(
    "text",
    ["Better: a tie, I think", "Better: a more careful answer is B", "Better: A or B, hard to say"],
)
def test_prose_is_no_comparison(text):
    assert read_better(text).reason == "unclear_verdict"


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2}]", 1),
        ('```python\n[{"model": "model_2", "rank": 1}, {"model": "model_1", "rank": 2}]\n```', 0),
        ("[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 1}]", "unclear_verdict"),
        ("See [1].\n[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2}]\n[2]", 1),
        ("[{'model': 'model_1', 'rank': 1}]", "unclear_verdict"),
        ("[{'model': 'model_1'}]", "no_verdict"),
        ("[__import__('os').system('true')]", "no_verdict"),
        ("model_1 is better", "no_verdict"),
        ("", "no_verdict"),
    ],
)
def test_a_ranking_is_read_or_failed(text, outcome):
    read = read_ranking(text)
    assert (read.value if isinstance(read, Score) else read.reason) == outcome


@given(st.text(alphabet="[]{}'\"model_12:rank, \n"))
def test_any_list_is_read_without_a_guess(text):
    outcome = read_ranking(text)
    assert isinstance(outcome, Failure) or outcome.value in (0, 1)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [("m", 1), (" M\n", 0), ('"m"', 1), ("Model m", "no_verdict"), ("", "no_verdict")],
)
def test_an_identifier_is_read_or_failed(text, outcome):
    read = read_identifier(text)
    assert (read.value if isinstance(read, Score) else read.reason) == outcome


def test_the_identifiers_probability_is_over_both_identifiers():
    first = Step("M", (("M", math.log(0.6)), ("m", math.log(0.2)), ("The", math.log(0.2))))
    assert identifier_probability([first]).value == pytest.approx(0.25)
    assert identifier_probability([Step("M", (("M", -0.1),))]) == Score(value=0)
    unlikely = Step("x", (("x", 0.0), ("m", -9999.0), ("M", -9999.0)))
    assert identifier_probability([unlikely]) == Score(value=0.5)
    assert identifier_probability([Step("x", (("x", -0.1),))]).reason == "no_verdict"
    assert identifier_probability(None).reason == "no_logprobs"


def points(*tokens, alternatives):
    """A verdict whose last token has these alternatives."""
    steps = [Step(token, ((token, -0.1),)) for token in tokens[:-1]]
    last = Step(tokens[-1], tuple((text, math.log(p)) for text, p in alternatives.items()))
    return Completion("a", 0, "".join(tokens), steps=(*steps, last))


def test_expected_points_are_the_mean_under_the_judges_probabilities():
    said = points("Fine", ". Score", ":", " 4", alternatives={" 4": 0.5, " 2": 0.25, " 9": 0.25})
    assert expected_points(said).value == pytest.approx((4 * 0.5 + 2 * 0.25) / 0.75)
    assert points_probabilities(said) == pytest.approx({4: 0.5, 2: 0.25})
    twice = points("Score: 1\n", "Score: ", "5", alternatives={"5": 0.5, "5.": 0.1, "0": 0.4})
    assert expected_points(twice).value == pytest.approx(3.0)
    ended = replace(said, steps=(*said.steps, Step("<end>", (("<end>", 0.0),))))
    assert expected_points(ended) == expected_points(said)


@pytest.mark.parametrize("read", [read_points, read_better, read_ranking, read_identifier])
def test_a_failure_holds_a_text_to_look_at(read):
    assert read("").detail == read(" \n").detail == "nothing was written"
    assert read(f"{'long ' * 100}without a verdict").detail.endswith("without a verdict")


def test_expected_points_fail_where_the_verdict_does():
    assert expected_points(points("Fine", ".", alternatives={".": 1.0})).reason == "no_score"
    whole = points("Score: 4/5", alternatives={"Score: 4/5": 1.0})
    assert expected_points(whole).reason == "no_distribution"
    assert expected_points(Completion("a", 0, "Score: 4")).reason == "no_logprobs"
    refused = Failure(reason="refused")
    failed = Completion("a", 0, "", finish_reason="failed", failure=refused)
    assert expected_points(failed) is refused


def first(alternatives, **more):
    likely = tuple((text, math.log(p)) for text, p in alternatives.items())
    return Completion("a", 0, "", finish_reason="length", steps=(Step("?", likely),), **more)


def test_the_score_of_one_token_is_the_mean_of_all_points_by_their_probability():
    said = first({" 4": 0.5, " 2": 0.25, " 9": 0.1, " The": 0.05})
    assert expected_score(said).value == pytest.approx((4 * 0.5 + 2 * 0.25) / 0.75)
    assert expected_score(first({"0": 0.9, "1": 0.1}), lowest=1).reason == "no_distribution"


def test_one_token_that_is_likelier_to_be_something_else_is_a_failure():
    failed = expected_score(first({" The": 0.6, " 4": 0.3, " 2": 0.1}))
    assert failed.reason == "no_distribution"
    assert "40%" in failed.detail and "' The'" in failed.detail
    assert expected_score(first({" The": 1.0})).reason == "no_distribution"
    assert expected_score(Completion("a", 0, "4", finish_reason="length")).reason == "no_logprobs"
    refused = Failure(reason="refused")
    assert expected_score(first({" 4": 1.0}, failure=refused)) is refused
