"""What the processes of a training are told, and what they tell: files of one folder.

    02-train/M1/launch/
        orders.json      what to train, and how
        rows.jsonl       on what
        progress.jsonl   ["train M1", 12, 600], a line from the first process at every step
        failure.json     why it could not be done, from whichever process found out first
        trained.json     what the first process made, written last
        log.txt          all that the processes print

On a cluster the folder is on a file system that every node shares, as models are.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from harness import errors
from harness.errors import HarnessError
from harness.records import ModelRef, Record
from training.dpo import DPO, PreferencePair
from training.job import Job, Trained, write
from training.settings import Launcher
from training.sft import SFT, Example

Kind = Literal["sft", "dpo"]


class _Said(Record):
    """A job, as it is written down."""

    kind: Kind
    start: ModelRef
    sft: SFT | None = None
    dpo: DPO | None = None
    folder: Path
    name: str
    seed: int
    run: str
    launcher: Launcher
    rehearsal: bool


class Orders:
    """The folder of a training's processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read = 0
        """Bytes of the progress."""

    @property
    def log(self) -> Path:
        """Where the processes print to."""
        return self.folder / "log.txt"

    def give(self, job: Job, kind: Kind, rows: Sequence[Sequence[Sequence[int]]]) -> None:
        """Write down what is to be done."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("progress.jsonl", "failure.json", "trained.json"):
            (self.folder / name).unlink(missing_ok=True)
        # Processes on other nodes, and Ray's, start in other folders.
        here = Path(job.start.location)
        start = {"location": str(here.absolute())} if here.exists() else {}
        said = _Said(
            kind=kind,
            start=job.start.model_copy(update=start),
            folder=job.folder.absolute(),
            name=job.name,
            seed=job.seed,
            run=job.run,
            launcher=job.launcher,
            rehearsal=job.rehearsal,
            sft=job.settings if isinstance(job.settings, SFT) else None,
            dpo=job.settings if isinstance(job.settings, DPO) else None,
        )
        with (self.folder / "rows.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(row)}\n" for row in rows)
        write(self.folder / "orders.json", said.model_dump(mode="json"))

    def taken(self) -> tuple[Kind, Job, list[Example] | list[PreferencePair]]:
        """Read what is to be done; the job reports its progress to this folder."""
        said = _Said.model_validate_json((self.folder / "orders.json").read_text())
        settings = said.sft or said.dpo
        assert settings is not None, "orders have the settings of their kind"
        job = Job(
            start=said.start,
            settings=settings,
            folder=said.folder,
            name=said.name,
            seed=said.seed,
            progress=self._note_progress,
            run=said.run,
            launcher=said.launcher,
            rehearsal=said.rehearsal,
        )
        with (self.folder / "rows.jsonl").open(encoding="utf-8") as file:
            rows = [[tuple(ids) for ids in json.loads(line)] for line in file]
        if said.kind == "sft":
            return said.kind, job, [Example(*row) for row in rows]
        return said.kind, job, [PreferencePair(*row) for row in rows]

    def _note_progress(self, what: str, done: int, total: int) -> None:
        with (self.folder / "progress.jsonl").open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps([what, done, total])}\n")

    def progress(self) -> Iterator[tuple[str, int, int]]:
        """Read what was reported since the last call."""
        file = self.folder / "progress.jsonl"
        if not file.exists():
            return
        with file.open("rb") as lines:
            lines.seek(self._read)
            for line in lines:
                if not line.endswith(b"\n"):
                    return
                self._read += len(line)
                what, done, total = json.loads(line)
                yield what, done, total

    def note_failure(self, error: HarnessError) -> None:
        """Keep what went wrong first; what fails because of it is of no interest."""
        if self.failure() is None:
            write(self.folder / "failure.json", [type(error).__name__, str(error)])

    def failure(self) -> HarnessError | None:
        """Give the error that ended the training, if a process knew it."""
        file = self.folder / "failure.json"
        if not file.exists():
            return None
        name, message = json.loads(file.read_text())
        kind: type[HarnessError] = getattr(errors, name, HarnessError)
        return kind(message)

    def note_trained(self, trained: Trained) -> None:
        """Keep what was made."""
        content = {
            "model": trained.model.model_dump(mode="json"),
            "checkpoints": [str(path) for path in trained.checkpoints],
            "metrics": trained.metrics,
        }
        write(self.folder / "trained.json", content)

    def trained(self) -> Trained | None:
        """Give what was made, once it was."""
        file = self.folder / "trained.json"
        if not file.exists():
            return None
        made = json.loads(file.read_text())
        return Trained(
            ModelRef(**made["model"]), tuple(map(Path, made["checkpoints"])), made["metrics"]
        )
