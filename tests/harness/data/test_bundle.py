"""Archives for machines without network: the same bytes again, and nothing believed."""

import gzip
import io
import tarfile

import pytest

from harness.data.bundle import pack, unpack
from harness.data.folder import DataFolder, format_sums
from harness.data.pull import pull
from harness.errors import DataError
from tests.harness.data.conftest import A, B, digest


@pytest.fixture
def other(data, tmp_path):
    return DataFolder(tmp_path / "other", data.catalogue)


@pytest.fixture
def full(data, tmp_path):
    """A data folder with a file and a folder."""
    given = tmp_path / "given"
    (given / "deep").mkdir(parents=True)
    (given / "deep" / "test.jsonl").write_bytes(B)
    (given / "README.md").write_text("read me")
    pull(data, "set/whole", given)
    pull(data, "set/a.jsonl")
    return data


def crafted(path, members, sums=None):
    """Write an archive by hand: (name, content) or a TarInfo without content."""
    listed = {m[0]: digest(m[1]) for m in members if isinstance(m, tuple)} if sums is None else sums
    with tarfile.open(path, "w:gz") as tar:
        for member in [("SHA256SUMS", format_sums(listed).encode()), *members]:
            if isinstance(member, tuple):
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
            else:
                tar.addfile(member)
    return path


def test_there_and_back(full, other, tmp_path):
    archive = tmp_path / "data.tar.gz"
    pack(full, archive, ["set/a.jsonl", "set/whole"])
    assert unpack(other, archive) == ["set/a.jsonl", "set/whole"]
    assert other.sums() == full.sums()
    assert other.check("set/a.jsonl").state == "verified"
    assert other.check("set/whole").state == "as pulled"
    assert unpack(other, archive) == []
    assert not list(tmp_path.rglob("*.aside"))


def test_the_same_data_give_the_same_bytes(full, tmp_path):
    one, two = tmp_path / "one.tar.gz", tmp_path / "two.tar.gz"
    pack(full, one, ["set/a.jsonl", "set/whole"])
    (full.path("set/whole") / "README.md").touch()
    pack(full, two, ["set/whole", "set/a.jsonl"])
    assert one.read_bytes() == two.read_bytes()
    with tarfile.open(one) as tar:
        assert tar.getnames() == [
            "SHA256SUMS",
            "set/a.jsonl",
            "set/whole/README.md",
            "set/whole/deep/test.jsonl",
        ]
        assert {(m.mtime, m.uid, m.uname, m.mode) for m in tar} == {(0, 0, "", 0o644)}


def test_only_what_is_right_is_packed(full, tmp_path):
    archive = tmp_path / "data.tar.gz"
    with pytest.raises(DataError, match=r"c\.csv is not in"):
        pack(full, archive, ["set/a.jsonl", "c.csv"])
    full.path("set/a.jsonl").write_bytes(B)
    with pytest.raises(DataError, match="is not what it should be"):
        pack(full, archive, ["set/a.jsonl"])
    with pytest.raises(DataError, match="nothing in"):
        pack(full, archive, [])
    with pytest.raises(DataError, match="cannot write"):
        pack(full, tmp_path / "no" / "folder.tar.gz", ["set/whole"])
    assert not list(tmp_path.glob("*.tar.gz*"))


def link(name, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


UP = ("set/whole/../../../evil", b"evil")
STRANGER = ("stranger.jsonl", b"evil")


@pytest.mark.parametrize(
    ("members", "sums", "problem"),
    [
        ([("set/a.jsonl", B)], None, "and the catalogue wants"),
        ([("set/a.jsonl", A)], {"set/a.jsonl": digest(B)}, "it is damaged"),
        ([UP], None, "is in no data set"),
        ([("/tmp/evil", b"evil")], None, "is in no data set"),
        ([STRANGER], None, "is in no data set"),
        ([("set/b.jsonl/inside", B)], None, "is in no data set"),
        ([("set/a.jsonl", A), UP], {"set/a.jsonl": digest(A)}, "not a file on its list"),
        ([("set/a.jsonl", A), STRANGER], {"set/a.jsonl": digest(A)}, "not a file on its list"),
        ([("set/a.jsonl", A), ("set/a.jsonl", A)], None, "not a file on its list"),
        ([link("set/b.jsonl", tarfile.SYMTYPE)], {"set/b.jsonl": digest(B)}, "not a file on its"),
        ([link("set/b.jsonl", tarfile.LNKTYPE)], {"set/b.jsonl": digest(B)}, "not a file on its"),
        ([link("set/whole", tarfile.DIRTYPE)], {"set/b.jsonl": digest(B)}, "not a file on its"),
        ([("set/a.jsonl", A)], {"set/a.jsonl": digest(A), "set/b.jsonl": digest(B)}, "not there"),
    ],
)
def test_nothing_is_believed(data, tmp_path, members, sums, problem):
    archive = crafted(tmp_path / "crafted.tar.gz", members, sums)
    with pytest.raises(DataError, match=problem):
        unpack(data, archive)
    assert [path for path in data.root.rglob("*") if path.is_file()] == []
    assert not list(tmp_path.rglob("evil"))


def test_one_wrong_file_keeps_all_out(data, tmp_path):
    archive = crafted(tmp_path / "crafted.tar.gz", [("set/b.jsonl", B), ("set/a.jsonl", B)])
    with pytest.raises(DataError, match="and the catalogue wants"):
        unpack(data, archive)
    assert data.check("set/b.jsonl").state == "missing"


def test_what_is_no_archive(full, other, tmp_path):
    archive = tmp_path / "data.tar.gz"
    pack(full, archive, ["set/a.jsonl", "set/whole"])
    whole = archive.read_bytes()
    for content in (b"", b"no archive", whole[: len(whole) // 2], gzip.compress(b"no tar")):
        archive.write_bytes(content)
        with pytest.raises(DataError, match=r"data\.tar\.gz"):
            unpack(other, archive)
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("set/a.jsonl"), io.BytesIO(b""))
    with pytest.raises(DataError, match="does not begin with SHA256SUMS"):
        unpack(other, archive)
    with pytest.raises(DataError, match="No such file"):
        unpack(other, tmp_path / "missing.tar.gz")
    assert [path for path in other.root.rglob("*") if path.is_file()] == []


def test_what_differs_is_kept_aside(full, other, tmp_path):
    archive = tmp_path / "data.tar.gz"
    pack(full, archive, ["set/whole"])
    (other.root / "set" / "whole").mkdir(parents=True)
    (other.root / "set" / "whole" / "mine.txt").write_text("mine")
    assert unpack(other, archive) == ["set/whole"]
    assert (other.root / "set" / "whole.aside" / "mine.txt").read_text() == "mine"
    assert not (other.root / "set" / "whole" / "mine.txt").exists()
