"""How long the default run takes, by part, and its memory; and the commands that must be instant.

    python -m tests.benchmarks.bench_run [--repeats 3]

Whole processes, from start to exit: `harness --help`, `harness run --iterations 3` into a new
folder, and the same command again on the finished run. Prints medians and the peak memory.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from harness.store import Store

HARNESS = str(Path(sys.executable).with_name("harness"))


def timed(*arguments: str) -> float:
    """Seconds that a `harness` process takes."""
    begun = time.perf_counter()
    subprocess.run([HARNESS, *arguments], check=True, capture_output=True)
    return time.perf_counter() - begun


def parts(folder: Path) -> dict[str, float]:
    """Seconds by kind of part, over all stages and models of a run."""
    total: dict[str, float] = defaultdict(float)
    for stage in Store(folder).record().stages:
        for name, cost in stage.costs.items():
            kind = name.split("/", 1)[-1] if "/" in name else name
            total[kind] += cost.seconds
    return dict(total)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    first: list[float] = []
    again: list[float] = []
    by_part: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(repeats):
            out = Path(scratch) / str(number)
            command = ("run", "--iterations", "3", "--seed", str(number), "--out", str(out))
            first.append(timed(*command))
            again.append(timed(*command))
            for name, seconds in parts(out).items():
                by_part[name].append(seconds)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
    helped = [timed("--help") for _ in range(5)]
    print(
        json.dumps(
            {
                "default run, s": round(statistics.median(first), 1),
                "finished run again, s": round(statistics.median(again), 2),
                "harness --help, s": round(statistics.median(helped), 2),
                "peak memory, GiB": round(peak, 2),
                "threads": os.environ.get("OMP_NUM_THREADS", "chosen by the harness"),
                "by part, s": {
                    name: round(statistics.median(seconds), 1)
                    for name, seconds in sorted(by_part.items(), key=lambda item: -sum(item[1]))
                },
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
