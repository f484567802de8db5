"""Answers that were paid for once, by everything that they depend on.

    key     sha256 of {host, model, pinned revision, body with messages and parameters, sample}
    answer  {"text": "m", "finish_reason": "length", "served": "gpt-6-sol-2026-05-01", ...}

Only whole answers are kept, never a failure. SQLite in write-ahead mode: an answer that was put
survives a killed process, and several processes may share the file. It begins to be when something
is looked for in it.
"""

import sqlite3
import time
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import ValidationError

from harness.errors import StoreError
from harness.records import Record
from harness.rows import unwritable

_NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE}
_PATIENCE = 60.0  # seconds to wait for another process


class Token(NamedTuple):
    """One token of an answer."""

    text: str
    logprob: float
    alternatives: tuple[tuple[str, float], ...]
    """The likeliest tokens, best first."""


class Answer(Record):
    """What a model on a server answered."""

    text: str
    finish_reason: Literal["stop", "length"]
    served: str | None
    """Which model it was, by its own name."""
    tokens: tuple[Token, ...] | None = None
    """None where no log-probabilities came along."""


class Answers:
    """Answers by key, in a file or, without one, in memory."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._opened: sqlite3.Connection | None = None
        if path is not None and path.exists():
            self._open()

    def _open(self) -> sqlite3.Connection:
        try:
            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            # One thread at a time uses it, but not always the same one.
            file = sqlite3.connect(
                self._path or ":memory:",
                timeout=_PATIENCE,
                isolation_level=None,
                check_same_thread=False,
            )
            _write_ahead(file)
            file.execute("PRAGMA synchronous=NORMAL")
            # Rarely, since the disk is waited for then.
            file.execute("PRAGMA wal_autocheckpoint=10000")
            # The model that answered is part of the key: an alias may be moved to another one.
            file.execute(
                "CREATE TABLE IF NOT EXISTS answers (key TEXT, served TEXT, answer TEXT, "
                "PRIMARY KEY (key, served)) WITHOUT ROWID"
            )
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error
        self._opened = file
        return file

    @property
    def _file(self) -> sqlite3.Connection:
        return self._opened or self._open()

    def get(self, key: str, served: str | None) -> Answer | None:
        """Find an answer of the model `served`; of any model, where that is None."""
        try:
            row = self._file.execute(
                "SELECT answer FROM answers WHERE key = ? AND served = ifnull(?, served) LIMIT 1",
                (key, served),
            ).fetchone()
            return Answer.model_validate_json(row[0]) if row else None
        except (sqlite3.Error, ValidationError) as error:
            raise self._unusable(error) from error

    def put(self, key: str, answer: Answer) -> None:
        """Keep an answer for good."""
        try:
            self._file.execute(
                "INSERT OR IGNORE INTO answers VALUES (?, ?, ?)",
                (key, answer.served or "", answer.model_dump_json()),
            )
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def close(self) -> None:
        """Close the file."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _unusable(self, error: Exception) -> StoreError:
        if self._path and getattr(error, "sqlite_errorcode", None) in _NO_ROOM:
            return unwritable(self._path, OSError(str(error)))
        return StoreError(
            f"the answers in {self._path} cannot be used ({error}); make room or grant access; "
            "where the file is damaged, delete it, and what it held is asked again"
        )


def _write_ahead(file: sqlite3.Connection) -> None:
    # Of those that change the mode of a new file at once, SQLite refuses one without waiting.
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            file.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY  # however it came to be
            if not busy or time.monotonic() > until:
                raise
        time.sleep(0.01)
