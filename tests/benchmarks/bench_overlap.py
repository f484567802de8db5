"""What is gained where no stage waits for another: marks beside models, verdicts beside candidates.

    python -m tests.benchmarks.bench_overlap [--delay 0.25] [--only stage run round]

`stage`: M0 is measured for real and its answers are marked by a judge on a loopback server, in
another process, that takes `delay` seconds for every call. `run`: two trainings and three
measurements, where answers and trainings take a device's time and none of the processor's. `round`:
candidates and verdicts by an engine with 32 slots that are served first come, first served, with
long-tailed lengths, as servers of language models have them. Each is done one after the other and
then at once, side by side. Prints one JSON line each; `of_ideal` is the saving, as a share of what
there is to save: of `stage` and `run` the shorter of what the models and what the judge takes, of
`round` the time in which a slot has nothing to do.
"""

import argparse
import json
import logging
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from random import Random
from unittest.mock import patch

from harness.beside import Beside
from harness.config import RunConfig
from harness.data.examples import PromptRow
from harness.engines.scripted import LoadedScript, Scripted
from harness.judge import pointwise
from harness.marking import Marking
from harness.protocols import Completion, Request, Workspace
from harness.records import ModelRef, RunRecord
from harness.run import run
from harness.store import Store
from tests.benchmarks.bench_judge import running
from training.self_rewarding.guards import Watch
from training.self_rewarding.round import Round
from training.self_rewarding.settings import SelfRewardingSettings

logging.disable(logging.WARNING)


class InTurn(Marking):
    """Marks after all answers of a stage, as by a judge in the process."""

    def __init__(self, *given: object) -> None:
        super().__init__(*given)
        self._is_apart = False


def measured(request: dict[str, object], marking: type[Marking]) -> tuple[float, RunRecord]:
    """Seconds of a run, without what comes before its first stage; and its record."""
    config = RunConfig.model_validate(request)
    with tempfile.TemporaryDirectory() as folder, patch("harness.run.Marking", marking):
        record = run(config, Store(Path(folder) / "run"))
    costs = [cost for stage in record.stages for cost in stage.costs.values()]
    return sum(cost.seconds for cost in costs), record


def compared(what: str, request: dict[str, object]) -> None:
    """Do a run both ways, and print what is gained."""
    after, record = measured(request, InTurn)
    meanwhile, again = measured(request, Marking)
    assert [s.evaluations for s in record.stages] == [s.evaluations for s in again.stages]
    costs = [one for stage in record.stages for one in stage.costs.items()]
    calls = sum(cost.rows for name, cost in costs if name.endswith("/mark"))
    judge = sum(cost.seconds for name, cost in costs if name.endswith("/mark") and cost.rows)
    ideal = min(judge, after - judge)
    costs = [one for stage in again.stages for one in stage.costs.items()]
    waited = sum(cost.seconds for name, cost in costs if name.endswith("/mark") and cost.rows)
    print(
        json.dumps(
            {
                "what": what,
                "one_after_the_other_s": round(after, 1),
                "of_which_judge_s": round(judge, 1),
                "at_once_s": round(meanwhile, 1),
                "of_which_waited_for_judge_s": round(waited, 1),
                "times": round(after / meanwhile, 2),
                "of_ideal": round((after - meanwhile) / ideal, 2),
                "calls": calls,
            }
        ),
        flush=True,
    )


def judge(url: str) -> dict[str, object]:
    """The judge on the server, which says the same of everything."""
    engine = {"name": "openai", "base_url": url}
    model = {"name": "judge", "location": "judge"}
    return {"engine": engine, "model": model, "guards": {"unreadable": 10_000}}


def stage(url: str) -> None:
    """Measure M0 of the micro-world."""
    evaluations = [
        {"name": "examiner"},
        {"name": "nlp_benchmarks", "shots": {"gsm8k": 5}, "max_gen_toks": 48},
        {"name": "alpaca_eval"},
        {"name": "judge_agreement", "limit": 150, "judges": ["self", "external"]},
    ]
    compared(
        "stage",
        {
            "model": {"location": "microworld"},
            "iterations": 0,
            "judge": judge(url),
            "evaluations": evaluations,
            "reports": [],
        },
    )


class Device(Scripted):
    """Takes its time over a row, and leaves the processor alone."""

    SECONDS = 0.02

    def __init__(self, config: Scripted.Config) -> None:
        super().__init__(config, self._say)

    def _say(self, ref: ModelRef, request: Request, index: int) -> str:
        time.sleep(self.SECONDS)
        return f"{ref.name} says so."


class Training:
    """Takes its time, and hands the same weights back."""

    SECONDS = 4.0

    def __init__(self, improve: object) -> None:
        self._improve = improve

    def __call__(self, *given: object) -> object:
        time.sleep(self.SECONDS)
        return self._improve(*given)


