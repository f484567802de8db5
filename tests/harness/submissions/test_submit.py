"""`harness submit` with a stranger's submission: what enters, where it goes, how it stands."""

import json

import pytest
from typer.testing import CliRunner

from harness import cli
from harness.errors import ConfigError, DataError, HarnessError, PluginError, StoreError
from harness.records import EvalResult, Metric
from harness.store import Store
from harness.submissions import bundles
from harness.submissions.bundles import MANIFEST
from harness.submissions.entries import entry
from tests.measured import measured

RUNNER = CliRunner()


def politeness(model, value=0.5):
    metric = Metric(name="polite", value=value, n=4)
    return EvalResult(
        evaluation="politeness", model=model, protocol="politeness-1", metrics=(metric,)
    )


@pytest.fixture
def run(tmp_path):
    models = ("M0", "M1", "M2")
    return measured(
        tmp_path / "run",
        [politeness(model, k / 4) for k, model in enumerate(models)],
        models=models,
        evaluations=[{"name": "politeness"}],
    )


def submit(*words):
    """Give a command; an expected error as `harness` would show it."""
    done = RUNNER.invoke(cli.app, ["submit", *map(str, words)], catch_exceptions=True)
    if isinstance(done.exception, HarnessError):
        return 1, f"{done.output}\nharness: {done.exception}"
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def test_the_last_model_enters_under_its_own_name(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, said = submit("postcard", run)
    assert code == 0
    assert "differs in 1 of 3 points" in said
    assert "by hand" in said
    assert "goes to whoever it is addressed to" in said
    folder = tmp_path / "submissions" / "postcard" / "M2"
    assert (folder / "post/card.txt").read_text() == "Dear grandmother, M2 is polite: 0.5"
    manifest = json.loads((folder / MANIFEST).read_text())
    assert (manifest["submission"], manifest["model"], manifest["name"]) == (
        "postcard",
        "M2",
        "M2",
    )
    assert str(tmp_path) not in (folder / MANIFEST).read_text()


def test_options_of_the_submission_itself(run, tmp_path):
    out = tmp_path / "out"
    named = ("--model", "M1", "--name", "ann/one")
    assert submit("postcard", run, *named, "--out", out, "--to", "you")[0] == 0
    assert (out / "post/card.txt").read_text() == "Dear you, ann/one is polite: 0.25"
    assert submit("postcard", run, "--out", out, "--to=me")[0] == 0
    assert (out / "post/card.txt").read_text() == "Dear me, M2 is polite: 0.5"
    code, said = submit("postcard", run, "--out", out, "--too", "me")
    assert code == 1
    assert "did you mean 'to'" in said
    assert submit("postcard", run, "--out", out, "--to")[0] == 1
    assert submit("postcard", run, "--out", out, "surplus", "words")[0] == 1


def test_help_lists_what_is_installed_and_their_options():
    said = submit("--help")[1]
    assert all(name in said for name in ("alpaca_eval", "mt_bench", "hub", "lm_eval", "check"))
    assert "--pretty-name" in submit("alpaca_eval", "--help")[1]
    assert submit("nobody")[0] == 2


def test_the_same_run_gives_the_same_bytes(run, tmp_path):
    for name in ("one", "two"):
        assert submit("postcard", run, "--out", tmp_path / name)[0] == 0
    files = [
        {p.name: p.read_bytes() for p in (tmp_path / name).rglob("*") if p.is_file()}
        for name in ("one", "two")
    ]
    assert files[0] == files[1]


@pytest.mark.parametrize(
    ("model", "name", "says"),
    [
        ("M9", None, r"no results of 'M9': it measured M0, M1, M2"),
        (None, "../x", r"cannot be a model's name"),
        (None, "a/b/c", r"cannot be a model's name"),
        (None, "a b", r"cannot be a model's name"),
    ],
)
def test_models_and_names_that_cannot_enter(run, model, name, says):
    with pytest.raises(ConfigError, match=says):
        entry(Store(run), model, name)


def test_an_unfinished_run_wants_a_model_named(run):
    request = json.loads((run / "request.json").read_text())
    (run / "request.json").write_text(json.dumps(request | {"iterations": 3}))
    with pytest.raises(ConfigError, match=r"not finished: round 2 of 3.*--model \(M0, M1, M2\)"):
        entry(Store(run))
    assert entry(Store(run), "M1").model.name == "M1"


def test_a_run_without_results(tmp_path):
    measured(tmp_path / "run", [], models=())
    with pytest.raises(ConfigError, match="measured no model yet"):
        entry(Store(tmp_path / "run"))
    with pytest.raises(StoreError, match="holds no run"):
        entry(Store(tmp_path))


def test_other_peoples_folders_are_left_alone(run, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    assert submit("postcard", run, "--out", out)[0] == 0
    (out / "post/mine.txt").write_text("mine")
    assert "holds more than the bundle" in submit("postcard", run, "--out", out)[1]
    assert (out / "post/mine.txt").exists()
    (out / "post/mine.txt").unlink()
    manifest = json.loads((out / MANIFEST).read_text())
    (out / MANIFEST).write_text(json.dumps(manifest | {"submission": "hub"}))
    assert "holds a bundle for hub" in submit("postcard", run, "--out", out)[1]
    (out / MANIFEST).unlink()
    assert "holds other things (post/card.txt)" in submit("postcard", run, "--out", out)[1]
    assert "is a file" in submit("postcard", run, "--out", out / "post/card.txt")[1]
    left = [path.name for path in tmp_path.iterdir() if path.name.startswith(".submission")]
    assert left == []


def test_nothing_is_written_outside_of_a_bundle(run, tmp_path):
    with pytest.raises(PluginError, match="outside of its bundle"):
        raise_of("postcard", run, "--out", tmp_path / "out", "--outside", "true")
    assert not (tmp_path / "card.txt").exists()


def raise_of(*words):
    done = RUNNER.invoke(cli.app, ["submit", *map(str, words)])
    raise done.exception


def test_check_recognises_what_nobody_noted(run, tmp_path):
    out = tmp_path / "out"
    submit("postcard", run, "--out", out)
    (out / MANIFEST).unlink()
    code, said = submit("check", out)
    assert code == 0
    assert "by the official protocol" in said


def test_check_says_what_was_changed_or_lost(run, tmp_path):
    out = tmp_path / "out"
    submit("postcard", run, "--out", out)
    (out / "post/card.txt").write_text("Dear\x1b[2J you")
    code, said = submit("check", out)
    assert code == 1
    assert "changed since: post/card.txt" in said
    assert "breaks 1 of 3 rules: is dear" in said
    (out / "post/card.txt").write_text("Dear \x1b[2J you")
    code, said = submit("check", out)
    assert code == 0
    assert "\x1b[2J" not in said
    (out / "post/card.txt").unlink()
    assert "missing: post/card.txt" in submit("check", out)[1]


def test_check_of_what_is_no_bundle(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match=r"has notes.txt, the layout of none of"):
        bundles.check(tmp_path)
    with pytest.raises(DataError, match="is a file"):
        bundles.check(tmp_path / "notes.txt")
    with pytest.raises(DataError, match="does not exist"):
        bundles.check(tmp_path / "nothing")
    (tmp_path / MANIFEST).write_text('{"submission": 1')
    with pytest.raises(DataError, match="cannot be read as what"):
        bundles.check(tmp_path)
