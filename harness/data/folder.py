"""The data folder: what of the catalogue is here, and whether it is what it should be.

    $HARNESS_DATA/mt_bench/question.jsonl     or below ~/.cache/self-rewarding-harness/data
    $HARNESS_DATA/SHA256SUMS                  what was placed here; `sha256sum -c` understands it

    >>> find("mt_bench/judge_prompts.jsonl")  # None where it was never pulled
    PosixPath('.../mt_bench/judge_prompts.jsonl')

A file counts by its content: one whose hash differs from the catalogue's is an error, not data.
Where the catalogue knows no hash, the one that was noted when the file came is the measure.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from harness.data import catalogue
from harness.data.catalogue import Catalogue, belongs
from harness.errors import DataError

SUMS = "SHA256SUMS"
State = Literal["missing", "verified", "as pulled", "unchecked", "changed"]
"""`verified`: as the catalogue says. `as pulled`: as when it came. `unchecked`: no hash known."""


def folder() -> Path:
    """Say where the data folder is: `HARNESS_DATA`, or the user's cache."""
    chosen = os.environ.get("HARNESS_DATA")
    if chosen:
        return Path(chosen).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "self-rewarding-harness" / "data"


def find(name: str) -> Path | None:
    """Find a data set by its name in the catalogue; None where it is not here.

    Raises:
        DataError: the catalogue has no such name, or the content is not what it should be.
    """
    return here().find(name)


def find_hub(hub: str) -> Path | None:
    """Find the folder of a whole data set of the hub; None where it is not here.

    `datasets.load_dataset` reads that folder as it would read the hub.

    Raises:
        DataError: the content is not what it should be.
    """
    data = here()
    name = data.catalogue.whole.get(hub)
    return data.find(name) if name else None


def here() -> "DataFolder":
    """Open the data folder with the catalogue that comes with the harness."""
    return DataFolder(folder(), catalogue.load())


@dataclass(frozen=True)
class Check:
    """How a data set stands."""

    state: State
    detail: str = ""
    """Of a changed one, which file differs and how."""


@dataclass(frozen=True)
class DataFolder:
    """Where data sets are, and which there are."""

    root: Path
    catalogue: Catalogue

    def path(self, name: str) -> Path:
        """Say where a data set is, or would be."""
        return self.root / name

    def find(self, name: str) -> Path | None:
        """Find a data set.

        Raises:
            DataError: there is no such name, or the content is not what it should be.
        """
        check = self.check(name)
        if check.state == "changed":
            raise DataError(
                f"{self.path(name)} is not what it should be: {check.detail}; "
                f"`harness data pull {name}` puts it right and keeps what is there aside"
            )
        return None if check.state == "missing" else self.path(name)

    def check(self, name: str) -> Check:
        """Hash a data set and compare."""
        entry = self.catalogue[name]
        if not self.path(name).exists():
            return Check("missing")
        wanted = {name: entry.sha256} if entry.sha256 else self.noted(name)
        if not wanted:
            return Check("unchecked")
        detail = difference(wanted, hashes(self.path(name), name))
        if detail:
            return Check("changed", detail)
        return Check("verified" if entry.sha256 else "as pulled")

    def sums(self) -> dict[str, str]:
        """Read the hash of every file that was placed here, by path.

        Raises:
            DataError: the list is damaged.
        """
        path = self.root / SUMS
        return parse_sums(path.read_text(encoding="utf-8"), str(path)) if path.exists() else {}

    def noted(self, name: str) -> dict[str, str]:
        """Read the hashes that a data set had when it was placed here, by path."""
        known = self.sums()
        return {path: known[path] for path in known if belongs(path, name)}

    def place(self, name: str, made: Path, source: str) -> None:
        """Check a file or folder that has just come, and move it into its place.

        What was there before is kept beside it, as `.aside`; so is what has the wrong content.

        Args:
            name: What it shall be.
            made: Where it is, in this folder's file system.
            source: Where it is from, for the error.

        Raises:
            DataError: its hash is not the catalogue's, or there is nothing in it.
        """
        entry, path, found = self.catalogue[name], self.path(name), hashes(made, name)
        if not found:
            raise DataError(f"{name}: there is no file in {source}")
        wanted = {name: entry.sha256} if entry.sha256 else found
        path.parent.mkdir(parents=True, exist_ok=True)
        if detail := difference(wanted, found):
            kept = _aside(made, path)
            raise DataError(f"{source} is not {name}: {detail}; it is kept as {kept}, not used")
        if path.exists():
            _aside(path, path)
        made.replace(path)
        others = {at: value for at, value in self.sums().items() if not belongs(at, name)}
        part = self.root / f"{SUMS}.part"
        part.write_text(format_sums({**others, **found}), encoding="utf-8")
        part.replace(self.root / SUMS)

    @contextmanager
    def room(self) -> Iterator[Path]:
        """Give a folder to receive data in, in the same file system; it is gone afterwards.

        Raises:
            DataError: the data folder cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=self.root, prefix=".coming-") as coming:
                yield Path(coming)
        except ConnectionError:
            raise  # of a source, not of this folder
        except OSError as error:
            raise DataError(
                f"cannot write the data folder {self.root}: {error.strerror or error}; "
                "make room or grant access, or name another one in HARNESS_DATA"
            ) from error


def hashes(path: Path, name: str) -> dict[str, str]:
    """Hash a file, or every file of a folder, as if it were called `name`.

    Returns:
        sha256 by `name`, or by `name/place`.
    """
    if path.is_file():
        return {name: sha256(path)}
    inside = sorted(file for file in path.rglob("*") if file.is_file())
    return {f"{name}/{file.relative_to(path).as_posix()}": sha256(file) for file in inside}


def sha256(path: Path) -> str:
    """Hash a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def difference(wanted: Mapping[str, str], found: Mapping[str, str]) -> str:
    """Say which file is not as it should be; nothing where all are."""
    for path in sorted(wanted.keys() | found.keys()):
        if path not in found:
            return f"{path} is missing"
        if path not in wanted:
            return f"{path} does not belong there"
        if wanted[path] != found[path]:
            return f"{path} has sha256 {found[path]}, wanted {wanted[path]}"
    return ""


def format_sums(sums: Mapping[str, str]) -> str:
    """Write hashes as `sha256sum` does."""
    return "".join(f"{sums[path]}  {path}\n" for path in sorted(sums))


def parse_sums(text: str, where: str) -> dict[str, str]:
    """Read hashes as `sha256sum` writes them.

    Raises:
        DataError: a line is something else.
    """
    sums = {}
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        value, _, path = line.partition("  ")
        if len(value) != 64 or not path:
            raise DataError(f"{where}, line {number}, is not `sha256  path`; mend that line")
        sums[path] = value
    return sums


def _aside(what: Path, path: Path) -> Path:
    """Keep a file or folder beside the place it does not belong in."""
    kept = path.with_name(f"{path.name}.aside")
    if kept.is_dir():
        shutil.rmtree(kept)
    what.replace(kept)
    return kept
