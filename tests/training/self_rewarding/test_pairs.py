"""Best against worst: what may never become a preference, and that nothing is lost."""

from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.records import Score
from tests.training.self_rewarding.scripts import judged
from training.self_rewarding.pairs import Judged, choose_pairs

# Quarters, so that means which differ at all differ in floating point too.
POINTS = st.one_of(st.none(), st.integers(0, 5).map(float), st.integers(0, 20).map(lambda n: n / 4))
Points = list[float | None]


def as_judged(rows: list[tuple[str, Points, bool]]) -> list[Judged]:
    """Identical texts share their verdicts, as `judging` has it."""
    given: dict[str, Points] = {}
    return [judged(text, *given.setdefault(text, pts), ended=ended) for text, pts, ended in rows]


CANDIDATES = st.lists(
    st.tuples(st.text(alphabet="ab", max_size=2), st.lists(POINTS, max_size=3), st.booleans()),
    max_size=5,
).map(as_judged)


def exact_mean(row: Judged) -> Fraction | None:
    values = [Fraction(v.value) for v in row.verdicts if isinstance(v, Score)]
    return sum(values, Fraction()) / len(values) if values else None


@given(rounds=st.lists(CANDIDATES, max_size=6))
def test_a_pair_is_the_best_and_the_worst_that_ended_and_could_be_judged(
    rounds: list[list[Judged]],
) -> None:
    pairing = choose_pairs([(str(place), rows) for place, rows in enumerate(rounds)])
    assert len(rounds) == len(pairing.pairs) + sum(pairing.without.values())
    assert len({pair.prompt for pair in pairing.pairs}) == len(pairing.pairs)
    for pair in pairing.pairs:
        rows = rounds[int(pair.prompt)]
        part = {id(r.candidate): exact_mean(r) for r in rows if r.candidate.ended}
        means = [mean for mean in part.values() if mean is not None]
        assert part[id(pair.chosen)] == max(means)
        assert part[id(pair.rejected)] == min(means)
        assert pair.chosen_score > pair.rejected_score
        assert pair.chosen_score == float(max(means)), "never rounded"
        assert pair.rejected_score == float(min(means))
        assert pair.chosen.text != pair.rejected.text


@given(rows=CANDIDATES, seed=st.integers(0, 99))
def test_the_order_of_candidates_matters_only_among_equals(rows: list[Judged], seed: int) -> None:
    shuffled = Random(seed).sample(rows, len(rows))
    one, other = choose_pairs([("p", rows)]), choose_pairs([("p", shuffled)])
    scores = [row.score for row in rows if row.candidate.ended and row.score is not None]
    if scores.count(max(scores, default=0)) == 1 == scores.count(min(scores, default=0)):
        assert one == other
    elif one.pairs and other.pairs:
        assert one.pairs[0].chosen_score == other.pairs[0].chosen_score
        assert one.pairs[0].rejected_score == other.pairs[0].rejected_score


def test_among_equals_the_first_drawn_is_taken() -> None:
    rows = [judged("a", 5), judged("b", 1), judged("c", 5), judged("d", 1)]
    [pair] = choose_pairs([("p", rows)]).pairs
    assert (pair.chosen.text, pair.rejected.text) == ("a", "b")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([judged("a", 4), judged("b", None), judged("c")], "unreadable"),
        ([judged("a", None), judged("a", None)], "unreadable"),
        ([judged("a", 4), judged("b", None), judged("c", 1, ended=False)], "unreadable"),
        ([judged("a", 4), judged("b", 0, ended=False)], "not_ended"),
        ([judged("a", None), judged("b", ended=False), judged("c", ended=False)], "not_ended"),
        ([judged("a", 4)], "not_ended"),
        ([], "not_ended"),
        ([judged("a", 3), judged("b", 3)], "tie"),
        ([judged("a", 3), judged("a", 3), judged("b", 3)], "tie"),
        ([judged("a", 5, 3), judged("b", 4, 4), judged("c", None, 4)], "tie"),
        ([judged("a", 0.1, 0.2, 0.3), judged("b", 0.3, 0.2, 0.1)], "tie"),
        ([judged("a", 4.1), judged("b", 4.1, 4.1, 4.1)], "tie"),
        ([judged("a", 5), judged("a", 1)], "identical"),
        ([judged("a", 3), judged("a", 3)], "identical"),
        ([judged("a", 3), judged("a", 3), judged("b", None)], "identical"),
        ([judged("a", 3), judged("a", 3), judged("b", 1, ended=False)], "identical"),
    ],
)
def test_what_gives_no_pair_is_counted_and_stops_no_other(rows: list[Judged], reason: str) -> None:
    good = [judged("a", 4), judged("b", 3)]
    pairing = choose_pairs([("1", good), ("2", rows), ("3", good)])
    assert [pair.prompt for pair in pairing.pairs] == ["1", "3"]
    assert pairing.without == {reason: 1}


def test_a_third_of_a_point_is_a_preference() -> None:
    [pair] = choose_pairs([("p", [judged("a", 4, 4, 5), judged("b", 4, 4, 4)])]).pairs
    assert pair.chosen.text == "a"
    assert pair.chosen_score == pytest.approx(13 / 3)


def test_metrics_say_what_came_out() -> None:
    rows = [judged("good", 5, 4), judged("bad", 1, None)]
    tied = [judged("x", 2), judged("y", 2)]
    metrics = choose_pairs([("1", rows), ("2", tied), ("3", rows), ("4", [])]).metrics()
    assert metrics == {
        "prompts": 4,
        "pairs": 2,
        "without": {"tie": 1, "not_ended": 1},
        "tie_rate": 1 / 3,
        "score_cells": {"4.5>1": 2},
        "score_gap": 3.5,
        "chosen_tokens": 5.0,
        "chosen_characters": 4.0,
        "rejected_tokens": 4.0,
        "rejected_characters": 3.0,
    }
