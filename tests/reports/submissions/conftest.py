"""Bundles of every kind, of runs that are made here, and ways to damage them."""

import json

import pytest

from evals.alpaca_eval import export, instructions, length_control
from evals.alpaca_eval.evaluation import AlpacaEval
from harness import plugins
from harness.config import Choice
from harness.store import Store
from harness.submissions import bundles
from harness.submissions.entries import entry
from tests.evals.alpaca_eval.judgements import judged_rows
from tests.measured import measured


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "no data"))


@pytest.fixture
def submit(tmp_path):
    """Write a bundle of a run's last model, and give its folder."""

    def write(kind, run, name="mine", model=None, **options):
        built = plugins.build(plugins.SUBMISSIONS, Choice(name=kind, **options))
        folder = tmp_path / "bundles" / kind
        bundles.write(built, entry(Store(run), model, name), folder)
        return folder

    return write


@pytest.fixture
def states():
    """Check a bundle, and list its rules by how it stands to them."""

    def check(folder):
        found = {}
        for rule in bundles.check(folder).rules:
            found.setdefault(rule.state, {}).setdefault(rule.name, rule.detail)
        return found

    return check


@pytest.fixture
def official(monkeypatch):
    """Make `Instruction 0` to `Instruction 804` AlpacaEval's own."""
    known = {instructions.digest(f"Instruction {k}"): k for k in range(instructions.TOTAL)}
    monkeypatch.setattr(instructions, "_positions", lambda: known)
    monkeypatch.setattr(length_control, "RESAMPLES", 1)


@pytest.fixture
def alpaca_run(tmp_path, official):
    """Make a run out of rows of an annotations.json."""

    def make(rows, **asked):
        path = tmp_path / "annotations.json"
        path.write_text(json.dumps(rows))
        [scored] = AlpacaEval.score([path])
        result = scored.model_copy(update={"model": "M0"})
        options = {"name": "alpaca_eval", "max_tokens": 48, "temperature": 0.7, "top_p": 0.9}
        return measured(
            tmp_path / "run",
            [result],
            {("M0", "alpaca_eval"): dict(export.files(result))},
            evaluations=[options | asked],
        )

    return make


@pytest.fixture
def alpaca_rows():
    """All of AlpacaEval's instructions, judged by the leaderboard's judge."""
    told = {"logprobs": {"content": [{"token": "m"}]}}
    return [row | {"preference_raw_completion": told} for row in judged_rows()]


@pytest.fixture
def edit():
    """Change a bundle's file: rows of JSON or JSON Lines, an object, or the text itself."""

    def change(path, by):
        text = path.read_text()
        if path.suffix == ".jsonl":
            rows = [json.loads(line) for line in text.splitlines()]
            path.write_text("".join(json.dumps(row) + "\n" for row in by(rows)))
        elif path.suffix == ".json":
            path.write_text(json.dumps(by(json.loads(text))))
        else:
            path.write_text(by(text))

    return change
