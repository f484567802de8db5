"""The measurements of a run, gone through with stand-ins, in a folder that is thrown away.

    rehearse(bench, trainings, counter, lengths)["01-evaluate"]["M1/examiner"]
    Rehearsed(cost=Cost(rows=300, prompt_tokens=4002, new_tokens=2800, seconds=0.2), asked=(Work,))

It is the run's own code that runs, stage by stage, with an engine whose models answer at once, and
a trainer that hands over models nobody trained. So the parts, their names, their rows and what is
answered from memory are the run's, whatever the evaluations are; the seconds are what the harness
itself takes. A judge that is free and takes no memory is really asked.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar, NamedTuple, Protocol

from harness.engines.scripted import prompt_text
from harness.errors import DataError
from harness.overview import Position
from harness.planned import Length, PlannedTraining, Work
from harness.planning.tokens import Counter
from harness.plugins import Built
from harness.protocols import (
    Completion,
    Continuation,
    Engine,
    Improvement,
    LoadedModel,
    LogLikelihood,
    Prompt,
    Remote,
    Request,
    Workspace,
)
from harness.records import Cost, ModelRef, Stage
from harness.run import Bench, Progress, stages
from harness.store import Store

_RUBRIC = 40
"""Characters that all prompts of one call begin with, where they are filled in from a rubric."""
_FIRST = Stage(iteration=0, kind="evaluate")
_PATIENCE = 1 << 62
"""Verdicts that may be unreadable: a stand-in's are."""


class Asked(NamedTuple):
    """Where a stand-in was asked, and for what."""

    stage: Stage
    part: str
    model: str
    verdict: bool
    """Whether it was to judge."""
    most: int
    """The most tokens it may write."""


Lengths = Callable[[Asked], Length]
"""Tells how many tokens a completion will have."""


class Sampler(Protocol):
    """Answers some requests for real; the rest is left to the stand-in."""

    def generate(self, asked: Asked, requests: Sequence[Request]) -> Iterator[Completion]:
        """Complete some of the requests."""
        ...

    def score(self, asked: Asked, requests: Sequence[Continuation]) -> Iterator[LogLikelihood]:
        """Score some of the continuations."""
        ...


@dataclass(frozen=True)
class Rehearsed:
    """What a part of a measuring stage comes to."""

    cost: Cost
    """As the run will count it; the seconds are the harness's own."""
    asked: tuple[Work, ...]
    """What models have to do for it."""


@dataclass
class _Ears:
    """Hears which part is under way, and keeps what models are asked in it."""

    stage_now: Stage = _FIRST
    part_now: str = ""
    asked: dict[tuple[Stage, str], list[Work]] = field(default_factory=lambda: defaultdict(list))
    spent: dict[tuple[Stage, str], float] = field(default_factory=lambda: defaultdict(float))
    """Seconds in which a model was really asked."""

    def stage(self, position: Position) -> None:
        self.stage_now = position.stage

    def part(self, title: str, beside: bool) -> None:
        self.part_now = title

    def rows(self, title: str, done: int, total: int | None, cost: Cost) -> None:
        pass

    def part_done(self, title: str, cost: Cost) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Time what is not the harness's own."""
        began = time.perf_counter()
        yield
        self.spent[self.stage_now, self.part_now] += time.perf_counter() - began

    def keep(self, work: Work) -> None:
        self.asked[self.stage_now, self.part_now].append(work)


def rehearse(
    bench: Bench,
    trainings: Sequence[PlannedTraining],
    counter: Counter,
    lengths: Lengths,
    sampler: Sampler | None = None,
) -> dict[Stage, dict[str, Rehearsed]]:
    """Go through all stages of a run.

    Args:
        bench: What is built of the request.
        trainings: What its trainer plans, a round each.
        counter: Counts the tokens of every model.
        lengths: Of completions.
        sampler: Who answers some of the requests to M0 for real.

    Raises:
        HarnessError: an evaluation cannot be done as asked.
    """
    ears = _Ears()
    config = bench.config
    if config.judge is not None:
        guards = config.judge.guards.model_copy(update={"unreadable": _PATIENCE})
        judge = config.judge.model_copy(update={"guards": guards})
        config = config.model_copy(update={"judge": judge})

    def stand_in(built: Built[Engine], own: Sampler | None) -> Built[Engine]:
        return replace(built, plugin=_Engine(ears, counter, lengths, own))

    rehearsed = replace(
        bench,
        config=config,
        engine=stand_in(bench.engine, sampler),
        judge=bench.judge if not bench.judge or _free(bench.judge) else stand_in(bench.judge, None),
        trainer=Built("rehearsal", _Trainer(trainings), {}) if trainings else None,
    )
    found: dict[Stage, dict[str, Rehearsed]] = {}
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "run")
        with store.begin({}, {}):
            progress = Progress(rehearsed, store, ears)
            for stage in stages(config.iterations):
                if stage.iteration > 1:
                    progress.bench = _judged(rehearsed)
                try:
                    progress.perform(stage)
                except DataError as error:
                    raise Absent(ears.part_now.split("/")[1:2], error) from error
                found[stage] = {
                    part: Rehearsed(
                        cost + Cost(seconds=-ears.spent[stage, part]),
                        tuple(ears.asked.get((stage, part), ())),
                    )
                    for part, cost in store.costs(stage).items()
                }
                if stage.kind == "evaluate" and stage.iteration > 1:
                    found[stage] |= _repeated(rehearsed, found, trainings, stage)
    return found


class Absent(DataError):
    """The data of an evaluation are not at hand."""

    def __init__(self, part: Sequence[str], error: DataError) -> None:
        super().__init__(str(error))
        self.evaluation = "".join(part)
        """Its label; nothing where something else is missing."""


