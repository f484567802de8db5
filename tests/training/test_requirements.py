import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from harness.errors import ConfigError
from training import requirements
from training.requirements import check
from training.settings import IN_PROCESS, Launcher
from training.sft import SFT

SETTINGS = SFT(learning_rate=1e-5, batch_size=16, micro_batch_size=2)
EIGHT = Launcher(name="accelerate", processes=8, strategy="fsdp2")


def installed(monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
    def version(package: str) -> str:
        if package not in versions:
            raise PackageNotFoundError(package)
        return versions[package]

    monkeypatch.setattr(requirements, "version", version)


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And no Ray cluster but the one that a training would start."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    requirements._cluster.cache_clear()


def test_what_is_there_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, accelerate="1.15.0", deepspeed="0.19.8", ray="2.60.0")

    check(IN_PROCESS, SETTINGS)
    check(EIGHT, SETTINGS)
    check(Launcher(name="ray", processes=4, strategy="zero3"), SETTINGS)


def test_a_package_that_is_missing_or_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, accelerate="0.34.2")

    with pytest.raises(ConfigError, match=r"accelerate 1.12.0 or newer, and 0.34.2 is installed"):
        check(EIGHT, SETTINGS)
    with pytest.raises(ConfigError, match=r"name = .ray. needs ray.*pip install 'ray\[train\]>="):
        check(Launcher(name="ray", processes=4), SETTINGS)
    installed(monkeypatch, accelerate="1.15.0")
    with pytest.raises(ConfigError, match=r"strategy = .zero3. needs deepspeed, which is not"):
        check(EIGHT.model_copy(update={"strategy": "zero3"}), SETTINGS)


def test_more_processes_than_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)

    with pytest.raises(ConfigError, match=r"processes = 8 were asked for.*machine shows 4"):
        check(EIGHT, SETTINGS)
    check(EIGHT.model_copy(update={"processes": 4}), SETTINGS)


def test_several_gpus_for_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)

    with pytest.raises(ConfigError, match=r"uses one GPU and 4 are visible.*processes = 4"):
        check(IN_PROCESS, SETTINGS)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    check(IN_PROCESS, SETTINGS)


def asked(monkeypatch: pytest.MonkeyPatch, told: object) -> list[Path]:
    """Answer for a cluster; what is returned is filled with where it was asked from."""
    where: list[Path] = []

    def run(command: list[str], **options: Any) -> SimpleNamespace:
        assert command[1:] == ["-m", "training.on_ray", "--room"]
        assert options["timeout"] == 60
        where.append(options["cwd"])
        if isinstance(told, Exception):
            raise told
        return SimpleNamespace(stdout=f"noise\n{json.dumps(told)}\n".encode())

    monkeypatch.setattr(requirements.subprocess, "run", run)
    return where


def on_ray(processes: int) -> None:
    check(Launcher(name="ray", processes=processes), SETTINGS)


def test_a_ray_cluster_is_asked_once_for_its_room(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    installed(monkeypatch, ray="2.60.0")
    where = asked(monkeypatch, {"CPU": 64.0, "GPU": 8.0})
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("10.0.0.1:6379")

    on_ray(8)
    with pytest.raises(ConfigError, match=r"= 16 were asked for, one a GPU, and .* cluster has 8;"):
        on_ray(16)
    assert len(where) == 1
    assert (where[0] / "training" / "on_ray.py").exists()


def test_without_a_ray_cluster_this_machine_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, ray="2.60.0")
    where = asked(monkeypatch, {})

    on_ray(8)
    with pytest.raises(ConfigError, match=r"= 16 were asked for, one a CPU, and .* cluster has 8;"):
        on_ray(16)
    monkeypatch.setenv("RAY_ADDRESS", "local")
    requirements._cluster.cache_clear()
    on_ray(8)
    assert where == []


def test_a_ray_cluster_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, ray="2.60.0")
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setattr(requirements, "knock", lambda address: None)
    gone = b"a warning\nConnectionError: no such cluster\n"

    asked(monkeypatch, subprocess.CalledProcessError(1, "", stderr=gone))
    with pytest.raises(ConfigError, match=r"at 10.0.0.1:6379 .*: ConnectionError: no such cluster"):
        on_ray(2)
    asked(monkeypatch, subprocess.TimeoutExpired("", 60))
    with pytest.raises(ConfigError, match="no answer in 60 seconds; start it, mend RAY_ADDRESS"):
        on_ray(2)


def test_a_cluster_that_was_forgotten(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed(monkeypatch, ray="2.60.0")
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:1\n")
    with pytest.raises(ConfigError, match=r"at 127.0.0.1:1 .*refused; start it.* `ray stop`"):
        on_ray(2)


_CLUSTER = """
import ray, sys
at = ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
print(at.address_info["gcs_address"], flush=True)
sys.stdin.read()
"""


@pytest.mark.ray
def test_a_real_ray_cluster_says_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_TMPDIR")  # which makes Ray's sockets' names too long
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with subprocess.Popen(
        [sys.executable, "-c", _CLUSTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as cluster:
        assert cluster.stdout is not None
        monkeypatch.setenv("RAY_ADDRESS", cluster.stdout.readline().strip())

        on_ray(2)
        with pytest.raises(ConfigError, match=r"= 4 were asked for, one a CPU, .* cluster has 2;"):
            on_ray(4)


def test_nothing_is_offloaded_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    offloading = EIGHT.model_copy(update={"offload": True})
    with pytest.raises(ConfigError, match=r"offload moves from GPUs .* there is none"):
        check(offloading, SETTINGS)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    check(offloading, SETTINGS)


def test_a_batch_that_does_not_divide() -> None:
    with pytest.raises(ConfigError, match="batch_size 16 cannot be divided among 6 processes"):
        check(EIGHT.model_copy(update={"processes": 6}), SETTINGS)
    odd = SETTINGS.model_copy(update={"batch_size": 24, "micro_batch_size": 2})
    with pytest.raises(ConfigError, match="takes 3 rows of batch_size 24, which is no multiple"):
        check(EIGHT, odd)
    with pytest.raises(ConfigError, match="batch_size 16 has no row for each; lower"):
        check(EIGHT.model_copy(update={"processes": 32, "strategy": "ddp"}), SETTINGS)
    check(EIGHT.model_copy(update={"processes": 32}), SETTINGS)  # for their memory
    assert SETTINGS.share(32) == (1, 1)
    assert SETTINGS.share(1) == (16, 2)
    assert SETTINGS.share(16) == (1, 1)  # a micro batch is never more than a share
    assert SFT(learning_rate=1e-5, batch_size=16).share(4) == (4, 4)


def test_a_launcher_that_cannot_be() -> None:
    with pytest.raises(ValidationError, match=r"in_process is one process.*processes = 2"):
        Launcher(processes=2)
    with pytest.raises(ValidationError, match=r"in_process is one process.*strategy = .fsdp2"):
        Launcher(strategy="fsdp2")
    with pytest.raises(ValidationError, match="divides nothing"):
        Launcher(name="accelerate", processes=2, offload=True)
