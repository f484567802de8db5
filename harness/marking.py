"""What needs only the judge: marks, evaluation by evaluation, in the order of the models.

    M0 answers a, b, c | M1 is trained | M1 answers a, b | ...      the main path
             marks of M0: a, b, c ...        | of M1: a ...         beside, by a judge on a server

A judge on a server needs nothing that the models need, so it marks beside them: from the moment
that an evaluation's answers are there, while the model answers the next one, and while the next
model is trained; no training depends on a mark. A stage is done when its marks are. Any other
judge would take the model's memory or its processor: it has its turn once the answers of a stage
are there, as has whatever needs no judge.

A mark that cannot be had ends the run at the next row or part: a training that is under way is
ended first. A run that stops by itself, because a model has collapsed, say, ends its marks first.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from itertools import chain
from types import TracebackType
from typing import Self

from harness.config import JudgeConfig
from harness.errors import HarnessError, PluginError
from harness.external_judge import ExternalJudge, NoJudge
from harness.metering import Meter, MeteredModel
from harness.plugins import Built
from harness.protocols import Engine, Evaluation, LoadedModel, Publisher, Remote, Stoppable
from harness.records import EvalResult, ModelRef, Stage, StageResult
from harness.store import Store


class Marking:
    """Has answers marked. To be used as a context manager: at its end all marks are there."""

    def __init__(
        self,
        engine: Built[Engine] | None,
        config: JudgeConfig | None,
        store: Store,
        meter: Meter,
        make_room: Callable[[], None],
    ) -> None:
        """Prepare to ask a judge.

        Args:
            engine: Opens the judge; None where there is none.
            config: Which judge, and when to give it up.
            store: Where answers are, and results go.
            meter: Accounts for it.
            make_room: Gives the model's memory to a judge that needs it.
        """
        self._engine, self._config = engine, config
        self._store, self._meter, self._make_room = store, meter, make_room
        self._is_apart = engine is not None and isinstance(engine.plugin, Remote)
        self._apart = meter.beside(self._mark_apart)
        self._owed: list[Callable[[], None]] = []
        """What the main path has to do."""
        self._found: dict[str, list[EvalResult]] = defaultdict(list)
        """By evaluation, the results so far, oldest model first."""
        self._judge: LoadedModel | None = None
        self._stoppable: Stoppable | None = None
        self._opened = ExitStack()

    def take(self, stage: Stage, model: ModelRef, evaluation: Built[Evaluation]) -> None:
        """Mark what a model answered: beside, or else in `settle`."""
        mark = partial(self._mark, stage, model, evaluation)
        if self._is_apart and evaluation.plugin.needs_judge:
            self._apart.put(mark)
        else:
            self._owed.append(mark)

    def settle(self) -> None:
        """Make the marks that are not made beside."""
        owed, self._owed = self._owed, []
        if self._is_apart:  # with the judge, which none of these needs
            for mark in owed:
                mark()
        else:
            self._do(owed)

    def wait(self) -> None:
        """Wait until all marks are there."""
        self._apart.wait()

    def finish(self, result: StageResult) -> None:
        """Note that a stage is done: a measurement when its marks are there."""
        if self._is_apart and result.stage.kind == "evaluate":
            self._apart.put(partial(self._finish, result))
        else:
            self._finish(result)

    def _finish(self, result: StageResult) -> None:
        costs = self._store.costs(result.stage)
        self._store.finish_stage(result.model_copy(update={"costs": costs}))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End: with all marks where the run has stopped by itself, else as soon as may be."""
        try:
            if isinstance(error, HarnessError) and self._apart.under_way:
                self._meter.note(f"marks are finished, then the run stops: {error}")
                with suppress(HarnessError):  # a second one: the first is told
                    self.wait()
        except BaseException as interruption:
            error = interruption
            raise
        finally:
            self._end(error)

    def _end(self, error: BaseException | None) -> None:
        self._apart.unwanted = error is not None
        if error is not None and self._stoppable is not None:
            self._stoppable.stop()
        self._apart.__exit__(type(error) if error else None, error, None)

    def _mark_apart(self, batches: Iterator[list[Callable[[], None]]]) -> None:
        try:
            self._do(chain.from_iterable(batches))
        except HarnessError as error:
            self._meter.note(f"the run stops as soon as nothing is lost by it: {error}")
            raise

    def _do(self, marks: Iterable[Callable[[], None]]) -> None:
        """Make marks, with the judge open from the first to the last that needs it."""
        try:
            with self._opened:
                for mark in marks:
                    mark()
        finally:
            self._judge = self._stoppable = None

    def _mark(self, stage: Stage, model: ModelRef, evaluation: Built[Evaluation]) -> None:
        """Do all that needs only the judge, unless it is done."""
        name, found = evaluation.name, self._found[evaluation.name]
        result = self._store.evaluation_result(stage, model.name, name)
        if result is None:
            judge = self._external(evaluation, f"{name} of {model.name}")
            costs = partial(self._store.costs_log, stage)
            with (
                self._store.evaluation_log(stage, model.name, name) as log,
                self._meter.part(f"{model.name}/{name}/mark", costs),
            ):
                result = evaluation.plugin.mark(model, log, judge, found)
            if (result.evaluation, result.model) != (evaluation.options["name"], model.name):
                raise PluginError(
                    f"{name} of {model.name} returned a result for {result.evaluation} of "
                    f"{result.model}; its EvalResult must carry the names it was asked with"
                )
            result = result.model_copy(update={"evaluation": name})
            if isinstance(evaluation.plugin, Publisher):
                with self._store.evaluation_log(stage, model.name, name) as log:
                    self._store.publish(result, evaluation.plugin.publish(model, result, log))
            self._store.finish_evaluation(stage, result)
        if all(one.model != model.name for one in found):
            found.append(result)

    def _external(self, evaluation: Built[Evaluation], purpose: str) -> LoadedModel:
        """Guard the judge while it is asked for one purpose; open it for the first."""
        if self._engine is None or self._config is None or not evaluation.plugin.needs_judge:
            return NoJudge(purpose)
        if self._judge is None:
            if not self._engine.plugin.light:
                self._make_room()
            opened = self._opened.enter_context(self._engine.plugin.open(self._config.model))
            self._stoppable = opened if isinstance(opened, Stoppable) else None
            self._judge = MeteredModel(opened, self._meter)
        return ExternalJudge(self._judge, self._config.guards.unreadable, purpose)
