"""What is in the data folder counts by its content."""

import pytest

from harness.data import folder
from harness.data.folder import Check, parse_sums
from harness.data.pull import pull
from harness.errors import DataError
from tests.harness.data.conftest import A, B, C, digest


def place(data, name, content):
    path = data.path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_where_the_folder_is(monkeypatch, tmp_path):
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder.folder() == tmp_path / ".cache/self-rewarding-harness/data"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert folder.folder() == tmp_path / "cache/self-rewarding-harness/data"
    monkeypatch.setenv("HARNESS_DATA", "~/mine")
    assert folder.folder() == tmp_path / "mine"


def test_finding_in_the_shipped_catalogue(monkeypatch, tmp_path):
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    assert folder.find("mt_bench/judge_prompts.jsonl") is None
    assert folder.find_hub("allenai/ai2_arc") is None
    assert folder.find_hub("nobody/knows") is None
    arc = tmp_path / "nlp" / "ai2_arc" / "README.md"
    arc.parent.mkdir(parents=True)
    arc.write_text("ARC")
    assert folder.find_hub("allenai/ai2_arc") == arc.parent
    wrong = tmp_path / "mt_bench" / "judge_prompts.jsonl"
    wrong.parent.mkdir()
    wrong.write_text("{}")
    with pytest.raises(DataError, match=r"has sha256 .* wanted fd283293406d"):
        folder.find("mt_bench/judge_prompts.jsonl")
    with pytest.raises(DataError, match=r"no data set '.*prompt\.jsonl'; did you mean"):
        folder.find("mt_bench/judge_prompt.jsonl")


def test_states(data):
    assert data.check("set/a.jsonl") == Check("missing")
    place(data, "set/a.jsonl", A)
    assert data.check("set/a.jsonl") == Check("verified")
    place(data, "set/b.jsonl", B)
    assert data.check("set/b.jsonl") == Check("unchecked")
    assert data.find("set/b.jsonl") == data.path("set/b.jsonl")
    place(data, "set/a.jsonl", B)
    changed = data.check("set/a.jsonl")
    assert changed.state == "changed"
    assert changed.detail == f"set/a.jsonl has sha256 {digest(B)}, wanted {digest(A)}"
    with pytest.raises(DataError, match=f"{digest(B)}, wanted {digest(A)}"):
        data.find("set/a.jsonl")


def test_without_a_known_hash_what_came_is_the_measure(data, tmp_path):
    given = tmp_path / "given"
    (given / "ARC").mkdir(parents=True)
    (given / "README.md").write_text("read me")
    (given / "ARC" / "test.jsonl").write_bytes(A)
    assert pull(data, "set/whole", given)
    assert data.check("set/whole") == Check("as pulled")
    assert data.noted("set/whole")["set/whole/ARC/test.jsonl"] == digest(A)
    (data.path("set/whole") / "more.txt").write_text("more")
    assert data.check("set/whole").detail == "set/whole/more.txt does not belong there"
    (data.path("set/whole") / "more.txt").unlink()
    (data.path("set/whole") / "README.md").unlink()
    assert data.check("set/whole").detail == "set/whole/README.md is missing"


def test_the_list_of_hashes_is_kept(data, tmp_path):
    for name, content in {"set/a.jsonl": A, "set/b.jsonl": B, "c.csv": C}.items():
        given = tmp_path / "given"
        given.write_bytes(content)
        pull(data, name, given)
    assert (data.root / "SHA256SUMS").read_text() == (
        f"{digest(C)}  c.csv\n{digest(A)}  set/a.jsonl\n{digest(B)}  set/b.jsonl\n"
    )
    assert not list(data.root.glob(".coming-*"))


def test_what_was_there_is_kept_aside(data, tmp_path):
    path = place(data, "set/a.jsonl", B)
    given = tmp_path / "given"
    given.write_bytes(A)
    assert pull(data, "set/a.jsonl", given)
    assert path.read_bytes() == A
    assert path.with_name("a.jsonl.aside").read_bytes() == B
    assert given.read_bytes() == A


def test_a_damaged_list_of_hashes():
    assert parse_sums(f"{digest(A)}  a  b\n", "x") == {"a  b": digest(A)}
    with pytest.raises(DataError, match="SUMS, line 2, is not"):
        parse_sums(f"{digest(A)}  a\n{digest(A)} b\n", "SUMS")


@pytest.mark.parametrize("where", ["TemporaryDirectory", "format_sums"])
def test_a_folder_that_cannot_be_written(data, monkeypatch, where):
    def refuse(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, where, refuse)
    with pytest.raises(DataError, match="No space left on device; make room or grant access"):
        pull(data, "set/a.jsonl")
