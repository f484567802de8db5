"""What a launcher needs, found out before anything runs."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.version import Version

from harness.errors import ConfigError
from harness.machine import knock, ray_address
from training.settings import Launcher, Settings

_OLDEST = {"accelerate": "1.12.0", "deepspeed": "0.18.6", "ray": "2.60.0"}
"""FSDP2 as it is asked for here; ZeRO-3 under transformers 5; Ray Train's second version."""
_PATIENCE = 60.0
"""Seconds for a Ray cluster to say what it has; joining it takes a few."""


def check(launcher: Launcher, *settings: Settings) -> None:
    """Find out whether trainings can be launched so, here.

    Args:
        launcher: What is asked for.
        settings: Of the trainings; each batch must divide among the processes.

    Raises:
        ConfigError: a package is missing or too old, there are fewer GPUs than processes, or
            several for one, nothing to offload from, or a batch does not divide.
    """
    for one in settings:
        one.share(launcher.processes)
        if launcher.strategy == "ddp" and launcher.processes > one.batch_size:
            raise ConfigError(
                f"launcher.processes = {launcher.processes} were asked for, and batch_size "
                f"{one.batch_size} has no row for each; lower processes, or set strategy = "
                '"fsdp2" if they are there for their memory'
            )
    if launcher.name != "in_process":
        _installed(launcher.name, f'launcher.name = "{launcher.name}"')
    if launcher.strategy == "zero3":
        _installed("deepspeed", 'launcher.strategy = "zero3"')
    gpu = room(_cluster(), launcher.processes) if launcher.name == "ray" else _room_here(launcher)
    if launcher.offload and launcher.strategy == "fsdp2" and not gpu:
        raise ConfigError(
            "launcher.offload moves from GPUs what does not fit there, and there is none; leave it "
            "out"
        )


def _room_here(launcher: Launcher) -> bool:
    """Find out whether there are as many GPUs as are used, or none; say which."""
    gpus = _gpus()
    if launcher.name == "accelerate" and 0 < gpus < launcher.processes:
        raise ConfigError(
            f"launcher.processes = {launcher.processes} were asked for, one a GPU, and this "
            f'machine shows {gpus}; lower it, or spread it over nodes with launcher.name = "ray"'
        )
    if launcher.processes == 1 and gpus > 1:
        raise ConfigError(
            f"training uses one GPU and {gpus} are visible; choose one, e.g. "
            'CUDA_VISIBLE_DEVICES=0, or use them all: launcher = { name = "accelerate", '
            f"processes = {gpus} }}"
        )
    return gpus > 0


def room(there: Mapping[str, float], processes: int) -> bool:
    """Find out whether a Ray cluster has a GPU for each process, or, without any, a CPU.

    Args:
        there: What it has, in Ray's words.
        processes: How many are wanted.

    Returns:
        Whether they are on GPUs.

    Raises:
        ConfigError: it has not, and Ray would wait for them.
    """
    gpu = there.get("GPU", 0) > 0
    kind = "GPU" if gpu else "CPU"
    if there.get(kind, 0) < processes:
        raise ConfigError(
            f"launcher.processes = {processes} were asked for, one a {kind}, and the Ray cluster "
            f"has {there.get(kind, 0):g}; lower it, or add nodes"
        )
    return gpu


@cache
def _cluster() -> Mapping[str, float]:
    """Ask what the Ray cluster has, or say what one of this machine alone would have.

    Raises:
        ConfigError: a cluster is named, or was started here, and does not answer.
    """
    address = ray_address()
    if address in (None, "local"):
        return {"CPU": os.cpu_count() or 1, "GPU": _gpus()}
    # In a process of its own: this one may be connected to a cluster already.
    ask = [sys.executable, "-m", "training.on_ray", "--room"]
    try:
        knock(str(address))
        told = subprocess.run(
            ask, capture_output=True, check=True, timeout=_PATIENCE, cwd=Path(__file__).parents[1]
        )
    except (OSError, subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise ConfigError(
            f"the Ray cluster at {address} cannot be asked for its room: {_why(error)}; start it, "
            "mend RAY_ADDRESS, or, where that is not set, have `ray stop` forget it"
        ) from error
    there: dict[str, float] = json.loads(told.stdout.splitlines()[-1])
    return there


def _why(error: OSError | subprocess.SubprocessError) -> str:
    match error:
        case subprocess.TimeoutExpired():
            return f"no answer in {_PATIENCE:g} seconds"
        case subprocess.CalledProcessError():
            said = (error.stderr or b"").decode(errors="replace")
            return "".join(said.strip().splitlines()[-1:])
        case _:
            return str(error)


def _gpus() -> int:
    """Count the GPUs that this process may use."""
    found: int = import_module("torch").cuda.device_count()
    return found


def _installed(package: str, wanted_by: str) -> None:
    oldest = _OLDEST[package]
    try:
        found = version(package)
    except PackageNotFoundError:
        raise ConfigError(
            f"{wanted_by} needs {package}, which is not installed; "
            f"pip install '{_EXTRAS.get(package, package)}>={oldest}'"
        ) from None
    if Version(found) < Version(oldest):
        raise ConfigError(
            f"{wanted_by} needs {package} {oldest} or newer, and {found} is installed; "
            f"pip install --upgrade '{_EXTRAS.get(package, package)}'"
        )


_EXTRAS = {"ray": "ray[train]"}