def whole_run(url: str) -> None:
    """Measure, train, measure, train and measure."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "plugin_package"))
    from example_plugin import Renaming  # noqa: PLC0415

    training = Training(Renaming.improve)
    with (
        patch("harness.engines.scripted.Scripted", Device),
        patch.object(Renaming, "improve", lambda *given: training(*given)),
    ):
        compared(
            "run",
            {
                "model": {"location": "device"},
                "iterations": 2,
                "engine": "scripted",
                "trainer": "renaming",
                "judge": judge(url),
                "evaluations": [
                    {"name": "examiner", "limit": 150},
                    {"name": "head_to_head", "limit": 150, "seed": 1},
                ],
                "reports": [],
            },
        )


class Slots:
    """An engine with slots: rows are served first come, first served, whoever asks."""

    light = False
    COUNT, SECONDS_A_TOKEN = 32, 0.002

    def __init__(self) -> None:
        self.busy = 0.0
        self._pool = ThreadPoolExecutor(self.COUNT)
        self._lock = threading.Lock()

    @contextmanager
    def open(self, model: ModelRef) -> Iterator["LoadedSlots"]:
        with Scripted(Scripted.Config(), self._say).open(model) as script:
            yield LoadedSlots(script, self)

    def serve(self, script: LoadedScript, request: Request, index: int) -> Completion:
        """Write one row in a slot."""
        random = Random(f"{request.id} {index}")
        tokens = min(random.lognormvariate(4.2, 0.9), 1000)  # median 67, mean 100
        if "/" in request.id:
            tokens = min(random.lognormvariate(3.4, 0.5), 200)  # median 30, mean 34
        time.sleep(tokens * self.SECONDS_A_TOKEN)
        with self._lock:
            self.busy += tokens * self.SECONDS_A_TOKEN
        return script._complete(request, index)

    def _say(self, ref: ModelRef, request: Request, index: int) -> str:
        points = sum(map(ord, request.id)) + index
        return f"Well. Score: {points % 6}" if "/" in request.id else f"Answer {index}"


class LoadedSlots:
    """A model of such an engine."""

    concurrent = True

    def __init__(self, script: LoadedScript, slots: Slots) -> None:
        self.ref, self.chat_template, self.context = script.ref, "none", script.context
        self.loglikelihood, self.count_tokens = script.loglikelihood, script.count_tokens
        self._script, self._slots = script, slots

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Complete requests as slots are free."""
        done: SimpleQueue[Completion] = SimpleQueue()
        count = 0
        for request in requests:
            for index in range(request.sampling.n):
                count += 1
                job = self._slots._pool.submit(self._slots.serve, self._script, request, index)
                job.add_done_callback(lambda job: done.put(job.result()))
        for _ in range(count):
            yield done.get()


def judged(concurrent: bool, prompts: list[PromptRow]) -> tuple[float, float, object]:
    """Seconds of candidates and verdicts, seconds that slots were at work, and what came out."""
    settings = SelfRewardingSettings.model_validate(
        {
            "rubric": "five_points",
            "seeds": {"ift": "microworld:ift"},
            "sft": {"learning_rate": 1e-3},
            "dpo": {"learning_rate": 1e-3},
            "proposing": {"file": "microworld:prompts"},
            "candidates": {"n": 4},
            "judging": {"n": 3},
        }
    )
    engine, model = Slots(), ModelRef(name="M1", location="slots")
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(LoadedSlots, "concurrent", concurrent),
        engine.open(model) as loaded,
    ):
        place = Workspace(Path(folder), engine, 0, (model,), beside=Beside)
        one = Round(settings, pointwise("five_points"), model, 2, place)
        guards = settings.guards.model_copy(update={"ended": 0.0})
        begun = time.perf_counter()
        found = one.judged_candidates(loaded, prompts, Watch(guards, "M1"))
        return time.perf_counter() - begun, engine.busy, found


def candidates() -> None:
    """Write and judge the candidates of a round."""
    prompts = [PromptRow(f"p{k}", f"What is {k}?") for k in range(100)]
    after, busy, found = judged(False, prompts)
    meanwhile, _, again = judged(True, prompts)
    assert found == again
    least = busy / Slots.COUNT
    print(
        json.dumps(
            {
                "what": "round",
                "one_after_the_other_s": round(after, 2),
                "at_once_s": round(meanwhile, 2),
                "times": round(after / meanwhile, 2),
                "all_slots_always_busy_s": round(least, 2),
                "of_ideal": round((after - meanwhile) / (after - least), 2),
                "rows": 100 * 4 * (1 + 3),
                "slots": Slots.COUNT,
            }
        ),
        flush=True,
    )


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--delay", type=float, default=0.25)
    parser.add_argument("--only", nargs="*", default=["stage", "run", "round"])
    options = parser.parse_args()
    with running(options.delay, "Better: A. Score: 3") as url:
        if "stage" in options.only:
            stage(url)
        if "run" in options.only:
            whole_run(url)
    if "round" in options.only:
        candidates()


if __name__ == "__main__":
    main()
