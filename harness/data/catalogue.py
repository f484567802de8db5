"""Every data set that an evaluation or a preset uses: where it is from, and what it hashes to.

    ["mt_bench/question.jsonl"]                  its name, and its place below the data folder
    about = "80 two-turn questions in 8 categories"
    url = "https://raw.githubusercontent.com/lm-sys/FastChat/{revision}/.../question.jsonl"
    revision = "587d5cfa1609a43d192cedb8441cac3c17db105d"
    sha256 = "119565adbab82227089cefdb44c8d7e2cf04dc0a0ec233634c82e7d4e2a944f7"
    size = 48929                                 in bytes
    licence = "Apache-2.0"
    used_by = ["mt_bench"]

What is on the Hugging Face hub has `hub` in the place of `url`: with `file` one file of that data
set, without it the whole (or the `files` that fit a pattern), which becomes a folder.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath

from pydantic import Field, model_validator

from harness.config import validate
from harness.errors import DataError
from harness.records import Record

CATALOGUE = resources.files("harness") / "data" / "catalogue.toml"


class Entry(Record):
    """A file or a folder of data, and all that is known about it."""

    about: str
    """What it is for."""
    licence: str
    """An SPDX name, or `unknown` where none is stated."""
    used_by: tuple[str, ...] = ()
    """Evaluations and presets by name."""
    url: str | None = None
    """Where the file is; `{revision}` stands for the revision."""
    hub: str | None = None
    """A data set of the Hugging Face hub, as `organisation/name`."""
    revision: str | None = None
    """The commit there; without it, whatever is there today."""
    file: str | None = None
    """Of a hub data set, the one file that is meant."""
    files: tuple[str, ...] = ()
    """Of a whole hub data set, the patterns of the files that are needed; all without them."""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Of the file; None where it is not known."""
    size: int | None = Field(default=None, ge=0)
    """In bytes; None where it is not known."""

    @model_validator(mode="after")
    def _one_source(self) -> "Entry":
        if (self.url is None) == (self.hub is None):
            raise ValueError("needs either url or hub")
        if self.url is not None and (self.file or self.files):
            raise ValueError("file and files belong to hub")
        if self.sha256 is not None and self.is_folder:
            raise ValueError("sha256 belongs to one file, and this is a folder")
        return self

    @property
    def is_folder(self) -> bool:
        """Whether it is a whole data set of the hub."""
        return self.hub is not None and self.file is None

    @property
    def source(self) -> str:
        """Where it is from, with the revision."""
        if self.url is not None:
            return self.url.replace("{revision}", self.revision or "")
        place = f"hf:{self.hub}" + (f"@{self.revision}" if self.revision else "")
        return f"{place}/{self.file}" if self.file else place

    @property
    def pinned(self) -> str:
        """By what its content is decided: `sha256`, `revision` or `not pinned`."""
        if self.sha256:
            return "sha256"
        return "revision" if self.revision else "not pinned"

    @property
    def caution(self) -> str | None:
        """What its licence forbids; None where it may be passed on with attribution."""
        if "NC" in self.licence.split("-"):
            return f"{self.licence}: not for commercial use, never to be shipped"
        if self.licence.startswith("unknown"):
            return f"licence {self.licence}: ask its authors, never to be shipped"
        return None


class Catalogue(Mapping[str, Entry]):
    """Entries by name, in the order of the file."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> Entry:
        if name not in self._entries:
            close = get_close_matches(name, self._entries, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise DataError(
                f"there is no data set {name!r}; {hint}`harness data list` names them all"
            )
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def choose(self, names: Iterable[str]) -> list[str]:
        """List the entries by these names, each once; a folder's name stands for all in it.

        Raises:
            DataError: nothing is called so.
        """
        chosen: dict[str, None] = {}
        for name in names:
            wanted = name.rstrip("/")
            inside = [known for known in self if known.startswith(f"{wanted}/")]
            if not inside:
                self[wanted]  # says what is wrong
            chosen |= dict.fromkeys([wanted] if wanted in self else inside)
        return list(chosen)

    def owner(self, path: str) -> str | None:
        """Name the entry that a file below the data folder belongs to; None for a stranger's."""
        if path in self or not _is_inside(path):
            return path if path in self else None
        return next((name for name in self if self[name].is_folder and belongs(path, name)), None)

    @cached_property
    def whole(self) -> Mapping[str, str]:
        """By hub id, the name of the entry that holds that data set."""
        return {entry.hub: name for name, entry in self.items() if entry.hub and entry.is_folder}


def belongs(path: str, name: str) -> bool:
    """Tell whether a path is a data set's, or inside it."""
    return path == name or path.startswith(f"{name}/")


def load(source: Traversable = CATALOGUE) -> Catalogue:
    """Read a catalogue.

    Raises:
        ConfigError: an entry is not understood.
        DataError: a name that is no place below a folder.
    """
    table = tomllib.loads(source.read_text(encoding="utf-8"))
    for name in table:
        if not _is_inside(name):
            raise DataError(f"{source}: {name!r} is no place below the data folder; rename it")
    return Catalogue({name: validate(Entry, table[name], f"{source}, {name}") for name in table})


def _is_inside(path: str) -> bool:
    """Tell whether a path stays where it is put: relative, plain, with no way up."""
    plain = PurePosixPath(path)
    unusual = plain.is_absolute() or ".." in plain.parts or "\\" in path or "\n" in path
    return not unusual and str(plain) == path and path != "."
