"""Count what models do, and keep a model open while it is asked again.

Plug-ins ask models; progress, tokens and seconds are counted around them, so that no plug-in has
to do it and none can forget it.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from threading import Lock, RLock, current_thread
from typing import Any, ClassVar

from harness.audience import Display
from harness.beside import Beside, Halt
from harness.errors import HarnessError, StoreError
from harness.overview import OTHER
from harness.protocols import (
    Completion,
    Concurrent,
    Continuation,
    Engine,
    LoadedModel,
    LogLikelihood,
    Prompt,
    Request,
)
from harness.records import Cost, Failure, ModelRef, Outcome
from harness.remote.ledger import PART
from harness.rows import RowLog

_LOG = logging.getLogger(__name__)

KEPT_EVERY = 10.0
"""Seconds after which what a part has cost is kept, though it goes on."""


@dataclass
class _Part:
    """A part that is under way."""

    name: str
    costs: Callable[[], RowLog]
    beside: bool
    """Whether it is in another thread than the stage."""
    began: float
    """When it began, or its cost was last kept."""
    seconds: float = 0.0
    """For how long the run has waited for it since."""
    owed: Cost = field(default_factory=Cost)
    """What has come up since."""
    cost: Cost = field(default_factory=Cost)
    """What has come up in all."""
    asked: int = 0
    told: tuple[int, int] | None = None
    """How far it is by its own account, which goes before the rows that are counted."""


class Meter:
    """The parts of a stage, what each cost, and how far those under way are.

    Parts may be under way at once, each in a thread of its own: what is asked in a thread is
    charged to its part. A second is charged once, to what the run waits for: to the stage's own
    part; while the stage waits for other threads, to the part that began first there; and where
    there is none, to the rest of the stage.
    """

    def __init__(
        self,
        display: Display,
        spent: Callable[[], Mapping[str, Cost]] = dict,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Count for a display.

        Args:
            display: Who is told.
            spent: Tells by part what calls of models on servers came to since it was asked last.
            clock: Tells the time in seconds.
        """
        self._display, self._spent, self._clock = display, spent, clock
        self._lock = RLock()
        self._halt = Halt()
        self._home = current_thread()
        self._costs: Callable[[], RowLog] | None = None
        self._parts: dict[str, _Part] = {}
        self._bills: dict[str, Cost] = {}
        """What calls came to that no part has been charged for."""
        self._waiting = False
        self._since, self._rest = clock(), 0.0

    @contextmanager
    def stage(self, costs: Callable[[], RowLog]) -> Iterator[None]:
        """Account for a stage in a log of its own: its parts, and what is left of the time.

        The time since the stage before is part of it.
        """
        self._costs = costs
        try:
            yield
        finally:
            with self._lock:
                self._tick()
                self._keep(costs, OTHER, Cost(seconds=self._rest))
                self._costs, self._rest = None, 0.0

    @contextmanager
    def part(self, name: str, costs: Callable[[], RowLog] | None = None) -> Iterator[None]:
        """Account for a part of this thread; its cost is kept even where an error ends it.

        Args:
            name: Which one. No other that is under way may go by it.
            costs: Where to account for it; None for the log of the present stage.

        Raises:
            BaseException: what has gone wrong in a part beside.
        """
        self._halt.check()
        with self._lock:
            log = costs or self._costs
            assert log is not None, "parts belong to a stage"
            self._tick()
            self._settle().pop(name, None)  # what was spent outside of it nobody is charged for
            part = _Part(name, log, current_thread() is not self._home, self._since)
            self._parts[name] = part
            self._display.part(name, part.beside)
        token = PART.set(name)
        try:
            yield
        finally:
            PART.reset(token)
            with self._lock:
                self._tick()
                del self._parts[name]
                self._keep_part(part)
                self._display.part_done(name, part.cost)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Say that the stage waits for parts in other threads: their seconds are its own."""
        with self._lock:
            self._tick()
            self._waiting = True
        try:
            yield
        finally:
            with self._lock:
                self._tick()
                self._waiting = False

    def beside(self, work: Callable[[Iterator[list[Any]]], None]) -> Beside[Any]:
        """Do work in another thread, whose parts are accounted for here."""
        return Beside(work, self._halt, self.waiting)

    def check(self) -> None:
        """Stop here where a part beside has gone wrong, or nobody wants this one any more.

        To be called between rows.

        Raises:
            BaseException: what has gone wrong.
        """
        self._halt.check()

    def _tick(self) -> None:
        """Charge the seconds since the last change to what the run waited for."""
        now = self._clock()
        passed, self._since = now - self._since, now
        waited_for = [part for part in self._parts.values() if part.beside == self._waiting]
        if waited_for:
            waited_for[0].seconds += passed
        else:
            self._rest += passed

    def _settle(self) -> dict[str, Cost]:
        """Take up what calls have come to."""
        for name, cost in self._spent().items():
            self._bills[name] = self._bills.get(name, Cost()) + cost
        return self._bills

    def _keep_part(self, part: _Part) -> None:
        """Account for what a part has come to since it was last accounted for."""
        aside = self._since - part.began - part.seconds if part.beside else 0.0
        owed = part.owed + Cost(seconds=part.seconds, beside=max(aside, 0.0))
        bill = self._settle().pop(part.name, Cost())
        self._keep(part.costs, part.name, owed + bill)
        # Rows and tokens have been added to the whole as they came.
        part.cost += Cost(seconds=part.seconds, beside=max(aside, 0.0)) + bill
        part.owed, part.seconds, part.began = Cost(), 0.0, self._since

    def _keep(self, costs: Callable[[], RowLog], name: str, cost: Cost) -> None:
        # On a full disk the next row says so; a lost cost must not hide why the part stopped.
        with suppress(StoreError), costs() as log:
            attempt = sum(1 for key in log if key.rpartition("#")[0] == name)
            log.append(f"{name}#{attempt}", cost.model_dump())

    def note(self, text: str) -> None:
        """Have something read, whichever thread says it."""
        with self._lock:
            self._display.note(text)

    def progress(self, what: str, done: int, total: int) -> None:
        """Show how far a part is by its own account, e.g. in training steps."""
        with self._lock:
            if part := self._here():
                part.told = done, total
                self._show(part)

    def asked(self, rows: int) -> None:
        """So many more rows were asked for."""
        with self._lock:
            if part := self._here():
                part.asked += rows

    def finished(self, prompt_tokens: int, new_tokens: int) -> None:
        """A row came back."""
        self._add(Cost(rows=1, prompt_tokens=prompt_tokens, new_tokens=new_tokens))

    def failed(self, reason: str) -> None:
        """A row could not be made, or what it says could not be read."""
        self._add(Cost(failures={reason: 1}))

    def tied(self, times: int = 1) -> None:
        """Answers were judged alike."""
        self._add(Cost(ties=times))

    def _add(self, cost: Cost) -> None:
        with self._lock:
            if part := self._here():
                part.cost += cost
                part.owed += cost
                self._show(part)

    def _here(self) -> _Part | None:
        """Find the part of this thread; a thread that says nothing works for the stage's own."""
        own = (part for part in self._parts.values() if not part.beside)
        return self._parts.get(PART.get()) or next(own, None)

    def _show(self, part: _Part) -> None:
        if self._clock() - part.began > KEPT_EVERY:  # a kill shall not cost the accounts
            self._tick()
            self._keep_part(part)
        done, total = part.told or (part.cost.rows, part.asked)
        self._display.rows(part.name, done, total, part.cost)


