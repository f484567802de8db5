"""A pilot: the request's own engine and model, asked for about a hundredth of the run.

    candidates     8 requests, then 64 of 300 -> 256 completions in 0.4 s, the model says 0.3
    M0/examiner    256 of 300 -> ...
    train SFT      10 updates of 76, and one on the longest rows

Every part is asked what it will ask in the run, a batch of each replica's or a hundredth of the
rows, whichever is more, and no more than takes 20 seconds. Nothing goes into the run's folder.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from harness import plugins
from harness.config import RunConfig
from harness.errors import ConfigError
from harness.overview import OTHER
from harness.planned import Length, Piloted, Tried, Work
from harness.planning.bid import Bid
from harness.planning.estimate import Estimator
from harness.planning.evidence import Evidence, Timed
from harness.planning.fleet import Fleet
from harness.planning.hardware import may_be_here
from harness.planning.plan import put_together
from harness.planning.rehearsal import Asked
from harness.planning.speed import train_seconds
from harness.protocols import (
    Checked,
    Completion,
    Continuation,
    LoadedModel,
    LogLikelihood,
    Remote,
    Request,
)
from harness.records import Cost, MemoryNeed, Plan, Stage, StageResult

T = TypeVar("T")
_FIRST = 8
"""Completions of a first try, which says whether more can be afforded."""
_SHARE = 0.01
"""Of the rows of a part."""
_SECONDS = 20.0
"""The most that a part's second try may be expected to take."""
_TRAINED = Stage(iteration=2, kind="train")


def piloted(config: RunConfig, fleet: Fleet, folder: Path) -> Plan:
    """Plan a run by trying it out.

    Raises:
        HarnessError: the model cannot be opened or trained, or does not fit into memory.
    """
    engine = plugins.build(plugins.ENGINES, config.engine).plugin
    if isinstance(engine, Remote):
        raise ConfigError(
            "a pilot would ask a model on a server, which may cost: leave out --pilot, or name an "
            "engine that runs here"
        )
    if fleet.supposed or not may_be_here(fleet.device):
        raise ConfigError("a pilot measures the hardware that is here: leave out --gpu and --gpus")
    if isinstance(engine, Checked):
        engine.check(config.model)
    bid = Bid.build(config)
    first = Estimator(bid, fleet)
    with engine.open(config.model):
        pass  # the first time, libraries are imported
    began = time.perf_counter()
    with engine.open(config.model) as model:
        opened = time.perf_counter() - began
        sampler = Sampling(model, first)
        told = _sample_trainer(first, sampler)
        evidence = Evidence(stages=(told,) if told.costs else ())
        estimator = Estimator(bid, fleet, evidence, sampler)
        estimates = estimator.stages()
    load = first.seconds_of(Work(OTHER, "load", config.model, 1)) or 0.0
    timed = [
        *sampler.timed(),
        *(Timed(stage, OTHER, "load", load, opened) for stage in estimates),
    ]
    tried = list(_try_training(bid, estimator))
    for one in tried:
        timed.append(_timed_training(estimator, one))
        _start(estimates, one)
    estimator.evidence = replace(
        evidence,
        source="pilot",
        timed=tuple(timed),
    )
    made = put_together(estimator, estimates, folder)
    return made.model_copy(update={"memory": (*made.memory, *map(_measured(fleet), tried))})


@dataclass
class _Share:
    """What was really asked in a part, in its second and larger try where there was one."""

    work: list[Work] = field(default_factory=list)
    seconds: float = 0.0


