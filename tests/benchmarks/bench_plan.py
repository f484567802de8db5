"""How far a plan is from what the run takes: `--pilot`, `--like` and the bare cost model.

    python -m tests.benchmarks.bench_plan [--iterations 2] [--request micro] [--clock cpu]

A plan by pilot, the run, and, for another seed, a plan by the cost model, one `--like` that run,
and that run. On a machine that others use, `--clock cpu` counts this program's own seconds (with
one thread), which is what an idle machine would take. Ratios are time taken to time planned.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from harness.records import Plan, RunRecord, Stage
from harness.store import Store

_CALL = "import sys,time\n{clock}from harness.cli import main\nsys.argv[0]='harness'\nmain()\n"
_CPU = "time.perf_counter = time.process_time\n"


def call(clock: str, *words: str) -> None:
    """Run a command in a process of its own, as from a shell."""
    code = _CALL.format(clock=_CPU if clock == "cpu" else "")
    subprocess.run([sys.executable, "-c", code, *words], check=True, stdout=subprocess.DEVNULL)


def compared(plan: Plan, record: RunRecord) -> dict[str, object]:
    """Time taken to time planned, by stage and in all; and the same of rows and tokens."""
    planned: dict[Stage, float] = {
        one.stage: sum(part.seconds or 0.0 for part in one.parts.values()) for one in plan.stages
    }
    taken = {one.stage: sum(c.seconds for c in one.costs.values()) for one in record.stages}
    parts = [part for one in plan.stages for part in one.parts.values() if part.tokens is None]
    costs = [cost for one in record.stages for cost in one.costs.values()]
    return {
        "in_all": round(sum(taken.values()) / sum(planned.values()), 2),
        **{str(stage): round(taken[stage] / planned[stage], 2) for stage in taken},
        "rows": round(sum(c.rows for c in costs) / sum(p.rows or 0 for p in parts), 3),
        "new_tokens": round(
            sum(c.new_tokens for c in costs) / sum(p.new_tokens or 0 for p in parts), 3
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--request", default="micro")
    parser.add_argument("--iterations", type=int, default=2)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folders = {name: Path(place) / name for name in ("pilot", "bare", "like")}

        def do(verb: str, name: str, *more: str) -> None:
            asked = [options.request, "--iterations", str(options.iterations), *more]
            call(options.clock, verb, *asked, "--out", str(folders[name]))

        do("plan", "pilot", "--pilot")
        do("run", "pilot")
        do("plan", "bare", "--seed", "1")
        do("plan", "like", "--seed", "1", "--like", str(folders["pilot"]))
        do("run", "like", "--seed", "1")
        bare = Store(folders["bare"]).plan()
        pilot, like = (Store(folders[name]).record() for name in ("pilot", "like"))
        assert bare is not None and pilot.plan is not None and like.plan is not None
        print(
            json.dumps(
                {
                    "clock": options.clock,
                    "pilot": compared(pilot.plan, pilot),
                    "like": compared(like.plan, like),
                    "cost model alone": compared(bare, like),
                }
            )
        )


if __name__ == "__main__":
    main()
