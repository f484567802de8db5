"""What a run is about to use: threads, devices and packages, and why.

Nothing here imports torch: threads have to be chosen before it is imported, and `harness doctor`
should answer at once.
"""

import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from pydantic import JsonValue

REQUIRED = ("torch", "transformers", "tokenizers", "trl", "datasets", "accelerate")

PACKAGES: Mapping[str, str] = {
    "torch": "engines and training",
    "transformers": "engines and training",
    "tokenizers": "engines and training",
    "trl": "training",
    "datasets": "training, data sets from the hub",
    "accelerate": "training",
    "peft": "training with LoRA (optional)",
    "ray": "engines and training on several machines (optional: pip install '.[ray]')",
    "deepspeed": "training by ZeRO-3 (optional: pip install '.[deepspeed]')",
}


@dataclass(frozen=True)
class Threads:
    """How many threads the mathematics may use, and why."""

    count: int
    why: str


def choose_threads(environment: Mapping[str, str] = os.environ) -> Threads:
    """Take what the user says (OMP_NUM_THREADS), else the cores that are idle now.

    Two threads on one idle core are several times slower than one: they wait for each other at
    every barrier.
    """
    said = environment.get("OMP_NUM_THREADS", "")
    if said.isdigit() and int(said) > 0:
        return Threads(int(said), "OMP_NUM_THREADS says so")
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    idle = max(1, cores - round(load))
    return Threads(idle, f"{cores} cores, load {load:.1f}")


def threads_said(count: int, processes: int = 1) -> dict[str, str]:
    """Say to every library, in a process's environment, how many threads it may use.

    Args:
        count: Threads that there are.
        processes: How many share them.
    """
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return dict.fromkeys(names, str(max(1, count // processes)))


def use_threads(threads: Threads) -> None:
    """Make the choice known to every library, and to child processes. Call before torch."""
    os.environ.update(threads_said(threads.count))
    # Tokenizers' own threads would compete, and warn after a fork.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


_HANDED_ON = {
    *("PYTHONPATH", "HF_HOME", "HF_HUB_CACHE", "HF_DATASETS_CACHE"),
    *("HF_HUB_OFFLINE", "HF_ENDPOINT"),
}
_FAMILIES = ("HARNESS_", "NCCL_", "GLOO_", "VLLM_")
_KEPT = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|_(HOST|PORT|RANK|THREADS|VISIBLE)")


def handed_on(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What processes on a cluster's machines are told of this environment: paths and networks.

    No secrets, which a cluster shows to whoever asks; no addresses, threads or GPUs, which are
    each machine's own.
    """
    return {
        name: value
        for name, value in environment.items()
        if (name in _HANDED_ON or name.startswith(_FAMILIES)) and not _KEPT.search(name)
    }


def installed(package: str) -> str | None:
    """The version of a package, or None; without importing it."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown" if find_spec(package) else None


def ray_address() -> str | None:
    """Where a Ray cluster is that the environment names, or that `ray start` noted here."""
    named = os.environ.get("RAY_ADDRESS")
    note = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir(), "ray", "ray_current_cluster")
    try:
        return named or note.read_text().strip() or None
    except OSError:
        return None


def knock(address: str, patience: float = 10.0) -> None:
    """See whether somebody is at `host:port`; of another kind of address nothing is found out.

    Ray itself would knock for minutes.

    Raises:
        OSError: there is nobody.
    """
    plain = re.fullmatch(r"([^/\s:]+):(\d{1,5})", address)
    if plain and int(plain[2]) < 1 << 16:
        socket.create_connection((plain[1], int(plain[2])), timeout=patience).close()


def gpus() -> Sequence[str]:
    """Names of the NVIDIA GPUs that this process may use, without a CUDA library."""
    cards = Path("/proc/driver/nvidia/gpus")
    if not cards.is_dir():
        return ()
    found = []
    for information in sorted(cards.glob("*/information")):
        lines = dict(
            line.split(":", 1) for line in information.read_text().splitlines() if ":" in line
        )
        found.append((lines.get("Model", "NVIDIA GPU").strip(), lines.get("GPU UUID", "").strip()))
    return [name for number, (name, id) in enumerate(found) if _may_use(number, id)]


def _may_use(number: int, id: str) -> bool:
    """Whether CUDA_VISIBLE_DEVICES lists a GPU, by its number or the beginning of its id."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return True
    named = [one.strip() for one in listed.split(",")]
    return any(
        one == str(number) or (one.startswith("GPU-") and id.startswith(one)) for one in named
    )


def gpu_memory() -> Sequence[float]:
    """The memory of each NVIDIA GPU that this process may use, in GB, as the driver's tool says."""
    ask = ["nvidia-smi", "--query-gpu=uuid,memory.total", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(ask, capture_output=True, text=True, timeout=60, check=True).stdout
        cards = [line.split(",") for line in said.splitlines() if line.strip()]
        return [
            float(size) * (1 << 20) / 1e9
            for number, (id, size) in enumerate(cards)
            if _may_use(number, id.strip())
        ]
    except (OSError, subprocess.SubprocessError, ValueError):
        return ()


def free_space(folder: Path) -> float:
    """Free disk space around a folder, in GB."""
    return shutil.disk_usage(folder).free / 1e9


def device() -> tuple[str, str]:
    """The device that `auto` means here, and why."""
    cards, build = gpus(), installed("torch") or ""
    if not cards:
        return "CPU", "the driver shows no GPU, or CUDA_VISIBLE_DEVICES none of them"
    if build.endswith("+cpu"):
        return "CPU", f"torch {build} has no CUDA; {len(cards)} GPUs stay unused"
    return ", ".join(cards), f"{len(cards)} GPUs shown by the driver"


def environment() -> dict[str, JsonValue]:
    """What a run's numbers may depend on."""
    cards: list[JsonValue] = [*gpus()]
    return {
        "harness": installed("self-rewarding-harness"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "gpus": cards,
        "packages": {name: installed(name) for name in PACKAGES if installed(name)},
        "command": " ".join(["harness", *sys.argv[1:]]),
    }
