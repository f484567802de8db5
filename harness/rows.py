"""Row logs: JSON Lines files that only grow, one keyed row a line.

    {"key": "answer/3f2a/0", "row": {"text": "The dog barks.", ...}}

A row is on disk before its `append` returns, so a killed process loses only what it had not
finished. A torn last line, all that a kill can leave, is cut off on opening and owed again. Each
key is written once: a second row for a key is refused rather than silently preferred.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import StoreError


class RowLog(Mapping[str, Any]):
    """A mapping from key to row that is backed by a file and can only grow."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._rows, whole = _read(path)
            # Unbuffered, so that a row that was appended is the kernel's and survives a kill.
            self._file = path.open("ab", buffering=0)
            self._file.truncate(whole)
            self._whole = whole
        except OSError as error:
            raise unwritable(path, error) from error

    def append(self, key: str, row: Any) -> None:
        """Keep a row for good."""
        if key in self._rows:
            raise StoreError(f"{self.path} already has a row {key!r}; rows are never changed")
        line = (json.dumps({"key": key, "row": row}) + "\n").encode()
        try:
            written = self._file.write(line)
            while written < len(line):  # a nearly full disk takes part of a line, then refuses
                written += self._file.write(line[written:])
        except OSError as error:
            self._file.truncate(
                self._whole
            )  # so that a later row does not end up behind a torn one
            raise unwritable(self.path, error) from error
        self._whole += len(line)
        self._rows[key] = row

    def __getitem__(self, key: str) -> Any:
        return self._rows[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def close(self) -> None:
        """Force the rows to the disk and close the file."""
        try:
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            raise unwritable(self.path, error) from error

    def __enter__(self) -> "RowLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read(path: Path) -> dict[str, Any]:
    """Read a row log that somebody else may be writing; a torn last line is not there yet.

    Raises:
        StoreError: the file is damaged, or cannot be read.
    """
    try:
        return _read(path)[0]
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from error


def _read(path: Path) -> tuple[dict[str, Any], int]:
    """Read every whole line; say how many bytes they fill."""
    data = path.read_bytes() if path.exists() else b""
    whole = data.rfind(b"\n") + 1
    rows = {}
    for number, line in enumerate(data[:whole].split(b"\n")[:-1], start=1):
        try:
            entry = json.loads(line)
            rows[entry["key"]] = entry["row"]
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            raise StoreError(
                f"{path}, line {number}, is not a row of this log ({error}); "
                "restore the file, or delete it to compute its rows again"
            ) from error
    return rows, whole


def unwritable(path: Path, error: OSError) -> StoreError:
    """Say why a file could not be written, and that nothing is lost."""
    return StoreError(
        f"cannot write {path}: {error.strerror or error}; every finished row is kept: "
        "make room or grant access, then give the same command to continue"
    )
