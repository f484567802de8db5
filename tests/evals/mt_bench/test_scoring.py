from statistics import fmean

import pytest

from evals.mt_bench import scoring
from evals.mt_bench.scoring import Judged, groups
from harness.records import Failure, Score

COLUMNS = (
    "writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities",
)  # fmt: skip

# Yuan et al. 2024, Tables 2 and 10: overall, the two groups, and the eight categories.
PAPER = {
    "SFT": (6.85, 3.93, 8.60, 8.83, 8.15, 5.30, 3.00, 3.50, 6.90, 9.18, 9.95),
    "M1": (6.78, 3.83, 8.55, 9.10, 7.65, 4.35, 3.05, 4.10, 7.20, 8.93, 9.85),
    "M2": (7.01, 4.05, 8.79, 9.10, 8.00, 4.60, 3.30, 4.25, 7.65, 9.40, 9.80),
    "M3": (7.25, 4.17, 9.10, 9.58, 8.73, 4.80, 3.50, 4.20, 7.80, 9.45, 9.95),
}


def row(question, turn, *values, category="writing"):
    outcomes = [Failure(reason=one) if isinstance(one, str) else Score(value=one) for one in values]
    return Judged(str(question), turn, category, tuple(outcomes))


def by_name(metrics):
    return {metric.name: metric for metric in metrics}


@pytest.mark.parametrize("model", PAPER)
def test_the_papers_groups_are_means_of_its_categories(model):
    overall, hard, rest, *categories = PAPER[model]
    parts = groups(dict(zip(COLUMNS, categories, strict=True)))
    assert {name: len(part) for name, part in parts.items()} == {
        "math_coding_reasoning": 3,
        "other_categories": 5,
    }
    assert fmean(categories) == pytest.approx(overall, abs=0.01)
    assert fmean(parts["math_coding_reasoning"]) == pytest.approx(hard, abs=0.01)
    assert fmean(parts["other_categories"]) == pytest.approx(rest, abs=0.01)


@pytest.mark.parametrize("model", PAPER)
def test_the_papers_figures_come_out_of_ratings(model):
    """A category's figure is the mean of its twenty ratings."""
    overall, hard, rest, *categories = PAPER[model]
    rows = [
        row(f"{category}{number}", turn, value, category=category)
        for category, value in zip(COLUMNS, categories, strict=True)
        for number in range(10)
        for turn in (1, 2)
    ]
    found = by_name(scoring.single(rows))
    assert found["score"].value == pytest.approx(overall, abs=0.01)
    assert found["score_math_coding_reasoning"].value == pytest.approx(hard, abs=0.01)
    assert found["score_other_categories"].value == pytest.approx(rest, abs=0.01)
    assert [found[f"score_{category}"].value for category in COLUMNS] == pytest.approx(categories)
    assert found["score"].n == 160


def test_the_score_is_over_all_rows_and_not_over_the_turns():
    found = by_name(scoring.single([row(1, 1, 10), row(1, 2, 4), row(2, 1, 10), row(2, 2, "x")]))
    assert found["score"].value == 8
    assert (found["score_turn_1"].value, found["score_turn_2"].value) == (10, 4)
    assert (found["score"].n, found["score"].failed) == (3, 1)
    assert (found["score_turn_2"].n, found["score_turn_2"].failed) == (1, 1)


def test_both_turns_of_a_question_stand_or_fall_together():
    """Ten questions whose turns agree say less than twenty questions of one turn."""
    together = [row(q, turn, q % 2 * 8 + 1) for q in range(10) for turn in (1, 2)]
    apart = [row(f"{q}{turn}", turn, q % 2 * 8 + 1) for q in range(10) for turn in (1, 2)]
    wide, narrow = (by_name(scoring.single(rows))["score"] for rows in (together, apart))
    assert wide.value == narrow.value == 5
    assert wide.high - wide.low > 1.2 * (narrow.high - narrow.low)


def test_an_item_is_worth_the_mean_of_what_could_be_read():
    assert row(1, 1, 8, 6, "no_rating").outcome == Score(value=7)
    assert row(1, 1, "a", "b", "b").outcome == Failure(reason="b")


def test_without_categories_there_are_none():
    names = by_name(scoring.single([row(1, 1, 5, category=None)]))
    assert list(names) == ["score", "score_turn_1", "score_turn_2"]
    assert (names["score_turn_2"].value, names["score_turn_2"].n) == (None, 0)


def test_nothing_gives_nothing():
    assert by_name(scoring.single([]))["score"].value is None
    assert by_name(scoring.pair([], "M0"))["win_rate"].value is None


def test_win_rates_are_fastchats():
    rows = [row(1, 1, 1.0), row(1, 2, 1.0), row(2, 1, 0.5), row(2, 2, 0.0), row(3, 1, "no_choice")]
    found = by_name(scoring.pair(rows, "M0", "a note"))
    assert {name: metric.value for name, metric in found.items()} == {
        "win_rate": 0.5,
        "loss_rate": 0.25,
        "tie_rate": 0.25,
        "win_rate_adjusted": 0.625,
    }
    assert {(m.n, m.failed, m.against, m.note) for m in found.values()} == {(4, 1, "M0", "a note")}


def test_repeated_games_count_by_their_share():
    found = by_name(scoring.pair([row(1, 1, 1.0, 0.5), row(2, 1, 0.0, 0.0)], "M0"))
    assert (found["win_rate"].value, found["tie_rate"].value) == (0.25, 0.25)
    assert found["win_rate_adjusted"].value == 0.375


def test_the_judges_spread_is_that_of_the_average():
    rows = [row(1, 1, 5, 7), row(2, 1, 6, 6), row(3, 1, 4, "x"), row(4, 1, "failed")]
    found = by_name(scoring.noise(rows))
    assert found["judge_noise"].value == pytest.approx(0.5**0.5)  # of 5.5 and 6.5
    assert found["judge_noise_item"].value == pytest.approx(2**0.5 / 2)
    assert {(metric.n, metric.failed) for metric in found.values()} == {(2, 2)}


def test_the_judges_spread_is_known_the_better_the_more_repeats():
    def width(repeats):
        values = [5 + number % 2 for number in range(repeats)]
        noise = by_name(scoring.noise([row(1, 1, *values), row(2, 1, *values)]))["judge_noise"]
        return noise.high / noise.low

    # Chi-squared quantiles: of 2 degrees of freedom 0.0506 and 7.378, of 9 2.700 and 19.023.
    assert width(3) == pytest.approx((7.378 / 0.0506) ** 0.5, rel=0.02)
    assert width(10) == pytest.approx((19.023 / 2.700) ** 0.5, rel=0.02)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [row(1, 1, 5), row(2, 1, 6)],
        [row(1, 1, 5, 6), row(2, 1, 6)],
        [row(1, 1, "x", "x"), row(2, 1, "x", "x")],
    ],
)
def test_no_spread_without_repeats_of_everything(rows):
    assert list(scoring.noise(rows)) == []
