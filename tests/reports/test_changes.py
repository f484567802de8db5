"""Paired changes, and the family of tests they belong to."""

import pytest

from harness.records import EvalResult, ItemResult, Metric, RunRecord, Score
from harness.statistics.intervals import sign_test
from reports.changes import changes, difference
from reports.charts.games import head_to_head
from reports.series import Series


def scored(model: str, values: list[float], evaluation: str = "examiner") -> EvalResult:
    """Items with these scores, their mean as the metric."""
    items = tuple(
        ItemResult(id=f"i{k:03d}", answer="", outcome=Score(value=v)) for k, v in enumerate(values)
    )
    mean = Metric(name="score", value=sum(values) / len(values), n=len(values))
    return EvalResult(
        evaluation=evaluation, model=model, protocol="p", metrics=(mean,), items=items
    )


def measured(whole_run: RunRecord, *results: EvalResult) -> RunRecord:
    """The whole run with these results alone, each with its model."""
    stages = tuple(
        stage.model_copy(
            update={
                "evaluations": tuple(
                    one
                    for one in results
                    if stage.stage.kind == "evaluate"
                    and one.model in [m.name for m in (*stage.comparators, stage.model)]
                )
            }
        )
        for stage in whole_run.stages
    )
    return whole_run.model_copy(update={"stages": stages})


def test_each_model_is_compared_with_the_one_before_and_the_last_with_the_first(whole_run):
    found = changes(whole_run)
    assert found.steps == (("SFT", "M0"), ("M1", "SFT"), ("M2", "M1"), ("M3", "M2"), ("M3", "M1"))
    assert found.loop == ("M3", "M1"), "a baseline came with M1: it learned from people"
    assert found.rounds == (("M2", "M1"), ("M3", "M2"))


def test_without_a_baseline_the_loop_begins_with_m0(small_run):
    assert changes(small_run).loop == ("M1", "M0")


def test_seeds_alone_are_no_round(small_run):
    before, made, after = small_run.stages
    seeded = made.model_copy(update={"metrics": {"seeds": {"ift_rows": 12}}})
    assert changes(small_run.model_copy(update={"stages": (before, seeded, after)})).loop is None


def test_before_a_first_round_there_is_no_loop(half_run, one_model, nothing_yet):
    assert changes(half_run).loop is None
    assert changes(half_run).steps == (("SFT", "M0"), ("M1", "SFT"))
    assert changes(one_model).steps == ()
    assert changes(nothing_yet).found == ()


def test_a_trained_model_that_was_not_measured_is_not_the_last(whole_run):
    shorter = whole_run.model_copy(update={"stages": whole_run.stages[:-1]})
    assert changes(shorter).loop == ("M2", "M1")


def test_all_games_that_were_played_belong_to_the_family(whole_run):
    found = changes(whole_run)
    games = [one for one in found.found if one.evaluation == "head_to_head"]
    assert ("M2", "SFT") in [one.step for one in games]
    items = [one for one in found.found if one not in games and one.estimate.value != 0]
    assert found.tested == len(games) + len(items)
    [last] = [one for one in games if one.step == ("M3", "M2")]
    assert last.p == sign_test(30, 25)
    assert last.corrected == 1


def test_what_is_clear_alone_can_be_chance_among_many(whole_run):
    """One of two evaluations has a p of .02: not below .05 once there are four tests."""
    low, high = [0.0] * 60, [0.0] * 45 + [1.0] * 11 + [-1.0] * 2 + [0.0] * 2
    results = [scored("M1", low), scored("M2", high)]
    alone = changes(measured(whole_run, *results)).of("examiner", ("M2", "M1"))
    assert alone.evidence == "better"
    level = {"M1": low, "M2": [1.0, -1.0, *low[2:]]}
    others = [scored(m, of, f"other{k}") for k in range(4) for m, of in level.items()]
    many = changes(measured(whole_run, *results, *others)).of("examiner", ("M2", "M1"))
    assert many.p == alone.p
    assert many.corrected == pytest.approx(5 * alone.p)
    assert many.evidence == "not after correction"


