import json

from harness.records import Metric
from reports.summary import Summary

KEYS = [
    "model", "against", "evaluation", "metric", "value", "low", "high", "n", "failed", "protocol",
    "note",
]  # fmt: skip


def read(record, folder):
    return json.loads(Summary(Summary.Config()).render(record, folder).read_text())


def test_every_metric_is_a_row_with_exactly_the_stable_keys(whole_run, tmp_path):
    rows = read(whole_run, tmp_path)
    metrics = [m for s in whole_run.stages for e in s.evaluations for m in e.metrics]
    assert [list(row) for row in rows] == [KEYS] * len(metrics)
    assert {
        "model": "M2",
        "against": "M1",
        "evaluation": "head_to_head",
        "metric": "net_win",
        "value": 0.37,
        "low": 0.3,
        "high": 0.44,
        "n": 250,
        "failed": 0,
        "protocol": "bb0c1f0f6a1c8f0e",
        "note": "",
    } in rows
    assert next(row for row in rows if row["metric"] == "score")["against"] is None


def test_what_could_not_be_scored_is_null(all_failed, tmp_path):
    [score] = [row for row in read(all_failed, tmp_path) if row["metric"] == "score"]
    assert (score["value"], score["n"], score["failed"]) == (None, 0, 6)


def test_an_infinite_value_is_null_for_json_has_none(all_failed, tmp_path):
    [stage] = all_failed.stages
    [result] = stage.evaluations
    odd = Metric(name="ratio", value=float("inf"), low=float("nan"), n=1)
    changed = stage.model_copy(
        update={"evaluations": (result.model_copy(update={"metrics": (odd,)}),)}
    )
    [row] = read(all_failed.model_copy(update={"stages": (changed,)}), tmp_path)
    assert (row["value"], row["low"]) == (None, None)


def test_a_run_without_metrics_is_an_empty_list(nothing_yet, tmp_path):
    assert read(nothing_yet, tmp_path) == []


def test_the_same_record_gives_the_same_bytes_a_row_a_line(whole_run, tmp_path):
    summary = Summary(Summary.Config())
    first = summary.render(whole_run, tmp_path).read_bytes()
    assert summary.render(whole_run, tmp_path).read_bytes() == first
    assert len(first.splitlines()) == len(json.loads(first)) + 2
