import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.mt_bench.reading import (
    READERS,
    last_choice,
    last_rating,
    official_choice,
    official_rating,
)
from harness.data.files import read_table
from harness.records import Failure, Score
from tests.shared_data import shared


def value(outcome):
    return outcome.value if isinstance(outcome, Score) else outcome.reason


@pytest.mark.parametrize(
    ("text", "ours", "official"),
    [
        ("Rating: [[8]]", 8, 8),
        ("Rating: [[8.5]] out of ten", 8.5, 8.5),
        ("A [[10]] would name the year. Rating: [[7]]", 7, 10),
        ("Rating: [7]", 7, 7),
        ("as in [2] and [3]. Rating: [[9]]", 9, 9),
        ("x = a[0]; Rating: [6]", 6, 0),
        ("Rating: [[ 8 ]]", 8, "no_rating"),
        ("Rating: [[8/10]]", 8, "no_rating"),
        ("Rating: [[8.]]", "no_rating", 8),
        ("Rating: [[11]]", "out_of_range", 11),
        ("Rating: [[0]]", "out_of_range", 0),
        ("Rating: [[-3]]", "out_of_range", "no_rating"),
        ("first [[5]], then [[50]]", "out_of_range", 5),
        ("Rating: [[08]]", 8, "no_number"),
        (f"Rating: [[{'9' * 5000}]]", "out_of_range", "no_number"),
        (f"Rating: [[{'9' * 400}.0]]", "out_of_range", "no_number"),
        ("Rating: 8", "no_rating", "no_rating"),
        ("Rating: [[rating]]", "no_rating", "no_rating"),
        ("", "no_rating", "no_rating"),
    ],
)
def test_ratings(text, ours, official):
    assert value(last_rating(text)) == ours
    assert value(official_rating(text)) == official


@pytest.mark.parametrize(
    ("text", "ours", "official"),
    [
        ("[[A]]", 1, 1),
        ("[[B]]", 0, 0),
        ("[[C]]", 0.5, 0.5),
        ("I would choose [[A]], were it not wrong: [[B]]", 0, 1),
        ("[[B]], or rather [[A]]", 1, 1),
        ("[[C]], no: [[B]]", 0, 0),
        ("[[ B ]]", 0, "no_choice"),
        ("A is better", "no_choice", "no_choice"),
        ("[[D]]", "no_choice", "no_choice"),
    ],
)
def test_choices(text, ours, official):
    assert value(last_choice(text)) == ours
    assert value(official_choice(text)) == official


PROSE = st.text(st.characters(exclude_characters="[]"))
RATINGS = st.integers(2, 20).map(lambda half: half / 2)


@given(prose=PROSE, ratings=st.lists(RATINGS, min_size=1, max_size=4))
def test_the_last_rating_counts_and_officially_the_first(prose, ratings):
    text = prose.join(f" [[{rating:g}]] " for rating in ratings)
    assert last_rating(text) == Score(value=ratings[-1])
    assert official_rating(text) == Score(value=ratings[0])


@given(prose=PROSE, choices=st.lists(st.sampled_from("ABC"), min_size=1, max_size=4))
def test_the_last_choice_counts_and_officially_a_before_b_before_c(prose, choices):
    text = prose.join(f"[[{choice}]]" for choice in choices)
    worth = {"A": 1.0, "B": 0.0, "C": 0.5}
    assert last_choice(text) == Score(value=worth[choices[-1]])
    assert official_choice(text) == Score(value=worth[min(choices)])


@given(st.text(st.sampled_from("[[[[]]]]0123456789.ABC/ -+e\uff18\n")))
def test_any_text_is_read_or_fails_with_a_reason(text):
    for outcome in (last_rating(text), official_rating(text), last_choice(text)):
        assert isinstance(outcome, Failure) or outcome.value >= 0
    read = last_rating(text)
    assert isinstance(read, Failure) or 1 <= read.value <= 10
    assert isinstance(read, Score) or read.reason in ("no_rating", "out_of_range")


@pytest.mark.parametrize("name", ["medusa", "llama2"])
@pytest.mark.parametrize("rule", ["last", "official"])
def test_both_rules_give_the_stored_score_of_real_judgements(name, rule):
    file = shared(f"mt_bench/model_judgment/{name}_gpt-4_single.jsonl.gz")
    rows = read_table(str(file)).rows
    read = [READERS[rule].rating(row["judgment"]) for row in rows]
    assert len(rows) in (480, 800)
    assert [value(outcome) for outcome in read] == [row["score"] for row in rows]
