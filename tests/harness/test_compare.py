import json
from importlib.metadata import EntryPoint

import pytest
from typer.testing import CliRunner

from harness import cli, plugins
from harness.errors import HarnessError
from harness.files import write_json

RUNNER = CliRunner()
REPORTS = {
    "latex": "reports.latex:Latex",
    "markdown": "reports.markdown:Markdown",
    "summary": "reports.summary:Summary",
    "terminal": "reports.terminal:Terminal",
}


@pytest.fixture(autouse=True)
def no_strangers(monkeypatch):
    """Reports of other packages stay out of it."""
    entries = [EntryPoint(name, value, "harness.reports") for name, value in REPORTS.items()]
    monkeypatch.setattr(plugins, "installed", lambda kind: entries)


@pytest.fixture
def runs(tmp_path):
    """The folders of two runs that have only begun, one name in two places."""
    folders = [tmp_path / "one" / "run", tmp_path / "other" / "run"]
    for seed, folder in enumerate(folders):
        folder.mkdir(parents=True)
        request = {"model": {"location": "microworld"}, "iterations": 1, "seed": seed}
        write_json(folder / "request.json", request)
        write_json(folder / "environment.json", {"harness": "0.1.0"})
    return folders


def compare(*arguments):
    return RUNNER.invoke(cli.app, ["compare", *map(str, arguments)])


def test_every_report_that_can_compare_writes_its_own(runs, tmp_path):
    done = compare(*runs, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.exception
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "compare.md", "compare.json", "compare.txt", "compare.tex"
    }  # fmt: skip
    assert "one/run" in done.output, "what tells the names apart is kept"
    assert "READ WITH CARE" in done.output
    assert done.output.rstrip().endswith("compare.txt")


def test_json_is_all_that_is_printed_where_it_is_asked_for(runs, tmp_path):
    done = compare(*runs, "--json", "--out", tmp_path / "out")
    assert {row["kind"] for row in json.loads(done.output)} == {"ablation", "published"}


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ([0], "alone is nothing to compare; name another run, or see `harness report"),
        ([0, 1, 0], "was given more than once"),
    ],
)
def test_a_users_mistake_is_one_line(chosen, says, runs, tmp_path):
    done = compare(*(runs[k] for k in chosen), "--out", tmp_path / "out")
    assert isinstance(done.exception, HarnessError)
    assert says in str(done.exception)
    assert "\n" not in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_run_is_one_line(runs, tmp_path):
    done = compare(runs[0], tmp_path, "--out", tmp_path / "out")
    assert "holds no run" in str(done.exception)


def test_a_folder_that_cannot_be_made_is_one_line(runs, tmp_path):
    (tmp_path / "file").write_text("")
    done = compare(*runs, "--out", tmp_path / "file")
    assert "cannot write" in str(done.exception)
