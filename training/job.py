"""One training as a folder: done once, continued after an interruption, never half a model.

    02-train/dpo/
        asked.json              what this folder is for; another request is refused
        weights/                the model, renamed here when whole
        checkpoints/step-00200/ the same, on the way, where asked for
        unfinished/             the trainer's own state, gone when it is finished
        tensorboard/            what a tracker keeps, where one was asked for
        trained.json            written last: its presence means done

Nothing here imports torch, so a finished training is recognised at once.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from harness.errors import StoreError
from harness.records import ModelRef
from training.settings import IN_PROCESS, Launcher, Settings
from training.tracking import followed

Progress = Callable[[str, int, int], None]
"""Is told what is going on, how much is done, and how much there is."""


def unwatched(what: str, done: int, total: int) -> None:
    """Ignore the progress."""


@dataclass(frozen=True)
class Trained:
    """What a training made."""

    model: ModelRef
    checkpoints: tuple[Path, ...]
    """Folders of whole models on the way, oldest first, where `checkpoint_every` asked for them."""
    metrics: dict[str, JsonValue]


@dataclass(frozen=True)
class Job:
    """What is to be trained, how, and where."""

    start: ModelRef
    settings: Settings
    folder: Path
    name: str
    """Of the model to be made."""
    seed: int
    progress: Progress = unwatched
    run: str = ""
    """What the run is called, for trackers."""
    launcher: Launcher = IN_PROCESS
    rehearsal: bool = False
    """Only to find out whether it can be done: no model is kept."""

    @property
    def weights(self) -> Path:
        """Where the finished model is."""
        return self.folder / "weights"

    @property
    def checkpoints(self) -> Path:
        """Where the models on the way are."""
        return self.folder / "checkpoints"

    @property
    def unfinished(self) -> Path:
        """Where the trainer keeps its state until it is done."""
        return self.folder / "unfinished"

    def once(self, rows: Sequence[Sequence[object]], work: Callable[[], Trained]) -> Trained:
        """Do the work unless this folder already holds its result.

        Args:
            rows: All that is trained on; a folder belongs to exactly these.
            work: Trains, and leaves the model in `weights`.

        Raises:
            StoreError: the folder belongs to another request, or cannot be written.
        """
        asked = {
            "name": self.name,
            "start": self.start.fingerprint or f"{self.start.location}@{self.start.revision}",
            "seed": self.seed,
            "settings": self.settings.model_dump(mode="json"),
            "rows": hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16],
        }
        self._claim(asked)
        marker = self.folder / "trained.json"
        if not marker.exists():
            with followed(self.settings.report_to, self.folder):
                trained = work()
            with writing(self.folder):
                shutil.rmtree(self.unfinished, ignore_errors=True)
                write(
                    marker,
                    {
                        "model": trained.model.model_dump(mode="json", exclude={"location"}),
                        "checkpoints": [path.name for path in trained.checkpoints],
                        "metrics": trained.metrics,
                    },
                )
        made = json.loads(marker.read_text())
        return Trained(
            # The folder may have been moved since.
            model=ModelRef(location=str(self.weights), **made["model"]),
            checkpoints=tuple(self.checkpoints / name for name in made["checkpoints"]),
            metrics=made["metrics"],
        )

    def _claim(self, asked: dict[str, object]) -> None:
        """Make the folder this request's, or find that it already is."""
        note = self.folder / "asked.json"
        if not note.exists():
            with writing(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                write(note, asked)
        before = json.loads(note.read_text())
        differing = [key for key in asked if json.loads(json.dumps(asked[key])) != before.get(key)]
        if differing:
            raise StoreError(
                f"{self.folder} holds a training with another {', '.join(differing)}; "
                "delete that folder to train anew, or give another one"
            )


@contextmanager
def aside(folder: Path) -> Iterator[Path]:
    """Give a folder to write to that becomes `folder` only when all is written."""
    partial = folder.with_name(folder.name + ".partial")
    with writing(folder):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        shutil.rmtree(folder, ignore_errors=True)  # a whole one from before an interruption
        partial.rename(folder)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn a full disk or missing permission into one line."""
    try:
        yield
    except OSError as error:
        raise unwritable(folder, error.strerror or str(error)) from error


def unwritable(folder: Path, why: str) -> StoreError:
    """Say that a training could not be written, and that it can go on."""
    return StoreError(
        f"cannot write {folder}: {why}; no model was left half-written: "
        "make room or grant access, then give the same command to continue"
    )


def write(path: Path, content: object) -> None:
    """Write JSON that is there whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
