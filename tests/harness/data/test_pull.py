"""Pulling: over real HTTP from a server on this machine."""

import os
import subprocess
import sys

import pytest

from harness.data import catalogue
from harness.data.pull import pull, pull_all
from harness.errors import DataError
from tests.harness.data.conftest import REVISION, A, B, C, digest

SHIPPED = catalogue.load()


def test_a_file_is_pulled_once(data, server):
    assert pull(data, "set/a.jsonl") is True
    assert data.find("set/a.jsonl").read_bytes() == A
    assert pull(data, "set/a.jsonl") is False
    assert server.asked == [f"/{REVISION}/a.jsonl"]


def test_a_wrong_hash_is_never_used(data, server):
    server.files[f"/{REVISION}/a.jsonl"] = B
    with pytest.raises(DataError, match=f"{digest(B)}, wanted {digest(A)}; it is kept as") as error:
        pull(data, "set/a.jsonl")
    kept = data.path("set/a.jsonl").with_name("a.jsonl.aside")
    assert str(kept) in str(error.value)
    assert kept.read_bytes() == B
    assert data.find("set/a.jsonl") is None
    assert data.sums() == {}
    server.files[f"/{REVISION}/a.jsonl"] = A
    assert pull(data, "set/a.jsonl") is True


def test_one_that_fails_stops_no_other(data, server):
    said = []
    del server.files[f"/{REVISION}/a.jsonl"]
    with pytest.raises(DataError, match=r"1 of 3 data sets could not be pulled \(set/a.jsonl\)"):
        pull_all(data, ["set/a.jsonl", "set/b.jsonl", "c.csv"], said.append)
    assert "answers 404" in said[0]
    assert said[1:] == [
        "set/b.jsonl: pulled, as pulled",
        "  licence unknown: ask its authors, never to be shipped",
        "c.csv: pulled, verified",
        "  CC-BY-NC-4.0: not for commercial use, never to be shipped",
    ]
    assert (data.find("set/b.jsonl").read_bytes(), data.find("c.csv").read_bytes()) == (B, C)


def test_a_file_that_breaks_off(data, server):
    server.broken_off.add(f"/{REVISION}/b.jsonl")
    with pytest.raises(ConnectionError, match=f"broke off after {len(B)} of {len(B) + 1} bytes"):
        pull(data, "set/b.jsonl")
    assert data.check("set/b.jsonl").state == "missing"
    assert not list(data.root.glob(".coming-*"))


def test_without_network_what_was_pulled_is_kept(data, server):
    said = []
    server.broken_off.add(f"/{REVISION}/b.jsonl")
    with pytest.raises(DataError, match=r"set/b\.jsonl cannot be reached .* before is kept"):
        pull_all(data, ["set/a.jsonl", "set/b.jsonl", "c.csv"], said.append)
    assert said == ["set/a.jsonl: pulled, verified"]
    server.broken_off.clear()
    pull_all(data, ["set/a.jsonl", "set/b.jsonl", "c.csv"], said.append)
    assert said[1] == "set/a.jsonl: is there, verified"
    assert data.find("c.csv").read_bytes() == C


def test_nobody_listens(data, tmp_path):
    entry = data.catalogue["set/a.jsonl"]
    gone = entry.model_copy(update={"url": "http://127.0.0.1:9/a.jsonl"})
    data.catalogue._entries["set/a.jsonl"] = gone
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1:9"):
        pull(data, "set/a.jsonl")


def test_a_file_of_ones_own_must_have_the_right_hash(data, tmp_path):
    given = tmp_path / "mine.jsonl"
    given.write_bytes(B)
    with pytest.raises(DataError, match=r"mine\.jsonl is not set/a\.jsonl"):
        pull(data, "set/a.jsonl", given)
    given.write_bytes(A)
    assert pull(data, "set/a.jsonl", given) is True
    assert data.check("set/a.jsonl").state == "verified"


def test_a_file_of_ones_own_must_be_of_the_right_kind(data, tmp_path):
    with pytest.raises(DataError, match=r"set/a\.jsonl is a file, and .* is none"):
        pull(data, "set/a.jsonl", tmp_path)
    with pytest.raises(DataError, match=r"set/whole is a folder, and .* is none"):
        pull(data, "set/whole", tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="set/whole: there is no file in"):
        pull(data, "set/whole", tmp_path / "empty")


def command(server, tmp_path, *arguments, **environment):
    code = """
import sys
from harness.data.command import data
from harness.errors import DataError
try:
    data()
except DataError as error:
    sys.exit(str(error))
"""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ
        | {
            "HF_ENDPOINT": server.address,
            "HF_HOME": str(tmp_path / "hub"),
            "HARNESS_DATA": str(tmp_path / "data"),
            "NO_PROXY": "127.0.0.1",
        }
        | environment,
    )


def test_a_whole_data_set_of_the_hub(server, tmp_path):
    start = f"/datasets/baber/piqa/resolve/{SHIPPED['nlp/piqa'].revision}"
    server.files |= {f"{start}/README.md": b"---\n---\n", f"{start}/data/validation.jsonl": A}
    done = command(server, tmp_path, "pull", "nlp/piqa")
    assert done.returncode == 0, done.stderr
    assert "nlp/piqa: pulled, as pulled" in done.stdout
    pulled = tmp_path / "data" / "nlp" / "piqa"
    files = sorted(f.relative_to(pulled).as_posix() for f in pulled.rglob("*") if f.is_file())
    assert files == ["README.md", "data/validation.jsonl"]
    assert "is there" in command(server, tmp_path, "pull", "nlp/piqa", HF_HUB_OFFLINE="1").stdout


def test_one_file_of_the_hub_has_the_right_hash_or_is_not_used(server, tmp_path):
    revision = SHIPPED["alpaca_eval/df_gamed.csv"].revision
    start = f"/datasets/tatsu-lab/alpaca_eval/resolve/{revision}"
    server.files |= {f"{start}/df_gamed.csv": C, f"{start}/instruction_difficulty.csv": B}
    done = command(server, tmp_path, "pull", "alpaca_eval/df_gamed.csv")
    assert done.returncode != 0
    wanted = SHIPPED["alpaca_eval/df_gamed.csv"].sha256
    assert f"{digest(C)}, wanted {wanted}" in "".join(done.stderr.split("\n"))
    there = [file.name for file in (tmp_path / "data").rglob("*") if file.is_file()]
    assert there == ["df_gamed.csv.aside"]


def test_a_hub_that_must_not_be_asked(server, tmp_path):
    done = command(server, tmp_path, "pull", "nlp/siqa", HF_HUB_OFFLINE="1")
    assert done.returncode != 0
    assert "HF_HUB_OFFLINE is set" in done.stderr
    assert not server.asked
