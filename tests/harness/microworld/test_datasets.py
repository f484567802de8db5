"""Rows are made from a seed, stay on their side of the split, and rank as a person would."""

import re

import pytest

from harness.microworld import datasets
from harness.microworld.examiner import examine
from harness.microworld.items import is_held_out, parse

SEED_ROWS = 200
EVERY = [
    datasets.demonstrations,
    datasets.ranked_groups,
    datasets.preferences,
    datasets.training_prompts,
    datasets.evaluation_prompts,
]
HELD_OUT = [datasets.preferences, datasets.evaluation_prompts]


def exact(group, response):
    return examine(parse(group.prompt), response.text).score


@pytest.mark.parametrize("make", EVERY)
def test_rows_are_those_of_the_seed(make):
    assert make(SEED_ROWS, seed=1) == make(SEED_ROWS, seed=1)
    assert make(SEED_ROWS, seed=1) != make(SEED_ROWS, seed=2)
    assert make(SEED_ROWS, seed=1)[:20] == make(20, seed=1)


@pytest.mark.parametrize("make", EVERY)
def test_rows_have_their_own_ids(make):
    rows = make(SEED_ROWS)
    assert len({row.id for row in rows}) == len(rows) == SEED_ROWS


@pytest.mark.parametrize("make", EVERY)
def test_rows_stay_on_their_side_of_the_split(make):
    for row in make(SEED_ROWS):
        assert is_held_out(parse(row.prompt)) == (make in HELD_OUT)


def test_there_are_as_many_preferences_as_the_recipe_asks_for():
    assert sum(group.pairs for group in datasets.preferences()) == pytest.approx(690, abs=60)


def test_groups_are_ranked_best_first_by_a_noisy_person():
    agree = pairs = 0
    for group in datasets.preferences():
        assert [response.rank for response in group.responses] == list(range(len(group.responses)))
        assert 2 <= len({response.text for response in group.responses}) <= 4
        scores = [response.score for response in group.responses]
        assert scores == sorted(scores, reverse=True)
        for better, worse in zip(group.responses, group.responses[1:], strict=False):
            difference = exact(group, better) - exact(group, worse)
            agree += difference > 0
            pairs += difference != 0
    assert 0.9 < agree / pairs < 1


def test_only_training_groups_have_verdicts():
    verdicts = [r.verdict for group in datasets.preferences() for r in group.responses]
    assert set(verdicts) == {None}
    for group in datasets.ranked_groups(SEED_ROWS):
        for response in group.responses:
            assert re.search(r", (with|no) detail\. Score: [0-5]$", response.verdict)


def test_annotators_seldom_err():
    groups = datasets.ranked_groups(SEED_ROWS)
    wrong = [
        int(response.verdict[-1]) != exact(group, response)
        for group in groups
        for response in group.responses
    ]
    assert 0.05 < sum(wrong) / len(wrong) < 0.25


def test_prompts_name_their_category():
    for row in datasets.evaluation_prompts(SEED_ROWS):
        assert row.category == parse(row.prompt).category
