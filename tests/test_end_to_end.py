"""The whole loop, really trained, on the embedded world in miniature, from the command line on."""

import json
import tomllib

import pytest
from typer.testing import CliRunner

from harness import cli
from harness.store import Store

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def finished(tiny_request, tmp_path_factory):
    """A finished run of M0 to M2."""
    folder = tmp_path_factory.mktemp("end-to-end")
    request = folder / "tiny.json"
    request.write_text(tiny_request(2).model_dump_json())
    record = folder / "run"
    # TOML has no writer in the standard library; the request is small enough to convert by hand.
    toml = folder / "tiny.toml"
    toml.write_text(_toml(json.loads(request.read_text())))
    assert tomllib.loads(toml.read_text())["iterations"] == 2
    result = RUNNER.invoke(cli.app, ["run", str(toml), "--out", str(record)])
    assert result.exit_code == 0, result.output
    return toml, record, result.output


def _toml(table, at=""):
    values = [f"{k} = {json.dumps(v)}" for k, v in table.items() if _plain(v)]
    text = "\n".join(values) + "\n"
    for key, value in table.items():
        if isinstance(value, dict):
            text += f"[{at}{key}]\n{_toml(value, f'{at}{key}.')}"
        elif isinstance(value, list) and not _plain(value):
            text += "".join(f"[[{at}{key}]]\n{_toml(one, f'{at}{key}.')}" for one in value)
    return text


def _plain(value):
    if isinstance(value, list):
        return all(not isinstance(one, dict) for one in value)
    return value is not None and not isinstance(value, dict)


def test_every_model_is_measured_and_reported(finished):
    _, folder, output = finished
    rows = json.loads((folder / "summary.json").read_text())
    assert {tuple(row) for row in rows} == {
        (
            "model",
            "against",
            "evaluation",
            "metric",
            "value",
            "low",
            "high",
            "n",
            "failed",
            "protocol",
            "note",
        )
    }
    measured = {(row["model"], row["evaluation"]) for row in rows}
    for model in ("M0", "SFT", "M1", "M2"):
        assert (model, "examiner") in measured
        assert (model, "judge_agreement") in measured
    names = {(row["evaluation"], row["metric"]) for row in rows}
    for metric in ("win", "tie", "loss", "net_win", "position_consistency"):
        assert ("head_to_head", metric) in names
    for metric in ("pairwise_accuracy", "five_best", "exact_match", "spearman", "kendall_tau"):
        assert ("judge_agreement", metric) in names
    assert {row["against"] for row in rows if row["model"] == "M2"} >= {"M1", "SFT", None}
    report = (folder / "report.md").read_text()
    assert "M2" in report and "examiner" in report
    assert "report.md" in output


def test_the_loops_own_numbers_add_up(finished):
    _, folder, _ = finished
    first, second = (
        stage.metrics for stage in Store(folder).record().stages if stage.stage.kind == "train"
    )
    assert first["eft"]["accepted"] - first["eft"]["thinned"] == first["eft"]["rows"]
    assert first["training"]["rows_trained"] == first["sft"]["rows_trained"] + first["eft"]["rows"]
    assert second["prompts"]["accepted"] == second["pairs"]["prompts"] == 8
    candidates = second["candidates"]
    assert candidates["asked"] == 24
    assert candidates["asked"] == candidates["ended"] + candidates["truncated"]
    judgements = second["judgements"]
    assert judgements["asked"] == judgements["read"] + sum(judgements["failed"].values())
    assert sum(judgements["score_histogram"].values()) == judgements["read"]
    pairs = second["pairs"]
    assert pairs["prompts"] == pairs["pairs"] + sum(pairs["without"].values())
    assert second["training"]["pairs_trained"] == pairs["pairs"]


def test_what_was_trained_on_is_on_a_map(finished):
    _, folder, _ = finished
    first, second = (
        stage.prompt_map for stage in Store(folder).record().stages if stage.stage.kind == "train"
    )
    assert list(first.sizes) == ["IFT", "EFT"]
    assert list(second.sizes) == ["IFT", "EFT", "AIFT(M1)"]
    assert second.sizes["AIFT(M1)"] == 8
    assert {point.set for point in second.points} == set(second.sizes)


def test_training_changed_the_weights_and_only_they_are_new(finished):
    _, folder, _ = finished
    models = [s.model for s in Store(folder).record().stages if s.stage.kind == "evaluate"]
    assert [model.name for model in models] == ["M0", "M1", "M2"]
    assert [model.parent for model in models] == [None, "M0", "M1"]
    assert len({model.fingerprint for model in models}) == 3


def test_the_same_command_again_reads_the_records(finished):
    toml, folder, _ = finished
    before = (folder / "report.md").read_bytes()
    again = RUNNER.invoke(cli.app, ["run", str(toml), "--out", str(folder)])
    assert again.exit_code == 0
    assert (folder / "report.md").read_bytes() == before
    assert RUNNER.invoke(cli.app, ["report", str(folder)]).exit_code == 0
    status = RUNNER.invoke(cli.app, ["status", str(folder)])
    assert "02-evaluate" in status.output and "to come" not in status.output


def test_the_exact_texts_that_a_result_depends_on_are_named(finished):
    _, folder, _ = finished
    record = Store(folder).record()
    first, second = (stage.metrics for stage in record.stages if stage.stage.kind == "train")
    assert first["texts"]["rubric"] == second["texts"]["rubric"]
    assert first["texts"]["rubric"].startswith("microworld@")
    assert first["texts"]["chat_template"]
    assert second["prompts"]["template"].startswith("microworld@")
    descriptions = [e.description for stage in record.stages for e in stage.evaluations]
    assert all("microworld" in text and "@" in text for text in descriptions)
