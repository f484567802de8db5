import pytest

from harness.records import Cost, ItemResult, Metric, Score
from reports.blocks import Figure
from reports.changes import changes
from reports.figures import DASH
from reports.series import Series, evaluations
from reports.tables import comparisons, costs, differences, measurements, parts


def series(record, name: str) -> Series:
    return next(one for one in evaluations(record) if one.name == name)


def test_parts_of_a_metric_stand_in_a_table_of_their_own(whole_run):
    examiner = series(whole_run, "examiner")
    [table] = measurements(examiner, changes(whole_run))
    assert [row.label for row in table.rows] == ["score", "length (tokens)"]
    [below] = parts(examiner)
    assert [row.label for row in below.rows] == ["score: math", "score: STEM", "score: writing"]


def test_a_model_that_was_not_measured_has_no_number(half_run):
    agreement = series(half_run, "judge_agreement")
    results = {k: v for k, v in agreement.results.items() if k != "SFT"} | {
        "SFT": agreement.results["SFT"].model_copy(update={"metrics": ()})
    }
    [table] = measurements(Series("judge_agreement", results), changes(half_run))
    assert table.columns == ("M0", "M1", "SFT")
    assert table.rows[0].cells[2] == "not run"


def test_a_clear_net_win_is_toned_and_an_unclear_one_is_not(whole_run):
    table = comparisons(series(whole_run, "head_to_head"), changes(whole_run))
    tones = {row.label: row.cells[3].tone for row in table.rows if isinstance(row.cells[3], Figure)}
    assert tones["M2 vs M1"] == "better"
    assert tones["M3 vs M2"] == ""


def test_paired_differences_use_only_the_items_both_models_have(whole_run):
    [table] = differences(changes(whole_run))
    assert table.columns == ("SFT - M0", "M1 - SFT", "M2 - M1", "M3 - M2", "M3 - M1")
    score = table.rows[0]
    assert score.label == "Examiner, score"
    assert [cell.value for cell in score.cells if isinstance(cell, Figure)] == pytest.approx(
        [1, 0, 1, 0, 1]
    )
    assert score.n == (120, 120, 90, 90, 120)
    assert score.failed == (0, 0, 30, 30, 0)
    assert table.rows[1].cells == ("< .001", DASH, "< .001", DASH, "< .001")
    assert "for how many comparisons this report makes: 11." in table.note


def test_item_scores_that_are_no_metric_are_called_that(whole_run):
    [table] = differences(changes(whole_run))
    assert table.rows[2].label == "Judge agreement, mean item score"


def test_the_item_metric_must_fit_every_model(whole_run):
    examiner = series(whole_run, "examiner")
    assert examiner.item_metric() == "score"
    odd = examiner.results["M0"].model_copy(
        update={"metrics": (Metric(name="score", value=0.1, n=1),)}
    )
    assert Series("examiner", examiner.results | {"M0": odd}).item_metric() is None


def test_games_against_another_model_are_no_item_scores(whole_run):
    result = series(whole_run, "examiner").results["M1"]
    game = ItemResult(id="x", answer="", outcome=Score(value=1), against="M0")
    only = Series("games", {"M1": result.model_copy(update={"items": (game,)})})
    assert only.scores("M1") == {}


def test_parts_add_up_to_stages_and_stages_to_the_run(whole_run):
    [table] = costs(whole_run)
    rows = {row.label: row.cells for row in table.rows}
    assert rows["00-evaluate"][1] == "500"
    assert rows["· M0/examiner"] == ("4.1 s", "250", "9,000", "3,300", "805")
    assert rows["whole run"][1] == "6,100"


def test_what_went_on_beside_has_a_column_where_there_is_any(whole_run):
    first, *rest = whole_run.stages
    marks = Cost(seconds=1, beside=19, rows=5, new_tokens=100)
    update = {"costs": {**first.costs, "M0/examiner/mark": marks}}
    run = whole_run.model_copy(update={"stages": (first.model_copy(update=update), *rest)})
    [table] = costs(run)
    rows = {row.label: row.cells for row in table.rows}
    assert table.columns[:2] == ("time", "beside")
    assert rows["· M0/examiner/mark"][:2] == ("1.0 s", "19 s")
    assert rows["· M0/examiner/mark"][5] == "5", "tokens a second, of all the time it took"
    [without] = costs(whole_run)
    assert "beside" not in without.columns
