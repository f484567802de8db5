"""The GPUs and cores of a machine, GPUs as a driver that is not there would show them."""

import pytest

from harness import machine

NVIDIA_SMI = """#!/bin/sh
echo "GPU-aaaa-1, 81559"
echo "GPU-bbbb-2, 24576"
"""


@pytest.mark.parametrize(
    ("listed", "sizes"),
    [
        (None, [85.5, 25.8]),
        ("1", [25.8]),
        ("GPU-aaaa", [85.5]),
        ("0,1", [85.5, 25.8]),
        ("", []),
        ("-1", []),
    ],
)
def test_only_gpus_that_this_process_may_use_count(listed, sizes, tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(NVIDIA_SMI)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    if listed is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    assert [round(size, 1) for size in machine.gpu_memory()] == sizes


def test_without_a_driver_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.gpu_memory() == ()


def test_a_cluster_is_told_where_things_are_and_no_secret():
    told = ("HF_HOME", "HARNESS_VLLM_PYTHON", "NCCL_SOCKET_IFNAME", "PYTHONPATH")
    kept = ("VLLM_API_KEY", "HF_TOKEN", "VLLM_HOST_IP", "VLLM_PORT", "OMP_NUM_THREADS", "PATH")
    here = dict.fromkeys((*told, *kept), "something")
    assert machine.handed_on(here) == dict.fromkeys(told, "something")


def test_processes_share_the_threads_of_one():
    assert machine.threads_said(8, 3)["OMP_NUM_THREADS"] == "2"
    assert machine.threads_said(8, 9)["MKL_NUM_THREADS"] == "1"
