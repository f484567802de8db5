import resource
import signal

import pytest

from harness.errors import StoreError
from reports.files import write


def test_a_folder_is_made_and_a_file_is_replaced(tmp_path):
    path = tmp_path / "figures" / "series.svg"
    assert write(write(path, "old"), "new") == path
    assert path.read_text() == "new"
    assert [one.name for one in path.parent.iterdir()] == ["series.svg"]


def test_a_full_disk_leaves_what_was_there(tmp_path):
    path = write(tmp_path / "report.md", "old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(StoreError, match=r"cannot write .*report\.md"):
            write(path, "x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["report.md"]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    write(tmp_path / "file", "no folder")
    with pytest.raises(StoreError, match="cannot write"):
        write(tmp_path / "file" / "report.md", "x")
