"""The run directory. No other module knows a path inside it.

    <run>/request.json                               the exact request, defaults included
    <run>/plan.json                                  what it was expected to take, if planned
    <run>/environment.json                           what it began on
    <run>/stopped.json                               why the last attempt ended early, if it did
    <run>/lock                                       held while a process works here
    <run>/progress.json                              what that process is at, for others to read
    <run>/calls/                                     ledger and answers of models on servers
    <run>/stages/01-evaluate/M1/head_to_head.jsonl   rows, as they finish
    <run>/stages/01-evaluate/M1/head_to_head.json    an EvalResult: this evaluation is done
    <run>/stages/01-evaluate/answered/M1.json        a ModelRef: only marks are to come
    <run>/stages/02-train/...                        whatever the trainer keeps
    <run>/stages/02-train/trained_on.json            the prompts of this training, by set
    <run>/stages/02-train/stage.json                 a StageResult: this stage is done
    <run>/published/M1/mt_bench/...                  results in the formats of their publishers
    <run>/report.md, summary.json ...                what the reports wrote

A `.json` file is written aside and renamed, so that it is there whole or not at all. Going on with
a run reads it strictly; `record`, for those who look, leaves out what cannot be read, and says so.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from harness import rows
from harness.errors import StoreError
from harness.files import (
    checked,
    differences,
    exists,
    inaccessible,
    read_json,
    read_object,
    read_record,
    shown_at,
    write_json,
    write_text,
)
from harness.records import (
    Cost,
    EvalResult,
    ModelRef,
    Plan,
    Record,
    RunRecord,
    Stage,
    StageResult,
    UnderWay,
)
from harness.remote import ledger
from harness.rows import RowLog, unwritable

R = TypeVar("R", bound=Record)
T = TypeVar("T")
_RUN = "run:"
_BOOKS = "calls"
_PLAN = "plan.json"
_FIRST_FILES = {"lock", "request.json.part", _BOOKS, _PLAN}
"""What may be in a folder before a run is: its judge is asked first whether it is there."""
_COSTS, _PROGRESS = "costs.jsonl", "progress.json"
ANSWERED = "answered"
"""The key of the row that ends a model's answers in the log of an evaluation."""
_ANSWERED_LINE = json.dumps({"key": ANSWERED})[:-1].encode()
_MAY_CHANGE = {"guards", "calls", "launcher", "replicas", "cluster", "reports"}
"""What goes by these names decides whether, where and how fast a run goes on, and how it is shown;
not what it computes."""

_PLANNED = {"iterations", "guards", "calls", "reports"}
"""What may differ between a run and its plan."""


