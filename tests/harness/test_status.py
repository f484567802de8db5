import io
import json
import threading
import time

import pytest
from rich.console import Console
from typer.testing import CliRunner

from harness import cli, status
from harness.config import RunConfig
from harness.errors import CollapseError, StoreError
from harness.run import run
from harness.store import Store

REQUEST = {
    "model": {"location": "script"},
    "iterations": 1,
    "engine": {"name": "scripted", "default": ["Hello.", "Hello, please."]},
    "trainer": "renaming",
    "evaluations": ["politeness"],
    "reports": ["summary"],
}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "run")


def shown(store, look=status.show):
    console = Console(file=io.StringIO(), width=100)
    look(store, console)
    return console.file.getvalue()


def test_a_run_is_seen_while_it_works(store, monkeypatch):
    seen = []
    monkeypatch.setattr("example_plugin.Politeness.mark", lambda *_: seen.append(shown(store)))
    with pytest.raises(AttributeError):  # the mark is no result
        run(RunConfig.model_validate(REQUEST), store)
    [said] = seen
    lines = said.splitlines()
    assert lines[0].startswith("1/3  00-evaluate  under way")
    assert lines[0].endswith("1 part done: M0/politeness")
    assert "2/3  01-train     to come" in lines[1]
    assert lines[4].startswith("M0/politeness/mark")
    assert "elapsed, time left unknown" in said
    assert lines[-1].startswith("running, process ")
    assert not (store.folder / "progress.json").exists()


def test_a_finished_run(store):
    run(RunConfig.model_validate(REQUEST), store)
    said = shown(store)
    assert said.count("done") == 3
    assert "left" not in said
    assert said.endswith("finished\n")
    assert shown(store, status.watch).endswith("finished\n")


def test_what_stopped_a_run_and_what_is_kept_of_its_stage(store, monkeypatch):
    def collapse(trainer, model, iteration, workspace):
        with workspace.log("proposals") as log:
            log.append("1", "Say hello.")
        raise CollapseError("M1 cannot judge")

    monkeypatch.setattr("example_plugin.Renaming.improve", collapse)
    with pytest.raises(CollapseError):
        run(RunConfig.model_validate(REQUEST), store)
    said = shown(store)
    assert "2/3  01-train     begun" in said
    assert "kept of 01-train: 1 rows of proposals" in said
    assert said.endswith("stopped: M1 cannot judge\n")


def test_a_killed_run_has_stages_to_come(store):
    run(RunConfig.model_validate(REQUEST), store)
    for number in ("1", "2"):
        later = store.stage_folder(cli.status.stages(1)[int(number)]) / "stage.json"
        later.unlink()
    said = shown(store)
    assert "2 stages to come; give the same command to continue" in said
    (store.folder / "progress.json").write_text(json.dumps({"process": "1"}))
    assert shown(store) == said  # nobody works there


def test_what_cannot_be_read_is_named(store):
    run(RunConfig.model_validate(REQUEST), store)
    (store.folder / "stages" / "01-train" / "stage.json").write_text("{}")
    (store.folder / "stages" / "01-train" / "costs.jsonl").write_text("{}\n")
    assert "cannot be read: stages/01-train/stage.json is no StageResult" in shown(store)


def test_a_run_is_followed_until_it_ends(store, monkeypatch):
    monkeypatch.setattr(status, "_LEAST_PAUSE", 0.01)
    at_work, seen = threading.Event(), threading.Event()
    out = io.StringIO()

    def working(*_):
        at_work.set()
        assert seen.wait(60)
        raise RuntimeError("the power went out")

    def look():
        assert at_work.wait(60)
        status.watch(store, Console(file=out, width=100, force_terminal=True))

    monkeypatch.setattr("example_plugin.Politeness.mark", working)
    onlooker = threading.Thread(target=look)
    onlooker.start()

    def when_seen():
        while "running, process" not in out.getvalue():
            time.sleep(0.01)
        seen.set()

    threading.Thread(target=when_seen, daemon=True).start()
    with pytest.raises(RuntimeError):
        run(RunConfig.model_validate(REQUEST), store)
    onlooker.join(60)
    assert "3 stages to come" in out.getvalue()


def test_a_run_that_is_not_there(store):
    with pytest.raises(StoreError, match="holds no run"):
        status.watch(store, Console(file=io.StringIO()))


def test_reports_of_a_request_of_another_version_are_the_default_ones(store):
    run(RunConfig.model_validate(REQUEST), store)
    path = store.folder / "request.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"temperament": "calm"}))
    (store.folder / "environment.json").unlink()
    done = CliRunner().invoke(cli.app, ["report", str(store.folder)])
    assert done.exit_code == 0, done.output
    assert "unknown key 'temperament'" in done.stderr
    assert "the default ones" in done.stderr
    assert (store.folder / "report.md").exists()
    assert "finished" in shown(store)