REMEMBERED = 2048
"""How many requests a model remembers its completions of."""


class MeteredModel:
    """A loaded model whose rows and tokens are counted.

    A request that comes again while the model is open is answered from memory: an engine would draw
    the same completions again. Two evaluations that ask the same questions cost one.
    """

    def __init__(self, model: LoadedModel, meter: Meter) -> None:
        self._model = model
        self._meter = meter
        self._answered: dict[Request, tuple[Completion, ...]] = {}
        self._lock = Lock()
        self.concurrent = isinstance(model, Concurrent) and model.concurrent
        self.ref = model.ref.model_copy(update={"chat_template": model.chat_template})
        self.chat_template = model.chat_template
        self.context = model.context

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Complete every request, counting."""
        requests = list(requests)
        self._meter.check()
        self._meter.asked(sum(request.sampling.n for request in requests))
        with self._lock:
            known = {one: self._answered[one] for one in requests if one in self._answered}
        new = [request for request in requests if request not in known]
        by_id = {request.id: request for request in new}
        distinct = len(by_id) == len(new)  # otherwise an id does not say whose a completion is
        for request in requests:
            for completion in known.get(request, ()):
                self._meter.finished(0, 0)
                yield completion
        unfinished: dict[str, list[Completion]] = defaultdict(list)
        for completion in self._model.generate(new):
            # A prompt is prefilled once for its n samples, and counted once.
            prompt = len(completion.prompt_ids) if completion.index == 0 else 0
            self._meter.finished(prompt, len(completion.token_ids))
            if completion.failure is not None:
                self._meter.failed(completion.failure.reason)
            yield completion
            made = unfinished[completion.id]
            made.append(completion)
            if distinct and len(made) == by_id[completion.id].sampling.n:
                self._remember(by_id[completion.id], made)
                del unfinished[completion.id]
            self._meter.check()  # by now the row is in a log

    def _remember(self, request: Request, made: list[Completion]) -> None:
        with self._lock:
            if len(self._answered) == REMEMBERED:
                del self._answered[next(iter(self._answered))]
            self._answered[request] = tuple(made)

    def loglikelihood(self, requests: Iterable[Continuation]) -> Iterator[LogLikelihood]:
        """Score every continuation, counting."""
        requests = list(requests)
        self._meter.check()
        self._meter.asked(len(requests))
        for result in self._model.loglikelihood(requests):
            self._meter.finished(result.tokens, 0)
            if result.failure is not None:
                self._meter.failed(result.failure.reason)
            yield result
            self._meter.check()

    def heard(self, verdict: Completion, outcome: Outcome, *, tied: bool) -> None:
        """Count verdicts that cannot be read, and ties; rows that failed are counted already."""
        if isinstance(outcome, Failure) and verdict.failure is None:
            self._meter.failed(outcome.reason)
        elif tied:
            self._meter.tied()

    def count_tokens(self, prompt: Prompt) -> int:
        """Count the prompt's tokens as `generate` would see them."""
        return self._model.count_tokens(prompt)


