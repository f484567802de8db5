"""Answers have the wanted quality, and verdicts say it in fixed words."""

from collections import Counter
from random import Random

import pytest

from harness.microworld.answers import GOOD, MIXED, PERFECT, remarks, verdict, write_answer
from harness.microworld.examiner import Marks, examine
from harness.microworld.items import draw


def scores(quality, count=3_000):
    rng = Random(0)
    items = [draw(rng) for _ in range(count)]
    return [examine(item, write_answer(item, quality.draw(rng), rng)).score for item in items]


def test_demonstrations_leave_room():
    found = scores(GOOD)
    assert sum(found) / len(found) == pytest.approx(3.36, abs=0.1)


def test_answers_to_judge_spread_over_all_scores():
    counts = Counter(scores(MIXED))
    assert set(counts) == set(range(6))
    assert max(counts.values()) < 0.4 * sum(counts.values())


def test_a_verdict_gives_reasons_before_the_score():
    everything = Marks(True, True, True, True, True)
    assert verdict(everything) == ("on topic, gives an answer, right, clear, with detail. Score: 5")
    nothing = Marks(False, False, False, False, False)
    assert verdict(nothing) == ("off topic, gives no answer, wrong, not clear, no detail. Score: 0")


def test_remarks_name_the_five_criteria_in_order():
    assert remarks(Marks(True, True, False, True, False)) == (
        "on topic", "gives an answer", "wrong", "clear", "no detail",
    )  # fmt: skip


def test_the_same_seed_writes_the_same_answer():
    item = draw(Random(1))
    assert write_answer(item, PERFECT, Random(2)) == write_answer(item, PERFECT, Random(2))
