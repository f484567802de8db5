"""Kill -9 at many points of a run; the same command must finish it, with the same rows.

Each attempt is a forked process that kills itself in the middle of its k-th write, so that every
kind of file is torn once: row logs, results, weights.
"""

import json
import os
import signal
import traceback
from importlib import import_module
from pathlib import Path

import pytest

from harness import rows
from harness.run import run
from harness.store import Store

MULTIPLE = 13
"""Every so many writes there is a kill."""


def _attempt(request, folder, writes):
    """Run in a forked process that dies at its `writes`-th write; say whether it finished."""
    child = os.fork()
    if child == 0:
        _die_at(writes)
        try:
            run(request, Store(folder))
        except BaseException:  # noqa: BLE001 - the child must end here, whatever happened
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.waitstatus_to_exitcode(status) == 0
    return True


def _die_at(writes):
    """Make the process kill itself at a write: half a row is written, or a file not renamed."""
    count = 0
    append, replace, rename = rows.RowLog.append, Path.replace, Path.rename

    def counted():
        nonlocal count
        count += 1
        return count == writes

    def torn_append(log, key, row):
        if counted():
            line = json.dumps({"key": key, "row": row}).encode()
            os.write(log._file.fileno(), line[: len(line) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        append(log, key, row)

    def no_replace(path, target):
        if counted():
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(path, target)

    def no_rename(path, target):
        if counted():
            os.kill(os.getpid(), signal.SIGKILL)
        return rename(path, target)

    rows.RowLog.append, Path.replace, Path.rename = torn_append, no_replace, no_rename


def _logs(folder):
    """All rows, by file; without the costs, which count attempts."""
    found = {}
    for path in sorted(folder.rglob("*.jsonl")):
        if path.name != "costs.jsonl":
            lines = path.read_bytes().split(b"\n")[:-1]
            found[str(path.relative_to(folder))] = [json.loads(line) for line in lines]
    return found


@pytest.mark.timeout(600)
def test_killed_again_and_again_a_run_ends_as_if_it_never_was(tiny_request, tmp_path):
    for name in ("harness.engines.loaded_transformers", "training.trl_sft", "training.trl_dpo"):
        import_module(name)  # once, not in every attempt
    request = tiny_request(iterations=2)
    assert _attempt(request, tmp_path / "whole", writes=-1)
    whole = _logs(tmp_path / "whole")

    torn, kills = tmp_path / "torn", 0
    before: dict[Path, bytes] = {}
    while not _attempt(request, torn, writes=MULTIPLE):
        kills += 1
        kept = {path: path.read_bytes() for path in torn.rglob("*.jsonl")}
        for path, data in before.items():
            whole_lines = data[: data.rfind(b"\n") + 1]
            assert kept[path].startswith(whole_lines), f"{path} lost or changed a finished row"
        before = kept
    assert kills >= 20, f"only {kills} kills"

    finished = _logs(torn)
    assert finished.keys() == whole.keys()
    same = total = 0
    for name in whole:
        before, after = ({r["key"]: r["row"] for r in logs[name]} for logs in (whole, finished))
        assert before.keys() == after.keys(), name
        total += len(before)
        same += sum(after[key] == row for key, row in before.items())
    # A row draws the same random numbers in any batch; what is left is the arithmetic's rounding.
    assert same >= 0.99 * total
    record, uninterrupted = Store(torn).record(), Store(tmp_path / "whole").record()
    assert [s.stage for s in record.stages] == [s.stage for s in uninterrupted.stages]
    names = [[m.name for m in (*s.comparators, s.model)] for s in record.stages]
    assert names == [[m.name for m in (*s.comparators, s.model)] for s in uninterrupted.stages]
