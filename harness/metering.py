"""Count what models do, and keep a model open while it is asked again.

Plug-ins ask models; progress, tokens and seconds are counted around them, so that no plug-in has
to do it and none can forget it.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import ClassVar, Protocol

from harness.errors import HarnessError, StoreError
from harness.overview import OTHER, Position
from harness.protocols import (
    Completion,
    Continuation,
    Engine,
    LoadedModel,
    LogLikelihood,
    Prompt,
    Request,
)
from harness.records import Cost, Failure, ModelRef, Outcome
from harness.rows import RowLog

_LOG = logging.getLogger(__name__)


class Display(Protocol):
    """Whoever wants to know how far a run is."""

    def stage(self, position: Position) -> None:
        """A stage begins."""
        ...

    def part(self, title: str) -> None:
        """A part of the stage begins."""
        ...

    def rows(self, done: int, total: int | None, cost: Cost) -> None:
        """So many rows of the part are there by now, and that is what it has cost."""
        ...

    def part_done(self, cost: Cost) -> None:
        """The part has ended."""
        ...

    def note(self, text: str) -> None:
        """There is something to be read."""
        ...


class Silent:
    """A display for nobody."""

    def stage(self, position: Position) -> None:
        """Say nothing."""

    def part(self, title: str) -> None:
        """Say nothing."""

    def rows(self, done: int, total: int | None, cost: Cost) -> None:
        """Say nothing."""

    def part_done(self, cost: Cost) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""


class Audience:
    """Several displays as one. A display that breaks is sent away; the run goes on."""

    def __init__(self, *displays: Display) -> None:
        self._displays = list(displays)

    def _tell(self, tell: Callable[[Display], None]) -> None:
        for display in [*self._displays]:
            try:
                tell(display)
            except Exception:  # noqa: BLE001  # whatever it is, it is not worth a run
                self._displays.remove(display)
                _LOG.warning("a display broke and is left out from here on", exc_info=True)

    def stage(self, position: Position) -> None:
        """Tell everybody."""
        self._tell(lambda display: display.stage(position))

    def part(self, title: str) -> None:
        """Tell everybody."""
        self._tell(lambda display: display.part(title))

    def rows(self, done: int, total: int | None, cost: Cost) -> None:
        """Tell everybody."""
        self._tell(lambda display: display.rows(done, total, cost))

    def part_done(self, cost: Cost) -> None:
        """Tell everybody."""
        self._tell(lambda display: display.part_done(cost))

    def note(self, text: str) -> None:
        """Tell everybody."""
        self._tell(lambda display: display.note(text))


class Meter:
    """The parts of a stage, what each cost, and how far the present one is."""

    def __init__(self, display: Display, spent: Callable[[], Cost] = Cost) -> None:
        """Count for a display.

        Args:
            display: Who is told.
            spent: Tells what calls of models on servers came to since it was asked last.
        """
        self._display = display
        self._spent = spent
        self._log: RowLog | None = None
        self._cost = Cost()
        self._asked = 0
        self._told: tuple[int, int] | None = None
        """How far the part is by its own account, which goes before the rows that are counted."""
        self._in_parts = 0.0

    @contextmanager
    def stage(self, costs: RowLog) -> Iterator[None]:
        """Account for a stage in its own log: its parts, and what is left of the clock's time."""
        with costs:
            self._log, self._in_parts, begun = costs, 0.0, time.perf_counter()
            try:
                yield
            finally:
                rest = time.perf_counter() - begun - self._in_parts
                self._keep(OTHER, Cost(seconds=rest))
                self._log = None

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Account for a part; its cost is kept even where it is interrupted by an error."""
        self._display.part(name)
        self._spent()  # outside of a part nobody is charged
        self._cost, self._asked, self._told, begun = Cost(), 0, None, time.perf_counter()
        try:
            yield
        finally:
            cost = self._cost + Cost(seconds=time.perf_counter() - begun) + self._spent()
            self._in_parts += cost.seconds
            self._keep(name, cost)
            self._display.part_done(cost)

    def _keep(self, name: str, cost: Cost) -> None:
        assert self._log is not None, "parts belong to a stage"
        attempt = sum(1 for key in self._log if key.rpartition("#")[0] == name)
        # On a full disk the next row says so; a lost cost must not hide why the part stopped.
        with suppress(StoreError):
            self._log.append(f"{name}#{attempt}", cost.model_dump())

    def progress(self, what: str, done: int, total: int) -> None:
        """Show how far a part is by its own account, e.g. in training steps."""
        self._told = done, total
        self._show()

    def asked(self, rows: int) -> None:
        """So many more rows were asked for."""
        self._asked += rows

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
        self._cost = self._cost + cost
        self._show()

    def _show(self) -> None:
        done, total = self._told or (self._cost.rows, self._asked)
        self._display.rows(done, total, self._cost)


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
        self.ref = model.ref.model_copy(update={"chat_template": model.chat_template})
        self.chat_template = model.chat_template
        self.context = model.context

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Complete every request, counting."""
        requests = list(requests)
        self._meter.asked(sum(request.sampling.n for request in requests))
        new = [request for request in requests if request not in self._answered]
        by_id = {request.id: request for request in new}
        distinct = len(by_id) == len(new)  # otherwise an id does not say whose a completion is
        for request in requests:
            for completion in self._answered.get(request, ()):
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

    def _remember(self, request: Request, made: list[Completion]) -> None:
        if len(self._answered) == REMEMBERED:
            del self._answered[next(iter(self._answered))]
        self._answered[request] = tuple(made)

    def loglikelihood(self, requests: Iterable[Continuation]) -> Iterator[LogLikelihood]:
        """Score every continuation, counting."""
        requests = list(requests)
        self._meter.asked(len(requests))
        for result in self._model.loglikelihood(requests):
            self._meter.finished(result.tokens, 0)
            if result.failure is not None:
                self._meter.failed(result.failure.reason)
            yield result

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
