"""What a GPU can do at most, by its data sheet, or this CPU, by a measurement of a second.

    gpu("H100").flops        9.89e14 a second, dense bfloat16
    this_machine().flops     1.1e11 a second, float32 on the threads that are to be used

An efficiency (`speed.py`) says how much of it real programs reach.
"""

import os
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module, resources
from typing import Any

from harness import machine
from harness.errors import ConfigError

_SIDE = 1024
"""Of the square matrices that a CPU's arithmetic is measured with."""
_BLOCK = 1 << 26
"""Bytes that its memory is measured with: more than its caches hold."""


@dataclass(frozen=True)
class Device:
    """One GPU, or all of a machine's CPU."""

    name: str
    flops: float
    """The most operations a second of its matrix arithmetic."""
    bandwidth: float
    """The most bytes a second from and to its memory."""
    memory: int
    """Bytes."""
    link: float
    """Bytes a second, a direction, to its neighbours in one machine."""
    network: float
    """Bytes a second to other machines."""
    source: str
    cpu: bool = False
    processes: int = 1
    """How many processes a CPU has cores for; more of them share these."""

    def at_work(self, processes: int) -> int:
        """How many times as fast as one so many processes are, before they exchange anything."""
        return min(processes, self.processes) if self.cpu else processes


def gpu(name: str) -> Device:
    """Find a GPU by its name, in any letter case.

    Raises:
        ConfigError: it is not in the table.
    """
    table = _table()
    known = {key.lower(): key for key in table}
    wanted = name.lower().replace(" ", "-")
    if wanted not in known:
        close = [name for name in known if name.startswith(wanted)]
        close = close or get_close_matches(wanted, known, n=1)
        hint = f"did you mean {' or '.join(known[name] for name in close)}? " if close else ""
        raise ConfigError(f"the GPU {name!r} is not known; {hint}known are {', '.join(table)}")
    return table[known[wanted]]


def _named(card: str) -> Device | None:
    """Find a card by what its driver calls it: `NVIDIA H100 80GB HBM3`."""
    words = card.upper().replace("-", " ")
    for name, device in _table().items():
        kind, _, size = name.upper().partition("-")
        if kind in words.split() and size in words.replace(" ", ""):
            return device
    return None


def here() -> tuple[Device, int]:
    """Find what the engines' `auto` would use on this machine, and how many of it there are.

    Raises:
        ConfigError: the driver shows a GPU that is not in the table.
    """
    cards = _cards()
    if not cards:
        return this_machine(), 1
    found = _named(cards[0])
    if found is None:
        raise ConfigError(
            f"this machine has {cards[0]}, whose ceilings are not known; name one like it with "
            f"--gpu: {', '.join(_table())}"
        )
    return found, len(cards)


def may_be_here(device: Device) -> bool:
    """Whether this machine has such a device, or a GPU that is not known and may be named so."""
    cards = _cards()
    if not cards:
        return device.cpu
    return not device.cpu and _named(cards[0]) in (None, device)


def _cards() -> Sequence[str]:
    return () if (machine.installed("torch") or "").endswith("+cpu") else machine.gpus()


def this_memory() -> int:
    """Bytes of this machine's own memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def this_machine() -> Device:
    """Measure this machine's CPU, on as many threads as OMP_NUM_THREADS says."""
    # By name and late, so that the number of threads is decided before it is loaded.
    numpy: Any = import_module("numpy")
    square = numpy.ones((_SIDE, _SIDE), dtype=numpy.float32)
    block = numpy.ones(_BLOCK // 4, dtype=numpy.float32)
    other = numpy.empty_like(block)
    flops = 2 * _SIDE**3 / _fastest(lambda: square @ square)
    bandwidth = 2 * _BLOCK / _fastest(lambda: numpy.copyto(other, block))
    cores = len(os.sched_getaffinity(0))
    threads = int(os.environ.get("OMP_NUM_THREADS", cores))
    return Device(
        name="CPU",
        flops=flops,
        bandwidth=bandwidth,
        memory=this_memory(),
        link=bandwidth,
        network=bandwidth,
        source=f"measured here and now, threads: {threads}, {flops / 1e9:,.0f} GFLOP/s in float32, "
        f"{bandwidth / 1e9:,.1f} GB/s",
        cpu=True,
        processes=max(1, cores // threads),
    )


def _fastest(work: Any) -> float:
    """The shortest of a few times, in seconds: another program on the machine only adds."""
    found = []
    for _ in range(5):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)


@cache
def _table() -> Mapping[str, Device]:
    text = (resources.files("harness.planning") / "hardware.toml").read_text(encoding="utf-8")
    return {
        name: Device(
            name=name,
            flops=row["tflops"] * 1e12,
            bandwidth=row["bandwidth"] * 1e9,
            memory=row["memory"] << 20,
            link=row["link"] * 1e9,
            network=row["network"] * 1e9,
            source=row["source"],
        )
        for name, row in tomllib.loads(text).items()
    }
