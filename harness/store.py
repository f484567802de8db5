"""The run directory. No other module knows a path inside it.

    <run>/request.json                               the exact request, defaults included
    <run>/environment.json                           what it began on
    <run>/stopped.json                               why the last attempt ended early, if it did
    <run>/lock                                       held while a process works here
    <run>/calls/                                     ledger and answers of models on servers
    <run>/stages/01-evaluate/M1/head_to_head.jsonl   rows, as they finish
    <run>/stages/01-evaluate/M1/head_to_head.json    an EvalResult: this evaluation is done
    <run>/stages/02-train/...                        whatever the trainer keeps
    <run>/stages/02-train/trained_on.json            the prompts of this training
    <run>/stages/02-train/stage.json                 a StageResult: this stage is done
    <run>/published/M1/mt_bench/...                  results in the formats of their publishers
    <run>/report.md, summary.json ...                what the reports wrote

A `.json` file is written aside and renamed, so that it is there whole or not at all.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from harness.errors import StoreError
from harness.records import EvalResult, ModelRef, Record, RunRecord, Stage, StageResult
from harness.rows import RowLog, unwritable

R = TypeVar("R", bound=Record)
_RUN = "run:"
_FIRST_FILES = {"lock", "request.json.part"}
ANSWERED = "answered"
"""The key of the row that ends a model's answers in the log of an evaluation."""
_ANSWERED_LINE = json.dumps({"key": ANSWERED})[:-1].encode()
_MAY_CHANGE = {"guards", "calls"}
"""Options by these names decide whether and how fast a run goes on, not what it computes."""


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
        if (self.folder / "request.json").exists():
            self._compare(_read_json(self.folder / "request.json"), request)
        if answers_from is None:
            return
        differing = {place[0] for place in _differences(answers_from.record().request, request)}
        if more_than_judge := differing - {"judge", "reports", "contents"}:
            raise StoreError(
                f"the answers of {answers_from.folder} cannot be judged anew by this request: it "
                f"differs in {', '.join(sorted(more_than_judge))}, and only the judge may differ"
            )

    def adopt(self, other: "Store") -> None:
        """Take over another run's models and answers, so that they only have to be judged.

        What is here already stays as it is.
        """
        for result in other.record().stages:
            stage, theirs = result.stage, other.stage_folder(result.stage)
            if stage.kind == "train" and self.stage_result(stage) is None:
                self.keep_prompts(stage, other.prompts([stage]))
                self.finish_stage(result)
            for path in theirs.glob("*/*.jsonl") if stage.kind == "evaluate" else ():
                own = self.stage_folder(stage) / path.relative_to(theirs)
                rows = path.read_bytes().splitlines(keepends=True)
                answered = [k for k, row in enumerate(rows) if row.startswith(_ANSWERED_LINE)]
                if answered and not own.exists():
                    _write(own, b"".join(rows[: answered[0] + 1]).decode())

    def _check_free(self) -> None:
        """Refuse a folder of somebody else's: a run's own has a request, or only a lock as yet."""
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
        if path.exists():
            self._compare(_read_json(path), request)
        write_json(path, request)

    def _compare(self, begun: Mapping[str, Any], request: Mapping[str, Any]) -> None:
        """Refuse a request that differs from the one the directory was begun with."""
        differing = sorted(_differences(begun, request))
        changed = [place for place in differing if _MAY_CHANGE.isdisjoint(place)]
        grown = request["iterations"] >= begun["iterations"]
        if set(changed) - {("iterations",)} or not grown:
            shown = "; ".join(
                f"{'.'.join(place)}: {_at(begun, place)} -> {_at(request, place)}"
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

    def stage_result(self, stage: Stage) -> StageResult | None:
        """What a finished stage left behind, or None where it has not finished."""
        result = _read_record(StageResult, self.stage_folder(stage) / "stage.json")
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

    def keep_prompts(self, stage: Stage, prompts: Iterable[str]) -> None:
        """Keep what a stage was trained on."""
        write_json(self.stage_folder(stage) / "trained_on.json", list(prompts))

    def prompts(self, stages: Iterable[Stage]) -> list[str]:
        """Read what stages were trained on."""
        files = [self.stage_folder(stage) / "trained_on.json" for stage in stages]
        return [prompt for file in files if file.exists() for prompt in _read_json(file)]

    @property
    def books(self) -> Path:
        """Where calls of models on servers are accounted for."""
        return self.folder / "calls"

    def evaluation_log(self, stage: Stage, model: str, evaluation: str) -> RowLog:
        """The rows of one evaluation of one model."""
        return RowLog(self.stage_folder(stage) / model / f"{evaluation}.jsonl")

    def evaluation_result(self, stage: Stage, model: str, evaluation: str) -> EvalResult | None:
        """What a finished evaluation found, or None."""
        return _read_record(EvalResult, self.stage_folder(stage) / model / f"{evaluation}.json")

    def publish(self, result: EvalResult, files: Iterable[tuple[str, str]]) -> None:
        """Write a result in the formats of its publishers."""
        folder = self.published(result.model) / result.evaluation
        for name, content in files:
            _write(folder / name, content)

    def published(self, model: str) -> Path:
        """Where what evaluations published of a model is, in a folder each."""
        return self.folder / "published" / model

    def finish_evaluation(self, stage: Stage, result: EvalResult) -> None:
        """Mark an evaluation as done."""
        path = self.stage_folder(stage) / result.model / f"{result.evaluation}.json"
        write_json(path, result.model_dump(mode="json"))

    def costs_log(self, stage: Stage) -> RowLog:
        """What the parts of a stage took, an entry an attempt."""
        return RowLog(self.stage_folder(stage) / "costs.jsonl")

    def record(self) -> RunRecord:
        """Read the whole run back, as far as it has come.

        Raises:
            StoreError: there is no run here, or a file of it is damaged.
        """
        request, environment = self.folder / "request.json", self.folder / "environment.json"
        stopped = self.folder / "stopped.json"
        if not request.exists():
            raise StoreError(f"{self.folder} holds no run (no request.json); give a run's folder")
        results = [
            self._with_evaluations(_relocated(result, self._outside))
            for path in (self.folder / "stages").glob("*/stage.json")
            if (result := _read_record(StageResult, path))
        ]
        order = {"train": 0, "evaluate": 1}
        results.sort(key=lambda result: (result.stage.iteration, order[result.stage.kind]))
        return RunRecord(
            request=_read_json(request),
            environment=_read_json(environment),
            stages=tuple(results),
            stopped=_read_json(stopped)["stopped"] if stopped.exists() else None,
        )

    def _with_evaluations(self, result: StageResult) -> StageResult:
        """Read a stage's evaluations from their own files: each is on disk once."""
        models = [model.name for model in (*result.comparators, result.model)]
        request = _read_json(self.folder / "request.json")
        names = [choice.get("label") or choice["name"] for choice in request["evaluations"]]
        found = [
            self.evaluation_result(result.stage, model, name) for model in models for name in names
        ]
        kept = tuple(evaluation for evaluation in found if evaluation is not None)
        return result.model_copy(update={"evaluations": kept})


def write_json(path: Path, value: Any) -> None:
    """Write a file whole or not at all."""
    _write(path, json.dumps(value, indent=1) + "\n")


def _write(path: Path, content: str) -> None:
    aside = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error


def _relocated(result: StageResult, move: Callable[[str], str]) -> StageResult:
    """Change where the models of a stage are said to be."""

    def moved(model: ModelRef) -> ModelRef:
        return model.model_copy(update={"location": move(model.location)})

    return result.model_copy(
        update={
            "model": moved(result.model),
            "comparators": tuple(map(moved, result.comparators)),
        }
    )


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read ({error}); restore it, or begin anew") from error


def _read_record(kind: type[R], path: Path) -> R | None:
    if not path.exists():
        return None
    try:
        return kind.model_validate(_read_json(path))
    except ValidationError as error:
        raise StoreError(
            f"{path} is not a {kind.__name__} of this version "
            f"({error.error_count()} fields differ); begin anew, or use the version it is from"
        ) from error


def _differences(left: Any, right: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Name the places where two JSON values differ, each by the keys that lead to it."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in left.keys() | right.keys():
            if key in left and key in right:
                yield from _differences(left[key], right[key], (*at, key))
            else:
                yield (*at, key)
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for index, (one, other) in enumerate(zip(left, right, strict=True)):
            yield from _differences(one, other, (*at, str(index)))
    elif left != right:
        yield at


def _at(value: Any, place: tuple[str, ...]) -> str:
    """Show what stands at a place, shortened."""
    for key in place:
        value = value.get(key, "nothing") if isinstance(value, dict) else value[int(key)]
    shown = json.dumps(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