def test_where_no_item_differs_nothing_is_tested_nor_corrected_for(whole_run):
    values = [0.0] * 45 + [1.0] * 15
    same = [scored(m, values, f"same{k}") for k in range(4) for m in ("M1", "M2")]
    results = [scored("M1", [0.0] * 60), scored("M2", values), *same]
    found = changes(measured(whole_run, *results))
    clear, equal = (found.of(name, ("M2", "M1")) for name in ("examiner", "same0"))
    assert (found.tested, clear.corrected) == (1, clear.p)
    assert (equal.p, equal.corrected, equal.evidence) == (None, None, "no interval")


def test_half_the_interval_is_about_what_would_have_shown(whole_run):
    change = changes(whole_run).of("head_to_head", ("M3", "M2"))
    assert change.evidence == "no clear change"
    assert change.least_visible == pytest.approx(0.07)


def test_a_loop_without_a_game_of_last_and_first_is_seen_round_by_round(whole_run):
    found = changes(whole_run)
    assert [one.step for one in found.over_loop("head_to_head")] == [("M2", "M1"), ("M3", "M2")]
    assert [one.step for one in found.over_loop("examiner")] == [("M3", "M1")]
    assert found.over_loop("mt_bench") == ()


def test_a_difference_of_means_over_benchmarks_weighs_each_benchmark_the_same():
    def result(model, shift):
        items = [
            ItemResult(id=f"{name}/{k}", answer="", category=name, outcome=Score(value=value))
            for name, size in (("arc", 100), ("mmlu", 10))
            for k in range(size)
            for value in [float(name == "mmlu") * shift]
        ]
        mean = Metric(name="mean", value=shift / 2, n=110)
        return EvalResult(
            evaluation="nlp_benchmarks", model=model, protocol="n1", metrics=(mean,), items=items
        )

    series = Series("nlp_benchmarks", {"M0": result("M0", 0), "M1": result("M1", 1)})
    assert difference(series, "M1", "M0").value == pytest.approx(0.5)


def rated(model, protocol, values, clusters=None):
    items = [
        ItemResult(id=f"{k}/1", answer="", outcome=Score(value=v), cluster=clusters and clusters[k])
        for k, v in enumerate(values)
    ]
    score = Metric(name="score", value=sum(values) / len(values), n=len(values))
    return EvalResult(
        evaluation="mt_bench", model=model, protocol=protocol, metrics=(score,), items=items
    )


def test_results_of_different_judges_are_not_subtracted():
    results = {"M0": rated("M0", "gpt-6", [1.0] * 50), "M1": rated("M1", "gpt-5", [2.0] * 50)}
    assert difference(Series("mt_bench", results), "M1", "M0").n == 0
    results["M1"] = rated("M1", "gpt-6", [2.0] * 50)
    assert difference(Series("mt_bench", results), "M1", "M0").value == 1


def test_turns_of_one_conversation_are_not_independent():
    values = [float(k % 10) for k in range(60) for _ in (1, 2)]
    clusters = [str(k) for k in range(60) for _ in (1, 2)]
    alone, together = (
        difference(
            Series(
                "mt_bench",
                {"M0": rated("M0", "p", [0.0] * 120, how), "M1": rated("M1", "p", values, how)},
            ),
            "M1",
            "M0",
        )
        for how in (None, clusters)
    )
    assert alone.value == together.value
    assert together.high - together.low == pytest.approx(2**0.5 * (alone.high - alone.low), rel=0.1)


def test_games_counted_instead_of_shared_out_are_not_tested(whole_run):
    metrics = tuple(
        Metric(name=name, value=value, n=100, against="M1")
        for name, value in (("win", 70), ("tie", 0), ("loss", 30), ("net_win", 40))
    )
    game = EvalResult(evaluation="games", model="M2", protocol="p", metrics=metrics)
    run = measured(whole_run, game)
    [change] = changes(run).found
    assert change.p is None
    assert head_to_head(run) is None, "7,000 wins of 100 games are not drawn"
