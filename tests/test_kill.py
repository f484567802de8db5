"""Kill -9 at many points of every stage; the same command must finish the run, losing nothing.

Each attempt is a forked process that kills itself: in the middle of a row, before a finished file
or folder is given its name, and in the middle of every training. No point is visited twice.
"""

import json
import os
import signal
import traceback
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

from harness.metering import Meter
from harness.rows import RowLog
from harness.run import run
from harness.store import Store

ROWS_BETWEEN_KILLS = 30


class Killer:
    """Decides where the next attempt dies; what it has visited outlives it in a file."""

    def __init__(self, visited: Path) -> None:
        self.visited = visited
        self.rows = 0

    def is_new(self, point: str) -> bool:
        """Whether no earlier attempt died here."""
        return not self.visited.exists() or point not in self.visited.read_text().splitlines()

    def at(self, point: str) -> None:
        """Die here, unless an earlier attempt has."""
        if self.is_new(point):
            with self.visited.open("a") as file:
                file.write(f"{point}\n")
            os.kill(os.getpid(), signal.SIGKILL)

    def arm(self, root: Path) -> None:
        """Put a trap before every kind of write, in this process."""
        append, replace, rename, progress = (
            RowLog.append,
            Path.replace,
            Path.rename,
            Meter.progress,
        )

        def torn_append(log, key, row):
            self.rows += 1
            point = f"{log.path.relative_to(root)} {key}"
            if self.rows >= ROWS_BETWEEN_KILLS and self.is_new(point):
                line = json.dumps({"key": key, "row": row}).encode()
                os.write(log._file.fileno(), line[: len(line) // 2])
                self.at(point)
            append(log, key, row)

        def before_replace(path, target):
            self.at(str(Path(target).relative_to(root)))
            return replace(path, target)

        def before_rename(path, target):
            self.at(str(Path(target).relative_to(root)))
            return rename(path, target)

        def in_training(meter, what, done, total):
            if what.startswith("train") and done == max(1, total // 2):
                stage = "02" if what.endswith("M2") else "01"
                self.at(f"stages/{stage}-train/{what} step {done}")
            progress(meter, what, done, total)

        RowLog.append, Path.replace, Path.rename = torn_append, before_replace, before_rename
        Meter.progress = in_training


def attempt(request, folder, killer=None):
    """Run in a forked process; say whether it finished."""
    child = os.fork()
    if child == 0:
        try:
            if killer:
                killer.arm(folder)
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


def logs(folder):
    """All rows, by file; without the costs, which count attempts."""
    found = {}
    for path in sorted(folder.rglob("*.jsonl")):
        if path.name != "costs.jsonl":
            lines = path.read_bytes().split(b"\n")[:-1]
            entries = [json.loads(line) for line in lines]
            found[str(path.relative_to(folder))] = {e["key"]: e["row"] for e in entries}
            assert len(entries) == len(found[str(path.relative_to(folder))])
    return found


def rounded(value):
    """Probabilities depend on the batch in their last digits."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list) else value


@pytest.mark.timeout(900)
def test_killed_at_every_kind_of_point_a_run_ends_as_if_it_never_was(tiny_request, tmp_path):
    for name in ("harness.engines.loaded_transformers", "training.trl_sft", "training.trl_dpo"):
        import_module(name)  # once, not in every attempt
    request = tiny_request(iterations=2, sft={"checkpoint_every": 10}, dpo={"checkpoint_every": 1})
    assert attempt(request, tmp_path / "whole")
    whole = logs(tmp_path / "whole")

    torn, visited = tmp_path / "torn", tmp_path / "visited"
    before: dict[Path, bytes] = {}
    while not attempt(request, torn, Killer(visited)):
        kept = {path: path.read_bytes() for path in torn.rglob("*.jsonl")}
        for path, data in before.items():
            finished_rows = data[: data.rfind(b"\n") + 1]
            assert kept[path].startswith(finished_rows), f"{path} lost or changed a finished row"
        before = kept

    points = visited.read_text().splitlines()
    stages = Counter(point.split("/")[1] for point in points if point.startswith("stages/"))
    print(f"{len(points)} kills: {dict(stages)}")
    for stage in ("00-evaluate", "01-train", "01-evaluate", "02-train", "02-evaluate"):
        assert stages[stage] >= 3, points
    for training in ("train SFT", "train M1", "train M2"):
        assert any(training in point for point in points), points

    finished = logs(torn)
    assert finished.keys() == whole.keys()
    same = total = 0
    for name in whole:
        assert finished[name].keys() == whole[name].keys(), name
        total += len(whole[name])
        same += sum(
            rounded(finished[name][key]) == rounded(row) for key, row in whole[name].items()
        )
    # A row draws the same random numbers in any batch; what is left is the arithmetic's rounding.
    assert same >= 0.99 * total
    record, uninterrupted = Store(torn).record(), Store(tmp_path / "whole").record()
    for stage, other in zip(record.stages, uninterrupted.stages, strict=True):
        assert stage.stage == other.stage
        models, others = ((*s.comparators, s.model) for s in (stage, other))
        assert [m.name for m in models] == [m.name for m in others]
