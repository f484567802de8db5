"""The examiner is exact on what it knows, and at ease with what it does not."""

import time
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.microworld.answers import MIXED, PERFECT, write_answer
from harness.microworld.examiner import Marks, examine
from harness.microworld.items import draw, parse

DRAWS = 3_000
DOG = "What sound does the dog make?"
SUM = "What is 3 plus 4?"
LIST = "What is reverse of [ dog , cat , cow ] ?"
BIGGER = "Which is bigger, the dog or the bear?"


def test_gold_answers_always_score_five():
    rng = Random(0)
    for _ in range(DRAWS):
        item = draw(rng)
        assert examine(item, write_answer(item, PERFECT, rng)).score == 5


def test_a_wrong_value_never_earns_right():
    rng = Random(1)
    for _ in range(DRAWS):
        item = draw(rng)
        wanted = replace(MIXED.draw(rng), attempt=True, right=False)
        marks = examine(item, write_answer(item, wanted, rng))
        assert marks.attempt and not marks.right


def test_marks_are_what_was_wanted():
    rng = Random(2)
    for _ in range(DRAWS):
        item = draw(rng)
        wanted = MIXED.draw(rng)
        marks = examine(item, write_answer(item, wanted, rng))
        assert marks.attempt == wanted.attempt
        assert marks.right == wanted.right
        assert marks.clear == wanted.clear
        assert marks.detail == (wanted.detail == "true")
        assert marks.topic or not wanted.topic  # a detail can name the topic, too


@pytest.mark.parametrize(
    ("prompt", "answer", "marks"),
    [
        (DOG, "The dog barks. The dog eats meat.", (1, 1, 1, 1, 1)),
        (DOG, "  The dog   barks.\nThe dog eats meat. ", (1, 1, 1, 1, 1)),
        (DOG, "It barks.", (0, 1, 1, 1, 0)),
        (DOG, "The dog moos.", (1, 1, 0, 1, 0)),
        (DOG, "the dog barks", (1, 1, 1, 0, 0)),
        (DOG, "barks dog . The dog eats grass.", (1, 1, 1, 0, 0)),
        (DOG, "The dog barks and moos.", (1, 1, 0, 1, 0)),
        (DOG, "I am not sure about dog. The dog eats meat.", (1, 0, 0, 1, 1)),
        (DOG, "The dog eats meat. The dog barks.", (1, 0, 0, 1, 0)),
        (DOG, "The hotdog BARKS!", (0, 1, 1, 0, 0)),
        (DOG, "", (0, 0, 0, 0, 0)),
        (DOG, ". . .", (0, 0, 0, 0, 0)),
        (SUM, "The sum of 3 and 4 is 7. Start at 3 and count 4 up.", (1, 1, 1, 1, 1)),
        (SUM, "the sum of 3 and 4 is 7", (1, 1, 1, 0, 0)),
        (SUM, "The sum of 3 and 4 is 17.", (1, 1, 0, 1, 0)),
        (SUM, "The sum of 3 and 5 is 7.", (1, 1, 0, 0, 0)),
        (SUM, "sum 7", (1, 1, 1, 0, 0)),
        (LIST, "The reverse is cow cat dog. The list ends with cow.", (1, 1, 1, 1, 1)),
        (LIST, "It gives cow cat dog pig.", (0, 1, 0, 1, 0)),
        (LIST, "cow , cat , dog", (0, 1, 1, 0, 0)),
        (LIST, "The reverse is cow.", (1, 0, 0, 1, 0)),
        (BIGGER, "The bear is bigger than the dog.", (1, 1, 1, 1, 0)),
        (BIGGER, "The dog is bigger than the bear.", (1, 1, 0, 1, 0)),
        (BIGGER, "bear dog", (0, 1, 0, 0, 0)),
        (BIGGER, "It is the bear. The dog is smaller than the bear.", (0, 1, 1, 1, 1)),
    ],
)
def test_marks_of(prompt, answer, marks):
    assert examine(parse(prompt), answer) == Marks(*map(bool, marks))


def test_the_score_counts_the_marks():
    assert Marks(True, True, False, True, False).score == 3


@given(st.integers(), st.text())
def test_any_text_can_be_examined(seed, text):
    marks = examine(draw(Random(seed)), text)
    assert 0 <= marks.score <= 5
    assert not marks.right or marks.attempt


@pytest.mark.parametrize(
    "piece", ["a", "dog ", "cow cat ", ".", "The dog ", "is 7 ", "\u0130\n", " "]
)
def test_long_texts_take_linear_time(piece):
    began = time.perf_counter()
    for prompt in (DOG, SUM, LIST, BIGGER):
        examine(parse(prompt), piece * (200_000 // len(piece)))
    assert time.perf_counter() - began < 2