@dataclass(frozen=True)
class Store:
    """A run on disk."""

    folder: Path

    @contextmanager
    def begin(self, request: Mapping[str, Any], environment: Mapping[str, Any]) -> Iterator[None]:
        """Hold the directory for this process, for this request only.

        Raises:
            StoreError: another process works here, the request differs in more than growing
                `iterations`, or the directory cannot be written.
        """
        self._check_free()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / "lock").open("a+")
        except OSError as error:
            raise unwritable(self.folder, error) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                lock.seek(0)
                raise StoreError(
                    f"{self.folder} is in use by process {lock.read().strip() or 'unknown'}; "
                    "wait for it, or name another directory with --out"
                ) from error
            try:
                lock.truncate(0)
                lock.write(str(os.getpid()))
                lock.flush()
            except OSError as error:
                raise unwritable(self.folder, error) from error
            self._pin(request)
            if not (self.folder / "environment.json").exists():
                write_json(self.folder / "environment.json", environment)
            yield

    def check(self, request: Mapping[str, Any], answers_from: "Store | None" = None) -> None:
        """Find out whether `begin` would refuse the request, without writing anything.

        Args:
            request: What is asked.
            answers_from: A run to `adopt` from; more than the judge may not differ.

        Raises:
            StoreError: it would.
        """
        self._check_free()
        if exists(self.folder / "request.json"):
            self._compare(read_json(self.folder / "request.json"), request)
        if answers_from is None:
            return
        differing = {place[0] for place in differences(answers_from.record().request, request)}
        if more_than_judge := differing - {"judge", "reports", "contents"}:
            raise StoreError(
                f"the answers of {answers_from.folder} cannot be judged anew by this request: it "
                f"differs in {', '.join(sorted(more_than_judge))}, and only the judge may differ"
            )

    def adopt(self, other: "Store") -> None:
        """Take over another run's models and answers, so that they only have to be judged.

        What is here already stays as it is.

        Raises:
            StoreError: a file of the other run cannot be read.
        """
        record = other.record()
        if record.unreadable:
            raise StoreError(f"answers cannot be taken from {other.folder}: {record.unreadable[0]}")
        for result in record.stages:
            stage, theirs = result.stage, other.stage_folder(result.stage)
            if stage.kind == "train" and self.stage_result(stage) is None:
                self.keep_prompts(stage, other.prompts([stage]))
                self.finish_stage(result)
            for path in theirs.glob("*/*.jsonl") if stage.kind == "evaluate" else ():
                own = self.stage_folder(stage) / path.relative_to(theirs)
                lines = path.read_bytes().splitlines(keepends=True)
                answered = [k for k, line in enumerate(lines) if line.startswith(_ANSWERED_LINE)]
                if answered and not own.exists():
                    write_text(own, b"".join(lines[: answered[0] + 1]).decode())

    def _check_free(self) -> None:
        """Refuse a folder of somebody else's: a run's own has a request, or what precedes it."""
        if self.folder.exists() and not self.folder.is_dir():
            raise StoreError(f"{self.folder} is a file; name a folder with --out")
        if not self.folder.exists() or (self.folder / "request.json").exists():
            return
        others = [p.name for p in self.folder.iterdir() if p.name not in _FIRST_FILES]
        if others:
            raise StoreError(
                f"{self.folder} holds no run but other things ({', '.join(sorted(others)[:3])}); "
                "name a new or an empty folder with --out"
            )

    def worker(self) -> str | None:
        """The process that works here now, or None."""
        try:
            with (self.folder / "lock").open() as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return lock.read().strip() or "unknown"
        except OSError:
            pass  # no lock file: nobody was ever here, or it is not ours to read
        return None

    def _pin(self, request: Mapping[str, Any]) -> None:
        path = self.folder / "request.json"
        if exists(path):
            self._compare(read_json(path), request)
        write_json(path, request)

    def _compare(self, begun: Mapping[str, Any], request: Mapping[str, Any]) -> None:
        """Refuse a request that differs from the one the directory was begun with."""
        differing = sorted(differences(begun, request))
        changed = [place for place in differing if _MAY_CHANGE.isdisjoint(place)]
        grown = request["iterations"] >= begun["iterations"]
        if set(changed) - {("iterations",)} or not grown:
            shown = "; ".join(
                f"{'.'.join(place)}: {shown_at(begun, place)} -> {shown_at(request, place)}"
                for place in changed
            )
            raise StoreError(
                f"{self.folder} was begun with another request ({shown}); only iterations "
                "may grow: give the first request again, or another directory with --out"
            )

    def stopped(self, why: str | None) -> None:
        """Note what stopped an attempt; None when one begins."""
        path = self.folder / "stopped.json"
        if why is not None:
            write_json(path, {"stopped": why})
        else:
            path.unlink(missing_ok=True)

    def stage_folder(self, stage: Stage) -> Path:
        """Where a stage keeps its files."""
        return self.folder / "stages" / str(stage)

    def has_begun(self, stage: Stage) -> bool:
        """Whether a stage has a folder that can be looked into."""
        return os.access(self.stage_folder(stage), os.R_OK | os.X_OK)

    def stage_result(self, stage: Stage) -> StageResult | None:
        """What a finished stage left behind, or None where it has not finished."""
        result = read_record(StageResult, self.stage_folder(stage) / "stage.json")
        return _relocated(result, self._outside) if result else None

    def finished(self, stages: Sequence[Stage]) -> bool:
        """Whether nothing is left to do."""
        return all(self.stage_result(stage) for stage in stages)

    def finish_stage(self, result: StageResult) -> None:
        """Mark a stage as done: the last thing written in it."""
        content = _relocated(result, self._inside).model_dump(mode="json", exclude={"evaluations"})
        write_json(self.stage_folder(result.stage) / "stage.json", content)

    def _inside(self, location: str) -> str:
        """Write a place in this folder without saying where the folder is: runs can be moved."""
        place = Path(location).absolute()
        if place.is_relative_to(self.folder.absolute()):
            return f"{_RUN}{place.relative_to(self.folder.absolute())}"
        return location

    def _outside(self, location: str) -> str:
        """The inverse of `_inside`."""
        if location.startswith(_RUN):
            return str(self.folder / location.removeprefix(_RUN))
        return location

    def keep_prompts(self, stage: Stage, sets: Mapping[str, Sequence[str]]) -> None:
        """Keep what a stage was trained on, by set."""
        content = {name: list(prompts) for name, prompts in sets.items()}
        write_json(self.stage_folder(stage) / "trained_on.json", content)

    def prompts(self, stages: Iterable[Stage]) -> dict[str, list[str]]:
        """Read what stages were trained on, by set."""
        found: dict[str, list[str]] = {}
        for stage in stages:
            path = self.stage_folder(stage) / "trained_on.json"
            kept = read_json(path) if exists(path) else {}
            # Older runs have a list, which does not say what belongs to which set.
            sets = {str(stage): kept} if isinstance(kept, list) else kept
            for name, prompts in sets.items():
                found.setdefault(name, []).extend(prompts)
        return found

    @property
    def books(self) -> Path:
        """Where calls of models on servers are accounted for."""
        return self.folder / _BOOKS

    def evaluation_log(self, stage: Stage, model: str, evaluation: str) -> RowLog:
        """The rows of one evaluation of one model."""
        return RowLog(self.stage_folder(stage) / model / f"{evaluation}.jsonl")

    def evaluation_result(self, stage: Stage, model: str, evaluation: str) -> EvalResult | None:
        """What a finished evaluation found, or None."""
        return read_record(EvalResult, self.stage_folder(stage) / model / f"{evaluation}.json")

    def has_answers(self, stage: Stage, model: str, evaluation: str) -> bool:
        """Whether a model has answered all that an evaluation asks it."""
        return ANSWERED in rows.read(self.stage_folder(stage) / model / f"{evaluation}.jsonl")

    def answered(self, stage: Stage, model: str) -> ModelRef | None:
        """Whether a model has answered all evaluations: its exact reference, or None."""
        found = read_record(ModelRef, self._answered_file(stage, model))
        return _moved(found, self._outside) if found else None

    def keep_answered(self, stage: Stage, model: ModelRef) -> None:
        """Note that a model has answered all evaluations, so that it need not be opened again."""
        kept = _moved(model, self._inside).model_dump(mode="json")
        write_json(self._answered_file(stage, model.name), kept)

    def _answered_file(self, stage: Stage, model: str) -> Path:
        return self.stage_folder(stage) / ANSWERED / f"{model}.json"

    def publish(self, result: EvalResult, files: Iterable[tuple[str, str]]) -> None:
        """Write a result in the formats of its publishers."""
        folder = self.published(result.model) / result.evaluation
        for name, content in files:
            write_text(folder / name, content)

    def published(self, model: str) -> Path:
        """Where what evaluations published of a model is, in a folder each."""
        return self.folder / "published" / model

    def finish_evaluation(self, stage: Stage, result: EvalResult) -> None:
        """Mark an evaluation as done."""
        path = self.stage_folder(stage) / result.model / f"{result.evaluation}.json"
        write_json(path, result.model_dump(mode="json"))

    def costs_log(self, stage: Stage) -> RowLog:
        """What the parts of a stage took, an entry for an attempt or some seconds of it."""
        return RowLog(self.stage_folder(stage) / _COSTS)

    def costs(self, stage: Stage) -> dict[str, Cost]:
        """Add up what the parts of a stage took in all attempts, in order of appearance.

        Raises:
            StoreError: the log is damaged, or of another version.
        """
        path = self.stage_folder(stage) / _COSTS
        total: dict[str, Cost] = {}
        for key, row in rows.read(path).items():
            name = key.rpartition("#")[0]
            total[name] = total.get(name, Cost()) + checked(Cost, row, path)
        return total

    def rows_kept(self, stage: Stage) -> dict[str, int]:
        """Count the rows that a stage has on disk, by the name of their log: `M1/examiner`."""
        folder = self.stage_folder(stage)
        logs = sorted(path for path in folder.rglob("*.jsonl") if path.name != _COSTS)
        return {
            str(path.relative_to(folder).with_suffix("")): path.read_bytes().count(b"\n")
            for path in logs
        }

    def note_progress(self, under_way: UnderWay | None) -> None:
        """Tell other processes what this one is at; None at its end. Losing it costs nothing."""
        path = self.folder / _PROGRESS
        aside = path.with_name(path.name + ".part")
        with suppress(OSError):
            if under_way is None:
                path.unlink(missing_ok=True)
            else:
                aside.write_text(under_way.model_dump_json(), encoding="utf-8")
                aside.replace(path)

    def progress(self) -> UnderWay | None:
        """What the process that works here said last; None where none works, or said anything."""
        worker = self.worker()
        try:
            said = UnderWay.model_validate_json((self.folder / _PROGRESS).read_bytes())
        except (OSError, ValidationError):
            return None
        return said if said.process == worker else None

    def keep_plan(self, plan: Plan) -> bool:
        """Keep what a run here is expected to take, in place of an earlier plan.

        Returns:
            Whether it was kept: a run that has begun keeps the plan that it began with.

        Raises:
            StoreError: the folder holds something else than a run, or cannot be written.
        """
        self._check_free()
        if exists(self.folder / "request.json"):
            return False
        write_json(self.folder / _PLAN, plan.model_dump(mode="json"))
        return True

    def plan(self) -> Plan | None:
        """What the run was expected to take, or None where that was planned for another request.

        Raises:
            StoreError: the plan is damaged, or of another version.
        """
        found = read_record(Plan, self.folder / _PLAN)
        asked = self.folder / "request.json"
        if found is None or not exists(asked):
            return found
        changed = differences(read_json(asked), found.request)
        return found if all(not _PLANNED.isdisjoint(place) for place in changed) else None

    def ledger(self) -> ledger.Reader:
        """Every attempt to call a model on a server, as it is added."""
        return ledger.Reader(self.books / ledger.LEDGER)

    def record(self) -> RunRecord:
        """Read the whole run back, as far as it has come, and leave out what cannot be read.

        Raises:
            StoreError: there is no run here, or its request is damaged.
        """
        path = self.folder / "request.json"
        if not exists(path):
            raise StoreError(f"{self.folder} holds no run (no request.json); give a run's folder")
        request, unreadable = read_object(path), list[str]()

        def attempt(read: Callable[[], T], otherwise: T) -> T:
            try:
                return read()
            except StoreError as error:
                unreadable.append(str(error).removeprefix(f"{self.folder}/"))
                return otherwise

        def optional(name: str) -> dict[str, Any]:
            file = self.folder / name
            there = attempt(partial(exists, file), False)
            return attempt(partial(read_object, file), {}) if there else {}

        plan = attempt(self.plan, None)
        results: list[StageResult] = []
        begun = attempt(self._begun, tuple[Stage, ...]())
        for stage in begun:
            result = attempt(partial(self.stage_result, stage), None)
            result = result or _unfinished(stage, request, results)
            if result is None:
                continue
            evaluations = [
                attempt(partial(self.evaluation_result, *at), None)
                for at in _evaluations(result, request)
            ]
            kept = tuple(evaluation for evaluation in evaluations if evaluation)
            costs = result.costs
            if not result.finished:
                costs = attempt(partial(self.costs, stage), costs)
            if result.finished or kept or stage != begun[-1]:
                update = {"evaluations": kept, "costs": costs}
                results.append(result.model_copy(update=update))
        return RunRecord(
            request=request,
            environment=optional("environment.json"),
            stages=tuple(results),
            stopped=optional("stopped.json").get("stopped"),
            bills=attempt(lambda: ledger.bills(self.ledger().new()), ()),
            unreadable=tuple(unreadable),
            plan=plan,
        )

    def _begun(self) -> tuple[Stage, ...]:
        """List the stages that have a folder, in order.

        Raises:
            StoreError: their folder is not ours to look into.
        """
        order, folder = ("train", "evaluate"), self.folder / "stages"
        try:
            named = [path.name.partition("-") for path in folder.iterdir()]
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise inaccessible(folder, error) from error
        found = [
            Stage.model_validate({"iteration": number, "kind": kind})
            for number, _, kind in named
            if number.isdigit() and kind in order
        ]
        return tuple(sorted(found, key=lambda one: (one.iteration, order.index(one.kind))))


