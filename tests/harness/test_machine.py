"""GPUs, as a driver that is not there would show them."""

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
