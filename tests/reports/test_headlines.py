"""The main figures in one table."""

import pytest

from harness.records import EvalResult, ItemResult, Metric, Score
from reports.changes import changes
from reports.findings import findings
from reports.headlines import headlines
from reports.series import Series
from reports.tables import measurements


def with_result(record, *results):
    """Put further evaluations into a run's last stage, and into its request."""
    last = record.stages[-1]
    stage = last.model_copy(update={"evaluations": (*last.evaluations, *results)})
    return record.model_copy(update={"stages": (*record.stages[:-1], stage)})


def alpaca(model, note="", evaluation="alpaca_eval"):
    items = tuple(
        ItemResult(id=str(k), answer="Yes.", outcome=Score(value=40.0 + k % 3)) for k in range(120)
    )
    rate = Metric(name="win_rate", value=41.0, low=38, high=44, n=120, failed=3, note=note)
    return EvalResult(
        evaluation=evaluation, model=model, protocol="a1", metrics=(rate,), items=items
    )


def test_every_main_figure_is_a_row_and_every_model_a_column(whole_run):
    [table] = headlines(with_result(whole_run, alpaca("M3")))
    assert table.columns == ("M0", "SFT", "M1", "M2", "M3")
    rows = {row.label: row for row in table.rows}
    assert rows["AlpacaEval, win rate"].cells[:4] == ("not run",) * 4
    assert rows["AlpacaEval, win rate"].cells[4].value == 41
    assert rows["AlpacaEval, win rate"].failed == (3,)
    wins = rows["Head to head, net win over the one before"]
    assert [cell if isinstance(cell, str) else cell.value for cell in wins.cells] == [
        "not run", "not run", pytest.approx(0.01), pytest.approx(0.37), pytest.approx(0.02)
    ]  # fmt: skip


def test_one_evaluation_alone_needs_no_second_table(small_run):
    [only, *_] = [e for stage in small_run.stages for e in stage.evaluations]
    stages = tuple(
        stage.model_copy(
            update={
                "evaluations": tuple(
                    e for e in stage.evaluations if e.evaluation == only.evaluation
                )
            }
        )
        for stage in small_run.stages
    )
    assert list(headlines(small_run.model_copy(update={"stages": stages}))) == []


def test_what_a_metrics_note_says_stands_under_its_tables(whole_run):
    noted = with_result(whole_run, alpaca("M3", note="discrete: no token probabilities"))
    [table] = headlines(noted)
    assert "AlpacaEval, win rate: discrete: no token probabilities." in table.note
    series = Series("alpaca_eval", {"M3": alpaca("M3", note="not official LC")})
    assert next(measurements(series, changes(whole_run))).note.startswith(
        "win rate: not official LC."
    )


def test_a_labelled_evaluation_is_known_by_its_plug_in(whole_run):
    labelled = with_result(whole_run, alpaca("M3", evaluation="alpaca-gpt"))
    request = {**labelled.request, "evaluations": [{"name": "alpaca_eval", "label": "alpaca-gpt"}]}
    labelled = labelled.model_copy(update={"request": request})
    assert "alpaca-gpt, win rate" in [
        row.label for table in headlines(labelled) for row in table.rows
    ]
    assert (
        dict(findings(labelled, changes(labelled)).items)["AlpacaEval"] == "Win rate (%): M3 41.00."
    )


def test_a_raw_win_rate_has_the_length_controlled_one_beside_it(whole_run):
    rated = alpaca("M3")
    controlled = Metric(name="length_controlled_win_rate", value=33.3, n=120)
    both = rated.model_copy(update={"metrics": (*rated.metrics, controlled)})
    record = with_result(whole_run, both)
    said = dict(findings(record, changes(record)).items)["AlpacaEval"]
    assert said == "Win rate (%): M3 41.00. Length-controlled: M3 33.30."


def test_strangers_evaluations_alone_have_no_main_figures(one_model):
    strange = tuple(alpaca("M0", evaluation=name) for name in ("odd", "odder"))
    [stage] = one_model.stages
    stages = (stage.model_copy(update={"evaluations": strange}),)
    assert [*headlines(one_model.model_copy(update={"stages": stages}))] == []
