import os
import resource
import signal
import subprocess
import sys

import pytest

from harness.errors import StoreError
from harness.rows import RowLog


def test_rows_survive_being_closed_and_opened(tmp_path):
    with RowLog(tmp_path / "log.jsonl") as log:
        log.append("a", {"text": "line\nbreak \u2028 \ud800"})
        log.append("b", [1, None])
    with RowLog(tmp_path / "log.jsonl") as log:
        assert dict(log) == {"a": {"text": "line\nbreak \u2028 \ud800"}, "b": [1, None]}


def test_a_torn_last_line_is_owed_again(tmp_path):
    path = tmp_path / "log.jsonl"
    with RowLog(path) as log:
        log.append("a", 1)
        log.append("b", 2)
    whole = path.read_bytes()
    for cut in range(len(whole) // 2 + 1, len(whole)):
        path.write_bytes(whole[:cut])
        with RowLog(path) as log:
            assert dict(log) == {"a": 1}
            log.append("b", 2)
        assert path.read_bytes() == whole


def test_a_row_is_never_changed(tmp_path):
    with RowLog(tmp_path / "log.jsonl") as log:
        log.append("a", 1)
        with pytest.raises(StoreError, match="'a'"):
            log.append("a", 2)


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "log.jsonl"
    for damage in ("nonsense", "[" * 100_000):
        path.write_text(f'{{"key": "a", "row": 1}}\n{damage}\n{{"key": "b", "row": 1}}\n')
        with pytest.raises(StoreError, match="line 2"):
            RowLog(path)


WRITER = """
import sys
from pathlib import Path
from harness.rows import RowLog
log = RowLog(Path(sys.argv[1]))
for number in range(10**9):
    log.append(str(number), "x" * 50)
    print(number, flush=True)
"""


def test_kill_9_loses_no_row_that_was_appended(tmp_path):
    path = tmp_path / "log.jsonl"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    said = [writer.stdout.readline() for _ in range(200)]
    os.kill(writer.pid, signal.SIGKILL)
    said += writer.stdout.read().splitlines()
    writer.wait()
    writer.stdout.close()
    with RowLog(path) as log:
        assert len(log) >= len([line for line in said if line.strip()])


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path):
    path = tmp_path / "log.jsonl"
    log = RowLog(path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(StoreError, match=r"cannot write .*every finished row is kept"):
            for number in range(1000):
                log.append(str(number), "x" * 20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    log.append("room again", 1)
    kept = len(log)
    log.close()
    with RowLog(path) as again:
        assert len(again) == kept


def test_no_permission_is_one_line(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match="cannot write"):
        RowLog(tmp_path / "file" / "log.jsonl")
