"""Every benchmark, one after the other: `python -m tests.benchmarks`."""

import subprocess
import sys

MODULES = (
    "bench_run",
    "bench_generate",
    "bench_vllm",
    "bench_prefix",
    "bench_expected",
    "bench_training",
    "bench_launchers",
    "bench_judge",
    "bench_overlap",
    "bench_nlp",
    "bench_ray",
    "bench_report",
    "bench_ceilings",
    "bench_plan",
)

for module in MODULES:
    print(f"== {module}", flush=True)
    subprocess.run([sys.executable, "-m", f"tests.benchmarks.{module}"], check=True)