def _unfinished(
    stage: Stage, request: Mapping[str, Any], before: Sequence[StageResult]
) -> StageResult | None:
    """Say which models a stage measures that has not finished; None where it trains."""
    if stage == Stage(iteration=0, kind="evaluate"):
        with suppress(KeyError, ValidationError):  # a request of another version
            model = ModelRef.model_validate(request["model"])
            return StageResult(stage=stage, model=model, finished=False)
    if stage.kind == "evaluate" and before and before[-1].stage.kind == "train":
        trained = before[-1]
        if trained.stage.iteration == stage.iteration:
            return StageResult(
                stage=stage, model=trained.model, comparators=trained.comparators, finished=False
            )
    return None


def _evaluations(
    result: StageResult, request: Mapping[str, Any]
) -> Iterator[tuple[Stage, str, str]]:
    """Name the evaluations of a stage's models: each is on disk once, in a file of its own."""
    asked = request.get("evaluations")  # by another version perhaps
    choices = [one for one in asked if isinstance(one, dict)] if isinstance(asked, list) else []
    for model, choice in product((*result.comparators, result.model), choices):
        yield result.stage, model.name, choice.get("label") or choice.get("name", "")


def _relocated(result: StageResult, move: Callable[[str], str]) -> StageResult:
    """Change where the models of a stage are said to be."""
    return result.model_copy(
        update={
            "model": _moved(result.model, move),
            "comparators": tuple(_moved(model, move) for model in result.comparators),
        }
    )


def _moved(model: ModelRef, move: Callable[[str], str]) -> ModelRef:
    return model.model_copy(update={"location": move(model.location)})
