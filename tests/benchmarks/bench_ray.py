"""What the `ray` engine adds and takes: two workers against one, and against two plain processes.

    python -m tests.benchmarks.bench_ray [--prompts 256] [--repeats 5]

Three sides answer the same prompts, in turn and on one thread a process, after all of them have
opened the model: `one` and `two` are workers of the `ray` engine on a cluster of this machine, and
`local` is two processes of the `transformers` engine with half of the prompts each, every other
one. Prints one JSON line with medians and every ratio. `speed_up` is bounded by the cores that are
idle, which `local_speed_up` measures at the same time: `of_local` compares the two.

The model is a random Llama of the micro-world's size, as in `bench_generate`.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from harness.engines.ray import Cluster, Ray
from harness.engines.transformers import Transformers
from harness.machine import installed
from harness.protocols import LoadedModel, Prompt, Request, Sampling
from harness.records import ModelRef

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def requests(prompts: int, repeat: int) -> list[Request]:
    from tests.benchmarks.bench_generate import random_prompts  # noqa: PLC0415  # imports torch

    sampling = Sampling(4, 0.7, 0.9, 48, seed=repeat)
    asked: list[Prompt] = [*random_prompts(prompts, 1536)]
    return [Request(str(i), prompt, sampling) for i, prompt in enumerate(asked)]


def answer(model: LoadedModel, asked: list[Request]) -> int:
    """Generate; return how many tokens came."""
    return sum(len(completion.token_ids) for completion in model.generate(asked))


def work(folder: str, prompts: int, share: int) -> None:
    """One of the two local processes: answer its half whenever a line says so."""
    with Transformers(Transformers.Config()).open(ModelRef(location=folder)) as model:
        print("ready", flush=True)
        for line in sys.stdin:
            print(answer(model, requests(prompts, int(line))[share::2]), flush=True)


class TwoProcesses:
    """Both local processes."""

    def __init__(self, folder: str, prompts: int) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.bench_ray", "--prompts", str(prompts)]
        self._workers = [
            subprocess.Popen(
                [*command, "--work", folder, "--share", str(share)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for share in range(2)
        ]
        self._hear()

    def answer(self, repeat: int) -> int:
        """Have each answer its half; return how many tokens came."""
        for worker in self._workers:
            assert worker.stdin
            worker.stdin.write(f"{repeat}\n")
            worker.stdin.flush()
        return sum(map(int, self._hear()))

    def _hear(self) -> list[str]:
        return [worker.stdout.readline() for worker in self._workers if worker.stdout]

    def close(self) -> None:
        """End both."""
        for worker in self._workers:
            worker.communicate()


@contextlib.contextmanager
def spread(folder: str, replicas: int) -> Iterator[LoadedModel]:
    """Open the model with the `ray` engine, and wait for all replicas."""
    # Half a core each by the books, so that all three workers have room; one thread each.
    config = Ray.Config(replicas=replicas, cluster=Cluster(cpus=0.5, gpus=0))
    with Ray(config).open(ModelRef(location=folder)) as model:
        while len(model._serving) < replicas:  # type: ignore[attr-defined]
            time.sleep(0.1)
        yield model


def main() -> None:
    """Measure all three in turn."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--prompts", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--work", help="Be one of the local processes, with this model.")
    parser.add_argument("--share", type=int, default=0)
    options = parser.parse_args()
    os.environ.update(dict.fromkeys(THREADS, "1"))
    if options.work:
        work(options.work, options.prompts, options.share)
        return
    if installed("ray") is None:
        print("left out, as Ray is not installed: pip install '.[ray]'")
        return
    from tests.benchmarks.bench_generate import random_model  # noqa: PLC0415  # imports torch

    seconds: dict[str, list[float]] = {"one": [], "two": [], "local": []}
    loads = []
    with tempfile.TemporaryDirectory() as folder:
        random_model(folder)
        begun = time.perf_counter()
        with (
            spread(folder, 1) as one,
            spread(folder, 2) as two,
            contextlib.closing(TwoProcesses(folder, options.prompts)) as local,
        ):
            start_up = time.perf_counter() - begun
            for repeat in range(options.repeats + 1):
                asked = requests(options.prompts, repeat)
                sides = {
                    "one": lambda asked=asked: answer(one, asked),
                    "two": lambda asked=asked: answer(two, asked),
                    "local": lambda repeat=repeat: local.answer(repeat),
                }
                # Whoever begins is another one each time, as the machine may be getting busier.
                order = [*sides][repeat % 3 :] + [*sides][: repeat % 3]
                tokens = set()
                for side in order:
                    begun = time.perf_counter()
                    tokens.add(sides[side]())
                    if repeat:  # the first round warms up
                        seconds[side].append(time.perf_counter() - begun)
                loads.append(os.getloadavg()[0])
                # Another batch rounds otherwise, and now and then samples another token.
                assert max(tokens) - min(tokens) <= 0.02 * max(tokens), tokens
    rounds = list(zip(seconds["one"], seconds["two"], seconds["local"], strict=True))
    of_local = [local / two for _, two, local in rounds]
    print(
        json.dumps(
            {
                **{f"{side}_s": round(statistics.median(all), 2) for side, all in seconds.items()},
                "speed_up": round(statistics.median(one / two for one, two, _ in rounds), 2),
                "local_speed_up": round(
                    statistics.median(one / local for one, _, local in rounds), 2
                ),
                "of_local": round(statistics.median(of_local), 2),
                "each_of_local": [round(ratio, 2) for ratio in of_local],
                "slowest_by_fastest": {
                    side: round(max(all) / min(all), 2) for side, all in seconds.items()
                },
                "load": [round(min(loads), 1), round(max(loads), 1)],
                "start_up_s": round(start_up, 1),
                "tokens": max(tokens),
                "prompts": options.prompts,
                "cores": len(os.sched_getaffinity(0)),
            }
        )
    )


if __name__ == "__main__":
    main()
