"""A run read back by those who only look: whatever its state."""

import json
import os
import shutil

import pytest

from harness.config import RunConfig
from harness.errors import StoreError
from harness.records import Cost
from harness.run import run, stages
from harness.store import Store

FIRST, TRAINING, SECOND = stages(1)


def request(**changes):
    table = {
        "model": {"location": "script"},
        "iterations": 1,
        "engine": {"name": "scripted", "default": ["Hello.", "Hello, please."]},
        "trainer": "renaming",
        "evaluations": ["politeness"],
        "reports": [],
    }
    return RunConfig.model_validate(table | changes)


@pytest.fixture
def store(tmp_path):
    """A finished run."""
    store = Store(tmp_path / "run")
    run(request(), store)
    return store


def test_a_file_of_another_version_is_named_and_left_out(store):
    path = store.stage_folder(SECOND) / "M1" / "politeness.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"new": 1, "newer": 2}))
    record = store.record()
    [said] = record.unreadable
    assert said.startswith("stages/01-evaluate/M1/politeness.json is no EvalResult of this")
    assert "2 fields differ" in said
    assert [one.model for one in record.stages[2].evaluations] == ["SFT"]
    with pytest.raises(StoreError, match="no EvalResult"):
        store.evaluation_result(SECOND, "M1", "politeness")  # to go on is another matter


DEEP = "[" * 100_000 + "]" * 100_000
HUGE = "9" * 400


@pytest.mark.parametrize("content", ["", "{", "[]", '"\\ud800"', '{"model": 1}', DEEP, HUGE])
def test_damaged_stages_are_named_and_their_evaluations_are_there(store, content):
    for stage in (FIRST, SECOND):
        (store.stage_folder(stage) / "stage.json").write_text(content)
    record = store.record()
    assert [line.partition(" ")[0] for line in record.unreadable] == [
        "stages/00-evaluate/stage.json",
        "stages/01-evaluate/stage.json",
    ]
    assert [(str(s.stage), s.finished) for s in record.stages] == [
        ("00-evaluate", False),
        ("01-train", True),
        ("01-evaluate", False),
    ]
    assert [one.model for one in record.stages[2].evaluations] == ["SFT", "M1"]


def test_what_is_beside_the_stages_may_be_missing_or_damaged(store):
    (store.folder / "environment.json").unlink()
    (store.folder / "stopped.json").write_text("no")
    store.books.mkdir()
    (store.books / "ledger.jsonl").write_text("{}\n")
    record = store.record()
    assert (record.environment, record.stopped, record.bills) == ({}, None, ())
    assert [line.partition(" ")[0].rstrip(",") for line in record.unreadable] == [
        "stopped.json",
        "calls/ledger.jsonl",
    ]


@pytest.mark.parametrize("content", ["", "[]", "null", DEEP, f'{{"seed": {HUGE}}}'])
def test_without_its_request_there_is_no_run(store, content):
    (store.folder / "request.json").write_text(content)
    with pytest.raises(StoreError, match=r"request\.json"):
        store.record()


@pytest.mark.parametrize("evaluations", [None, 7, "politeness", [None, "x"], [{"name": "x" * 300}]])
def test_a_request_of_another_version_is_looked_at(store, evaluations):
    path = store.folder / "request.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"evaluations": evaluations}))
    record = store.record()
    assert len(record.stages) == 3
    assert all("File name too long" in line for line in record.unreadable)


def test_evaluations_are_read_before_their_stage_has_finished(tmp_path, monkeypatch):
    store, made = Store(tmp_path / "run"), []
    plain = Store.finish_evaluation

    def power_cut(store, stage, result):
        plain(store, stage, result)
        made.append(result.model)
        if result.model == "SFT":
            raise RuntimeError("the power went out")

    monkeypatch.setattr(Store, "finish_evaluation", power_cut)
    with pytest.raises(RuntimeError):
        run(request(), store)
    last = store.record().stages[-1]
    assert (last.stage, last.finished) == (SECOND, False)
    assert [model.name for model in (*last.comparators, last.model)] == ["SFT", "M1"]
    assert [one.model for one in last.evaluations] == ["SFT"]
    assert last.costs["M1/politeness"].rows == 4
    assert store.stage_result(SECOND) is None
    monkeypatch.setattr(Store, "finish_evaluation", plain)
    assert all(stage.finished for stage in run(request(), store).stages)


def test_a_stage_in_which_nothing_is_done_is_not_there_yet(tmp_path, monkeypatch):
    monkeypatch.setattr("example_plugin.Politeness.mark", lambda *_: 1 / 0)
    store = Store(tmp_path / "run")
    with pytest.raises(ZeroDivisionError):
        run(request(), store)
    assert store.record().stages == ()


def test_foreign_folders_among_the_stages_are_left_alone(store):
    for name in ("notes", "x-train", "03-dance", "04-evaluate"):
        (store.folder / "stages" / name).mkdir()
    assert len(store.record().stages) == 3


def test_an_option_that_an_older_version_did_not_know_is_no_difference(store):
    path = store.folder / "request.json"
    older = json.loads(path.read_text())
    assert older["model"].pop("chat_template") is None
    path.write_text(json.dumps(older))
    assert len(run(request(), store).stages) == 3


def test_answers_are_not_taken_from_a_damaged_run(store, tmp_path):
    (store.stage_folder(TRAINING) / "stage.json").write_text("{")
    with pytest.raises(StoreError, match=r"answers cannot be taken from .*01-train/stage\.json"):
        run(request(), Store(tmp_path / "again"), answers_from=store)


def test_what_a_stage_cost_is_read_while_it_is_written(store):
    with store.costs_log(FIRST) as log:
        log.append("M0/politeness#1", Cost(seconds=9, failures={"no_score": 1}).model_dump())
        with log.path.open("ab") as torn:
            torn.write(b'{"key": "M0/polite')
        found = store.costs(FIRST)["M0/politeness"]
    assert found.seconds > 9
    assert found.rows == 4
    assert found.failures == {"no_score": 1}


def test_models_say_under_which_chat_template_they_were_asked(store):
    measured = [stage for stage in store.record().stages if stage.stage.kind == "evaluate"]
    models = [model for stage in measured for model in (*stage.comparators, stage.model)]
    assert [(m.name, m.chat_template) for m in models] == [
        ("M0", "scripted"),
        ("SFT", "scripted"),
        ("M1", "scripted"),
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look into every folder")
@pytest.mark.parametrize("place", ["stages", "stages/00-evaluate"])
def test_a_folder_that_is_not_ours_to_look_into_is_named(store, place):
    (store.folder / place).chmod(0)
    [said] = store.record().unreadable
    (store.folder / place).chmod(0o700)
    assert said.startswith(place)
    assert "Permission denied; grant access" in said


def test_stages_that_are_no_folder_are_named(store):
    shutil.rmtree(store.folder / "stages")
    (store.folder / "stages").write_text("")
    record = store.record()
    assert record.stages == ()
    assert record.unreadable == ("stages cannot be read: Not a directory; grant access to it",)
