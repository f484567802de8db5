"""A question can be read back from its prompt, and nothing else can."""

import itertools
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.microworld import facts
from harness.microworld.families import FAMILIES
from harness.microworld.items import draw, is_held_out, parse
from harness.microworld.question import CATEGORIES

DRAWS = 3_000


def test_a_prompt_determines_its_item():
    rng = Random(0)
    for _ in range(DRAWS):
        item = draw(rng)
        assert parse(item.prompt) == item


def test_every_phrasing_is_understood():
    rng = Random(1)
    phrasings = {(family.category, prompt) for family in FAMILIES for prompt in family.prompts}
    assert len(phrasings) == sum(len(family.prompts) for family in FAMILIES)
    for family in FAMILIES:
        item = family.draw_item(rng)
        assert item.category == family.category
        assert parse(item.prompt) == item


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "What sound does the dragon make?",
        "What sound does the dog make",
        "what sound does the dog make?",
        "What sound does the dog make? Why?",
        "What is the capital of Atlantis?",
        "Which is bigger, the dog or the dog?",
        "What is 3 minus 4?",
        "What is 11 plus 1?",
        "What is first of [ dog , dog ] ?",
        "What is first of [ dog ] ?",
        "Anna is taller than Tom. Tom is taller than Anna. Who is tallest?",
        "Anna is taller than Tom. Tom is taller than Ben. Who is oldest?",
        "Anna is taller than Tom. Ben is taller than Leo. Who is tallest?",
        "Text: Anna has two red hats in the park. How many cups does Anna have?",
        "Text: Anna has two red hats in the park. How many hats does Tom have?",
        "Write a poem in the style of Homer.",
    ],
)
def test_a_prompt_outside_the_world_is_no_item(prompt):
    assert parse(prompt) is None


@given(st.text())
def test_any_text_can_be_parsed(text):
    item = parse(text)
    assert item is None or item.prompt == text


def test_categories_are_drawn_equally():
    rng = Random(2)
    counts = Counter(draw(rng).category for _ in range(DRAWS))
    assert set(counts) == set(CATEGORIES)
    assert max(counts.values()) < 1.4 * min(counts.values())


def test_a_seventh_of_the_facts_is_held_out():
    rng = Random(3)
    share = sum(is_held_out(draw(rng)) for _ in range(DRAWS)) / DRAWS
    assert 0.11 < share < 0.18


@pytest.mark.parametrize("held_out", [True, False])
def test_draw_keeps_to_its_side(held_out):
    rng = Random(4)
    assert all(is_held_out(draw(rng, held_out=held_out)) == held_out for _ in range(200))


def test_all_phrasings_of_a_fact_share_its_key():
    assert parse("What is 3 plus 5?").key == parse("Add 3 and 5.").key
    word_problem = "Anna has 3 apples and gets 5 more. How many apples are there?"
    assert parse("What is 3 plus 5?").key == parse(word_problem).key
    bigger = ["Which is bigger, the dog or the bee?", "The bee and the dog: which one is bigger?"]
    assert len({parse(prompt).key for prompt in bigger}) == 1
    chain = ["Anna is older than Tom.", "Tom is older than Ben."]
    orders = {parse(f"{a} {b} Who is oldest?").key for a, b in itertools.permutations(chain)}
    assert len(orders) == 1


def test_an_item_is_sound():
    rng = Random(5)
    for _ in range(DRAWS):
        item = draw(rng)
        assert item.value in item.values
        assert len(set(item.values)) == len(item.values) > 1
        assert item.details and item.false_details
        assert not set(item.details) & set(item.false_details)


def test_sizes_are_those_of_the_animals():
    assert sorted(facts.SMALL_TO_BIG) == sorted(facts.ANIMALS)
