"""What the first of two processes does for both: real ones, which talk by gloo."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import DataError
from harness.records import ModelRef
from training.agreeing import agreed

_PROCESS = """
import json, os, sys
from datetime import timedelta
from pathlib import Path
from training.settings import Launcher
from training.strategy import environment
os.environ.update(environment(Launcher(name="accelerate", processes=2, strategy="fsdp2")))
from accelerate import PartialState
from harness.errors import HarnessError
from harness.records import ModelRef
from training import weights
from training.agreeing import agreed
from training.dpo import DPO
from training.job import Job
from training.reference import references
from training.sft import SFT

model, changed, folder = sys.argv[1:]
rank = PartialState(cpu=True, timeout=timedelta(seconds=60)).process_index
hashed = []
identified = weights.identified
weights.identified = lambda ref: hashed.append(ref) or identified(ref)
start = weights.load(ModelRef(**json.loads(model)), SFT(learning_rate=1e-3))
said = {
    "agreed": agreed(lambda: f"by {rank}"),
    "hashed": len(hashed),
    "weights": sorted({weight.device.type for weight in start.model.parameters()}),
    "buffers": sorted({buffer.device.type for buffer in start.model.buffers()}),
}
try:
    weights.load(ModelRef(**json.loads(changed)), SFT(learning_rate=1e-3))
except HarnessError as error:
    said["error"] = str(error)
# As on a file system where only the first one's machine sees the file yet.
job = Job(ModelRef(location=""), DPO(learning_rate=1e-3), Path(folder, str(rank)), "M2", 0)
said["references"] = references(job, None, [3, 4])
print(json.dumps(said))
"""


def test_the_first_process_reads_looks_and_decides(m0: ModelRef, tmp_path: Path) -> None:
    known = [[-4.125, -7.9], [-3.0, -2.5]]
    (tmp_path / "0" / "unfinished").mkdir(parents=True)
    (tmp_path / "0" / "unfinished" / "reference.json").write_text(json.dumps(known))
    changed = m0.model_copy(update={"fingerprint": "0123456789abcdef"})
    arguments = [m0.model_dump_json(), changed.model_dump_json(), str(tmp_path)]
    together = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
    }
    both = [
        subprocess.Popen(
            [sys.executable, "-c", _PROCESS, *arguments],
            env=together | {"RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    first, second = (json.loads(one.communicate(timeout=120)[0].splitlines()[-1]) for one in both)

    assert first["agreed"] == second["agreed"] == "by 0"
    assert (first["hashed"], second["hashed"]) == (1, 0)
    assert (first["weights"], second["weights"]) == (["cpu"], ["meta"])
    assert first["buffers"] == second["buffers"] == ["cpu"]
    assert "fingerprint" in first["error"]
    assert second["error"] == first["error"]
    assert first["references"] == second["references"] == known


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def test_alone_a_process_agrees_with_itself() -> None:
    assert agreed(lambda: 3) == 3
    with pytest.raises(DataError, match="gone"):
        agreed(_raise)


def _raise() -> None:
    raise DataError("gone")
