"""`harness data`, as a user types it."""

import hashlib

import pytest
from typer.testing import CliRunner

from harness.data import command
from harness.data.folder import DataFolder
from harness.errors import DataError
from tests.harness.data.conftest import A, B

RUNNER = CliRunner()


@pytest.fixture
def harness_data(data, monkeypatch):
    """Run a command on the small catalogue; an expected error is raised, as `main` expects it."""
    monkeypatch.setattr(command, "here", lambda: data)

    def run(*arguments):
        result = RUNNER.invoke(command.data, [str(argument) for argument in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    return run


def rows(output):
    return {line.split()[0]: " ".join(line.split()) for line in output.splitlines()}


def test_list_says_all_there_is_to_know(harness_data, data, server):
    harness_data("pull", "set/a.jsonl")
    listed = rows(harness_data("list"))
    digest = hashlib.sha256((data.root / "set/a.jsonl").read_bytes()).hexdigest()
    assert listed["set/a.jsonl"] == (
        f"set/a.jsonl verified 9 MIT example sha256 {digest} {server.address}/{'a' * 40}/a.jsonl"
    )
    assert listed["set/b.jsonl"].startswith("set/b.jsonl missing unknown unknown")
    assert " revision " in listed["set/b.jsonl"]
    assert listed["set/whole"] == "set/whole missing unknown Apache-2.0 not pinned hf:org/whole"
    assert listed["in"].startswith(f"in {data.root}")


def test_pull_and_verify(harness_data, data):
    output = harness_data("pull", "set/a.jsonl", "set/b.jsonl", "c.csv")
    assert "set/a.jsonl: pulled, verified" in output
    assert "CC-BY-NC-4.0: not for commercial use" in output
    assert harness_data("verify").splitlines() == [
        "set/a.jsonl: verified",
        "set/b.jsonl: as pulled",
        "c.csv: verified",
    ]
    assert harness_data("verify", data.path("set/a.jsonl")) == "set/a.jsonl: verified\n"
    data.path("set/b.jsonl").write_bytes(A)
    data.path("set/a.jsonl").unlink()
    with pytest.raises(DataError, match=r"not as they should be: set/a\.jsonl, set/b\.jsonl;"):
        harness_data("verify")
    assert harness_data("verify", "c.csv") == "c.csv: verified\n"


def test_verify_names_what_was_asked_for_and_never_came(harness_data):
    assert harness_data("verify").startswith("nothing to verify: no data set is in ")
    with pytest.raises(DataError, match=r"set/b\.jsonl"):
        harness_data("verify", "set/b.jsonl")
    with pytest.raises(DataError, match=r"no data set 'd\.csv'"):
        harness_data("verify", "d.csv")


def test_pull_from_a_file(harness_data, tmp_path):
    given = tmp_path / "mine"
    given.write_bytes(A)
    assert harness_data("pull", "set/a.jsonl", "--from", given) == "set/a.jsonl: pulled, verified\n"
    assert "is there" in harness_data("pull", "set/a.jsonl", "--from", given)
    given.write_bytes(B)
    with pytest.raises(DataError, match=r"is not c\.csv"):
        harness_data("pull", "c.csv", "--from", given)
    with pytest.raises(DataError, match="is for one data set, not 3"):
        harness_data("pull", "set", "--from", given)


def test_pack_and_unpack(harness_data, data, tmp_path, monkeypatch):
    harness_data("pull", "set/a.jsonl", "c.csv")
    archive = tmp_path / "data.tar.gz"
    output = harness_data("pack", archive)
    assert "2 data sets" in output
    assert "c.csv: CC-BY-NC-4.0: not for commercial use" in output
    other = DataFolder(tmp_path / "other", data.catalogue)
    monkeypatch.setattr(command, "here", lambda: other)
    assert "2 new data sets" in harness_data("unpack", archive)
    assert harness_data("verify").splitlines() == ["set/a.jsonl: verified", "c.csv: verified"]
    with pytest.raises(DataError, match=r"set/b\.jsonl is not in"):
        harness_data("pack", archive, "set/b.jsonl")