@dataclass
class Sampling:
    """Asks the model for a share of each part, and times it."""

    model: LoadedModel
    estimator: Estimator
    parts: dict[str, tuple[Stage, _Share]] = field(default_factory=dict)

    def generate(self, asked: Asked, requests: Sequence[Request]) -> Iterator[Completion]:
        """Complete some of the requests."""
        return self.some(asked, requests, len(requests) * requests[0].sampling.n)

    def some(self, asked: Asked, requests: Sequence[Request], all_of: int) -> Iterator[Completion]:
        """Complete as many requests as a part of so many completions is tried with."""
        few = _drawn(requests, max(1, _FIRST // requests[0].sampling.n))
        seconds, done = _timed(lambda: list(self.model.generate(few)))
        more = self._affordable(requests, self.rows(all_of), few, seconds)
        if len(more) > len(few):
            few = more
            seconds, done = _timed(lambda: list(self.model.generate(few)))
        first, lengths = few[0].sampling, [len(one.token_ids) for one in done]
        length = Length.of(lengths)
        self._keep(
            asked,
            seconds,
            Work(
                asked.part,
                "generate",
                self.estimator.config.model,
                len(done),
                sum(len(one.prompt_ids) for one in done if one.index == 0),
                sum(lengths),
                first.n,
                most=first.max_tokens,
                tail=length.tail if length else None,
            ),
        )
        return iter(done)

    def score(self, asked: Asked, requests: Sequence[Continuation]) -> Iterator[LogLikelihood]:
        """Score some of the continuations, with all that share their prompts."""
        few = list(requests[:_FIRST])
        seconds, done = _timed(lambda: list(self.model.loglikelihood(few)))
        wanted = self.rows(len(requests))
        if wanted > _FIRST and seconds * wanted / len(few) <= _SECONDS:
            few = list(requests[:wanted])
            seconds, done = _timed(lambda: list(self.model.loglikelihood(few)))
        count = self.estimator.counter
        prompts = {one.prompt for one in few}
        tokens = sum(map(count.count, prompts)) + sum(one.tokens for one in done)
        self._keep(
            asked,
            seconds,
            Work(asked.part, "score", self.estimator.config.model, len(done), tokens),
        )
        return iter(done)

    def _affordable(
        self, requests: Sequence[Request], rows: int, few: Sequence[Request], seconds: float
    ) -> list[Request]:
        wanted = max(1, rows // requests[0].sampling.n)
        if seconds * wanted / len(few) > _SECONDS:
            wanted = max(1, int(_SECONDS / seconds * len(few)))
        return _drawn(requests, wanted)

    def rows(self, all_of: int) -> int:
        """How many of so many rows are tried."""
        serving = self.estimator.serving(self.estimator.config.model)
        batch = serving.batch_rows * serving.replicas if serving else _FIRST
        return max(round(_SHARE * all_of), batch)

    def _keep(self, asked: Asked, seconds: float, work: Work) -> None:
        _, share = self.parts.setdefault(asked.part, (asked.stage, _Share()))
        share.work.append(work)
        share.seconds += seconds

    def timed(self) -> Iterator[Timed]:
        """What was measured, part by part."""
        for part, (stage, share) in self.parts.items():
            modelled = [self.estimator.seconds_of(work) for work in share.work]
            known = sum(one for one in modelled if one is not None)
            yield Timed(stage, part, share.work[0].kind, known, share.seconds)

    def cost(self, part: str) -> Cost:
        """What a part came to."""
        _, share = self.parts[part]
        return Cost(
            rows=sum(work.rows for work in share.work),
            prompt_tokens=sum(work.prompt_tokens for work in share.work),
            new_tokens=sum(work.new_tokens for work in share.work),
        )


def _drawn(requests: Sequence[Request], count: int) -> list[Request]:
    """Draw some, by chance: their lengths shall be those of all."""
    if count >= len(requests):
        return list(requests)
    return Random(0).sample(list(requests), count)


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    began = time.perf_counter()
    done = work()
    return time.perf_counter() - began, done


def _sample_trainer(estimator: Estimator, sampler: Sampling) -> StageResult:
    """Ask what the trainer's parts ask; lengths are told only of those that ask M0 itself."""
    told = StageResult(stage=_TRAINED, model=estimator.config.model)
    trainer = estimator.bid.bench.trainer
    if trainer is None or not isinstance(trainer.plugin, Piloted) or not estimator.trainings:
        return told
    planned = [work for training in estimator.trainings for work in training.work]
    config = estimator.config
    own = {
        work.part for work in planned if work.model and work.model.location == config.model.location
    }
    largest = {work.part: work.rows for work in sorted(planned, key=lambda work: work.rows)}
    rows = sampler.rows(max(largest.values(), default=0))
    for part, requests in trainer.plugin.examples(config.model, config.seed, rows).items():
        most = requests[0].sampling.max_tokens
        asked = Asked(_TRAINED, part, config.model.name, verdict=False, most=most)
        for _ in sampler.some(asked, requests, largest.get(part, 0)):
            pass
    costs = {part: sampler.cost(part) for part in sampler.parts if part in own}
    return told.model_copy(update={"costs": costs})


def _try_training(bid: Bid, estimator: Estimator) -> Iterator[Tried]:
    trainer = bid.bench.trainer
    if trainer is None or not isinstance(trainer.plugin, Piloted) or not estimator.trainings:
        return
    with TemporaryDirectory() as folder:
        config = bid.bench.config
        planned = {work.part for one in estimator.trainings for work in one.work}
        for tried in trainer.plugin.try_training(config.model, config.seed, Path(folder)):
            if tried.part in planned:
                yield tried


def _timed_training(estimator: Estimator, one: Tried) -> Timed:
    work = Work(one.part, "train", None, one.rows, one.tokens, lesson=one.lesson)
    stage = Stage(iteration=2 if one.lesson.reference else 1, kind="train")
    # Nothing is saved of it, and the seconds before its first step stand by themselves.
    steps = train_seconds(work, estimator.shape, estimator.fleet.device)
    return Timed(stage, one.part, "train", steps, one.seconds)


def _start(estimates: Any, one: Tried) -> None:
    """Add the seconds before the first step to every training of the kind."""
    later = one.lesson.reference
    for stage, parts in estimates.items():
        for part, estimate in parts.items():
            if estimate.kind == "train" and (part == one.part or (later and stage.iteration > 1)):
                parts[part] = replace(estimate, host=one.startup_seconds)


def _measured(fleet: Fleet) -> Callable[[Tried], MemoryNeed]:
    def need(one: Tried) -> MemoryNeed:
        return MemoryNeed(
            what=f"{one.part}, measured",
            place="machine" if fleet.device.cpu else "gpu",
            gpus=one.lesson.processes,
            # Without GPUs all processes are in one memory; what was measured is the largest one's.
            parts={
                f"whole processes at their longest step, of {one.longest_tokens:,} tokens": (
                    one.peak_bytes * (one.lesson.processes if fleet.device.cpu else 1)
                )
            },
            available=fleet.device.memory,
        )

    return need
