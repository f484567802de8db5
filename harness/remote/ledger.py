"""The ledger: one line for every attempt to call a model on a server, whatever came of it.

    {"time": "2026-11-20T20:08:57.123Z", "call": "9f2c...", "status": "rate_limited", "http": 429,
     "attempt": 1, "seconds": 0.21, "model": "gpt-6-sol", "served": null, "dollars": null, ...}

It only grows, it holds neither keys nor prompts (a call is named by its hash), and a line that was
written survives a killed process. What an attempt cost is null where nobody knows, never zero.
"""

import fcntl
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from itertools import groupby
from pathlib import Path

from pydantic import ValidationError

from harness.errors import StoreError
from harness.records import Bill, Cost, Record
from harness.remote.replies import Status
from harness.rows import unwritable

LEDGER = "ledger.jsonl"
"""Its name among the books of a run."""
PART: ContextVar[str] = ContextVar("part", default="")
"""The part of the run that a thread, and what it has an event loop do, is working for."""


class Entry(Record):
    """One attempt."""

    time: str
    """When it ended, in UTC."""
    call: str
    """The hash of all that the answer depends on."""
    host: str
    model: str
    """As asked for."""
    served: str | None = None
    """As answered."""
    system_fingerprint: str | None = None
    service_tier: str | None = None
    version: str | None = None
    """Of the API."""
    status: Status
    http: int | None = None
    attempt: int
    """From 1, of this call in this attempt of the run."""
    part: str = ""
    """Of the run, that it was made for: `M1/examiner/mark`."""
    seconds: float
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    dollars: float | None = None
    """What it cost; None where the price or the tokens are unknown."""
    at_most: float | None = None
    """Where the cost is unknown, its bound: 0 where the server refused or never saw the call."""
    prices: date | None = None
    """The date of the prices."""
    batch: bool = False

    @property
    def charged(self) -> float:
        """What a budget has to assume that it cost."""
        return self.dollars if self.dollars is not None else self.at_most or 0.0

    @property
    def unpriced(self) -> bool:
        """Whether it may have cost something that nobody knows."""
        return self.dollars is None and self.at_most != 0


class Summary(Record):
    """Many attempts, added up."""

    calls: dict[str, int]
    """By status."""
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    dollars: float | None
    """Of all calls whose cost is known; None where none is."""
    unpriced: int
    """How many more may have cost something that nobody knows."""
    served: tuple[str, ...]
    """The models that answered."""


def summary(entries: Iterable[Entry]) -> Summary:
    """Add attempts up."""
    entries = list(entries)
    priced = [entry.dollars for entry in entries if entry.dollars is not None]
    unpriced = sum(entry.unpriced for entry in entries)
    return Summary(
        calls=dict(Counter(entry.status for entry in entries)),
        input_tokens=sum(entry.input_tokens or 0 for entry in entries),
        output_tokens=sum(entry.output_tokens or 0 for entry in entries),
        cached_tokens=sum(entry.cached_tokens or 0 for entry in entries),
        reasoning_tokens=sum(entry.reasoning_tokens or 0 for entry in entries),
        dollars=sum(priced) if priced or not unpriced else None,
        unpriced=unpriced,
        served=tuple(sorted({entry.served for entry in entries if entry.served})),
    )


def bills(entries: Iterable[Entry]) -> tuple[Bill, ...]:
    """Add attempts up, a bill for each model on each server."""

    def payee(entry: Entry) -> tuple[str, str]:
        return entry.host, entry.model

    return tuple(
        Bill(
            host=host,
            model=model,
            **summary(made).model_dump(exclude={"cached_tokens", "reasoning_tokens"}),
        )
        for (host, model), made in groupby(sorted(entries, key=payee), key=payee)
    )


def first_served(entries: Iterable[Entry], host: str, model: str) -> str | None:
    """Find which model answered first, by its own name, where that one was asked for there."""
    asked = (entry for entry in entries if (entry.host, entry.model) == (host, model))
    return next((entry.served for entry in asked if entry.served), None)


class Reader:
    """A ledger that others may be writing: each line is read once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._whole = self._lines = 0
        """How many bytes and lines have been read: whole lines only."""

    def new(self) -> list[Entry]:
        """Read what was added since the last call; a torn last line is not there yet.

        Raises:
            StoreError: a line is damaged.
        """
        if not self.path.exists():
            return []
        try:
            with self.path.open("rb") as file:
                file.seek(self._whole)
                added = file.read()
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read: {error.strerror or error}") from error
        entries = []
        for line in added.split(b"\n")[:-1]:
            self._lines += 1
            entries.append(self._entry(line))
            self._whole += len(line) + 1
        return entries

    def spent(self) -> dict[str, Cost]:
        """Add up, by part of the run, what the attempts since the last call came to."""
        spent: dict[str, Cost] = {}
        for entry in self.new():
            cost = Cost(dollars=entry.dollars or 0.0, unpriced=int(entry.unpriced))
            spent[entry.part] = spent.get(entry.part, Cost()) + cost
        return spent

    def _entry(self, line: bytes) -> Entry:
        try:
            return Entry.model_validate_json(line)
        except ValidationError as error:
            raise StoreError(
                f"{self.path}, line {self._lines}, is no entry of a ledger; restore the "
                "file: it says what was spent"
            ) from error


def read(path: Path) -> list[Entry]:
    """Read a whole ledger; a torn last line, all that a kill can leave, is not there yet.

    Raises:
        StoreError: a line is damaged.
    """
    return Reader(path).new()


class Ledger:
    """A ledger in a file that several writers may share or, without one, kept nowhere."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._file: int | None = None
        if path is not None and path.exists():
            self._open(path)

    def _open(self, path: Path) -> int:
        """Open the file, which begins to be with its first line; cut off a torn last one."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            with _alone(self._file):
                os.truncate(self._file, path.read_bytes().rfind(b"\n") + 1)
        except OSError as error:
            raise unwritable(path, error) from error
        return self._file

    def entries(self) -> list[Entry]:
        """Read what is there: of this process, of others, and of earlier attempts."""
        return read(self.path) if self.path else []

    def append(self, entry: Entry) -> None:
        """Write an attempt down for good.

        Raises:
            StoreError: the disk is full, or the file not to be written; no line is torn.
        """
        if self.path is None:
            return
        file = self._open(self.path) if self._file is None else self._file
        line = f"{entry.model_dump_json()}\n".encode()
        with _alone(file):
            whole = os.fstat(file).st_size
            try:
                written = os.write(file, line)
                while written < len(line):  # a nearly full disk takes part of a line, then refuses
                    written += os.write(file, line[written:])
            except OSError as error:
                os.truncate(file, whole)
                raise unwritable(self.path, error) from error

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


@contextmanager
def _alone(file: int) -> Iterator[None]:
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
