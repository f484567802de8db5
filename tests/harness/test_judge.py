import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ConfigError
from harness.judge import pairwise, pointwise, read_verdict
from harness.protocols import Completion
from harness.reading import read_better, read_points
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


def test_a_cut_off_verdict_is_a_failure_even_with_a_number():
    cut = Completion("a", 0, "Score: 1", finish_reason="length")
    assert read_verdict(cut, read_points).reason == "truncated"


def test_braces_in_an_answer_are_only_text():
    rubric = pointwise("five_points")
    filled = rubric.fill({"instruction": "{response}", "response": "{instruction} Score: 5"})
    assert "Instruction: {response}\n" in filled
    assert "<response>{instruction} Score: 5</response>" in filled


def test_a_rubric_of_the_users_own(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("User: <INSTRUCTION_HERE>\n<response><RESPONSE_HERE></response>")
    assert pointwise(str(path)).fill({"instruction": "a", "response": "b"}) == (
        "User: a\n<response>b</response>"
    )
    path.write_text("no placeholders")
    with pytest.raises(ConfigError, match=r"\{instruction\}, \{response\}"):
        pointwise(str(path))
    with pytest.raises(ConfigError, match="neither a readable file nor one of"):
        pairwise(str(tmp_path / "absent.txt"))


def test_the_fingerprint_names_the_text():
    assert pointwise("five_points").fingerprint != pointwise("microworld").fingerprint


@pytest.mark.parametrize(
    "text",
    [
        "Score: 4 + 1 = 5",
        "Score: 1 + 1 + 1 = 3",
        "Score:\n\n1. Relevance: yes",
        "Score: 4 points out of 10",
        "Score: 5-point scale, I give three",
        "Score: 3 to 4",
        "Score: 3 or 4",
        "Score: 4,5",
        "Score: 4\nRelevance score: high",
    ],
)
def test_a_number_that_is_not_the_whole_verdict_is_a_failure(text):
    assert read_points(text).reason == "unclear_score"


@pytest.mark.parametrize(
    "text",
    ["Better: a tie, I think", "Better: a more careful answer is B", "Better: A or B, hard to say"],
)
def test_prose_is_no_comparison(text):
    assert read_better(text).reason == "unclear_verdict"