class KeptEngine:
    """An engine that keeps its last model open, so that whoever asks it next need not load it.

    M_t is measured, then writes and judges the next round's candidates: one load serves both.
    """

    light: ClassVar[bool] = False

    def __init__(self, engine: Engine, meter: Meter) -> None:
        self._engine = engine
        self._meter = meter
        self._kept: tuple[ModelRef, LoadedModel] | None = None
        self._users = 0
        self._stack = ExitStack()

    @contextmanager
    def open(self, model: ModelRef) -> Iterator[LoadedModel]:
        """Open a model, or hand out the one that is open.

        Raises:
            HarnessError: another model is in use, which two at once would push out of memory.
        """
        # By the exact reference, too, that it told when it was opened.
        if self._kept is None or model not in (self._kept[0], self._kept[1].ref):
            if self._kept is not None and self._users:
                raise HarnessError(
                    f"{model.name} was asked for while {self._kept[0].name} is in use; a plug-in "
                    "must leave one model's `with` block before it opens another"
                )
            self.release()
            loaded = self._stack.enter_context(self._engine.open(model))
            self._kept = model, MeteredModel(loaded, self._meter)
        self._users += 1
        try:
            yield self._kept[1]
        finally:
            self._users -= 1

    def release(self) -> None:
        """Give the open model's memory back."""
        self._kept = None
        self._stack.close()
