"""Scores by category, difficulty and expected length."""

import pytest

from harness.records import EvalResult, Failure, ItemResult, Metric, Score
from reports.breakdown import breakdowns, by_category, by_difficulty, by_expected_length, tables
from reports.series import Series, evaluations

RUNS = ["whole_run", "half_run", "one_model", "all_failed", "hostile_run"]


def series(n: int = 90, failed: int = 0, **details) -> Series:
    """M1 and M2 on the same items; the item's number is its score, M2's is one more."""

    def result(model: str, more: float) -> EvalResult:
        items = tuple(
            ItemResult(
                id=f"i{k:03d}",
                answer="",
                outcome=Failure(reason="refused") if k < failed else Score(value=k % 30 + more),
                category=("cooking", "law")[k % 2],
                details={name: value(k) for name, value in details.items()},
            )
            for k in range(n)
        )
        return EvalResult(
            evaluation="alpaca_eval", model=model, protocol="p", metrics=(), items=items
        )

    return Series("alpaca_eval", {"M1": result("M1", 0), "M2": result("M2", 1)})


def test_every_category_is_a_bucket_and_every_item_in_one():
    found = by_category(series(failed=4))
    assert [one.label for one in found.buckets] == ["cooking", "law"]
    for bucket in found.buckets:
        first, second = bucket.metrics["M1"], bucket.metrics["M2"]
        assert (first.n, first.failed) == (43, 2)
        assert second.value == pytest.approx(first.value + 1)
        assert first.low < first.value < first.high


def test_difficulty_is_the_evaluations_own_where_it_has_one():
    found = by_difficulty(series(difficulty=lambda k: k % 9 / 2))
    assert [one.label for one in found.buckets] == [
        "up to 1", "over 1, up to 2.5", "over 2.5"
    ]  # fmt: skip
    assert found.note == "Difficulty as the evaluation gives it."
    assert sum(one.metrics["M1"].n for one in found.buckets) == 90


def test_difficulty_is_otherwise_how_the_models_did():
    found = by_difficulty(series())
    assert "as found in this run" in found.note
    hard, _, easy = found.buckets
    assert hard.label == "mean score up to 9.5"
    assert hard.metrics["M2"].value < easy.metrics["M1"].value


def test_a_number_that_some_items_lack_is_none():
    assert by_expected_length(series(reference_output=lambda k: "a" * (k % 8))) is None
    lengths = by_expected_length(series(reference_output=lambda k: "a" * (1 + k % 9)))
    assert [one.label for one in lengths.buckets] == ["up to 3", "over 3, up to 6", "over 6"]
    assert [one.metrics["M1"].n for one in lengths.buckets] == [30, 30, 30]


def test_few_items_or_equal_ones_are_not_cut():
    assert by_difficulty(series(n=59)) is None
    assert by_expected_length(series(reference_output=lambda k: "same")) is None


def test_categories_with_metrics_of_their_own_are_not_tabulated_again():
    plain = series()
    assert [table.title for table in tables(plain)] == [
        "AlpacaEval by category", "AlpacaEval by difficulty"
    ]  # fmt: skip
    own = tuple(Metric(name=f"score/{name}", value=1, n=45) for name in ("cooking", "law"))
    with_metrics = Series(
        plain.name,
        {name: one.model_copy(update={"metrics": own}) for name, one in plain.results.items()},
    )
    assert [table.title for table in tables(with_metrics)] == ["AlpacaEval by difficulty"]
    assert [found.by for found in breakdowns(with_metrics)] == ["category", "difficulty"]


@pytest.mark.parametrize(
    "name", ["whole_run", "half_run", "one_model", "all_failed", "hostile_run"]
)
def test_whatever_a_run_has_its_tables_are_never_empty(name, request):
    for one in evaluations(request.getfixturevalue(name)):
        for table in tables(one):
            assert len(table.rows) > 1