def _judged(bench: Bench) -> Bench:
    """Leave out what asks nothing that depends on other models: one rehearsal of it is enough."""
    kept = tuple(one for one in bench.evaluations if one.plugin.needs_judge)
    return replace(bench, evaluations=kept)


def _repeated(
    bench: Bench,
    found: dict[Stage, dict[str, Rehearsed]],
    trainings: Sequence[PlannedTraining],
    stage: Stage,
) -> dict[str, Rehearsed]:
    """Take M1's parts for those that were left out."""
    first = found[Stage(iteration=1, kind="evaluate")]
    before = trainings[0].models[-1].name
    return {
        f"{model.name}/{built.name}{end}": _of(model, first[f"{before}/{built.name}{end}"])
        for model in trainings[stage.iteration - 1].models
        for built in bench.evaluations
        if not built.plugin.needs_judge
        for end in ("", "/mark")
    }


def _free(judge: Built[Engine]) -> bool:
    return judge.plugin.light and not isinstance(judge.plugin, Remote)


def _of(model: ModelRef, one: Rehearsed) -> Rehearsed:
    return replace(one, asked=tuple(replace(work, model=model) for work in one.asked))


@dataclass(frozen=True)
class _Trainer:
    """Hands over what the real trainer plans to make."""

    trainings: Sequence[PlannedTraining]

    def check(self, model: ModelRef, seed: int, iterations: int) -> None:
        pass

    def improve(self, model: ModelRef, iteration: int, workspace: Workspace) -> Improvement:
        planned = self.trainings[iteration - 1]
        *comparators, made = planned.models
        return Improvement(made, tuple(comparators), {}, planned.prompts)


@dataclass(frozen=True)
class _Engine:
    """Opens stand-ins."""

    ears: _Ears
    counter: Counter
    lengths: Lengths
    sampler: Sampler | None
    light: ClassVar[bool] = False

    @contextmanager
    def open(self, model: ModelRef) -> Iterator[LoadedModel]:
        yield _StandIn(model, self)


class _StandIn:
    """A model that says as many words as are expected, and nothing with them."""

    chat_template: str | None = None
    context = 1 << 30

    def __init__(self, ref: ModelRef, engine: _Engine) -> None:
        self.ref = ref
        self._engine = engine
        # Only M0 is there to be asked for real; what it says stands for the later models too.
        self._sampler = engine.sampler if ref.parent is None else None
        self._owed = 0.0

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Say as many tokens as are expected, with the fractions that add up."""
        asked = list(requests)
        if not asked:
            return
        where = self._where(asked)
        really = {}
        length = self._engine.lengths(where)
        if self._sampler:
            with self._engine.ears.asking():
                said = list(self._sampler.generate(where, asked))
            really = {(one.id, one.index): one for one in said}
            length = Length.of([len(one.token_ids) for one in said]) or Length(0.0)
        prompts = new = rows = 0
        for request in asked:
            size = self.count_tokens(request.prompt)
            prompts += size
            for index in range(request.sampling.n):
                done = really.get((request.id, index))
                done = done or self._say(request, index, size, self._next(length.mean, request))
                rows += 1
                new += len(done.token_ids)
                yield done
        first = asked[0].sampling
        self._engine.ears.keep(
            Work(
                self._engine.ears.part_now,
                "generate",
                self.ref,
                rows,
                prompts,
                new,
                first.n,
                most=where.most,
                tail=length.tail,
            )
        )

    def loglikelihood(self, requests: Iterable[Continuation]) -> Iterator[LogLikelihood]:
        """Find everything unlikely."""
        asked = list(requests)
        if not asked:
            return
        really = {}
        if self._sampler:
            with self._engine.ears.asking():
                scored = self._sampler.score(self._where(()), asked)
            really = {one.id: one for one in scored}
        read: dict[Prompt, int] = {}
        tokens = 0
        for request in asked:
            said = request.continuation
            size = self._engine.counter.text(said) if isinstance(said, str) else len(said)
            if request.prompt not in read:
                read[request.prompt] = self.count_tokens(request.prompt)
            tokens += size
            yield really.get(request.id) or LogLikelihood(request.id, -float(size), size, False)
        # A prompt is read once for all that may follow it.
        self._engine.ears.keep(
            Work(
                self._engine.ears.part_now,
                "score",
                self.ref,
                len(asked),
                sum(read.values()) + tokens,
            )
        )

    def count_tokens(self, prompt: Prompt) -> int:
        return self._engine.counter.count(prompt)

    def _where(self, requests: Sequence[Request]) -> Asked:
        texts = [prompt_text(request.prompt) for request in requests]
        alike = _shared(min(texts), max(texts)) if len(set(texts)) > 1 else 0
        ears = self._engine.ears
        return Asked(
            ears.stage_now,
            ears.part_now,
            self.ref.name,
            alike >= _RUBRIC,
            max((request.sampling.max_tokens for request in requests), default=0),
        )

    def _next(self, mean: float, request: Request) -> int:
        self._owed += min(mean, request.sampling.max_tokens)
        size = max(1, int(self._owed))
        self._owed -= size
        return size

    def _say(self, request: Request, index: int, prompt: int, size: int) -> Completion:
        words = f"{self.ref.name} {request.id[:6]}{' and' * (size - 1)}"
        return Completion(request.id, index, words, (0,) * prompt, (0,) * size)


def _shared(first: str, last: str) -> int:
    """Count the characters that the first and the last of sorted texts, and so all, begin with."""
    pairs = zip(first, last, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
