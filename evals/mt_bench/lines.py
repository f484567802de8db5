"""Read the rows of JSON Lines files as they are found in the wild.

    gpt-4_single.jsonl, .jsonl.gz    one JSON object a line; a list of objects in one JSON is fine
    UTF-8, UTF-16 or UTF-32          with or without a byte order mark; blank lines are skipped
    {"question_id": 81, "mo          a torn last line is left out, and said so

Anything else that is wrong is an error that names its line.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import DataError

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Line:
    """A row, and where it stands."""

    where: str
    row: dict[str, Any]


@dataclass(frozen=True)
class Lines:
    """All rows of a file."""

    lines: tuple[Line, ...]
    remarks: tuple[str, ...]
    """What was wrong with it and did no harm."""


def read(path: Path) -> Lines:
    """Read every row.

    Raises:
        DataError: the file cannot be read, or a line in it is no JSON object.
    """
    text, remarks = _text(path)
    if text.lstrip().startswith("["):
        return Lines(tuple(_entries(path, text)), remarks)
    lines: list[Line] = []
    # Not splitlines: a JSON string may hold any other line separator unescaped.
    written = text.split("\n")
    for number, line in enumerate(written, start=1):
        if not line.strip("\x00\ufeff \t\r"):
            continue
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == len(written) and lines:
                return Lines(tuple(lines), (*remarks, f"torn last line of {path.name} left out"))
            raise DataError(f"{where}, is not JSON ({error}); mend or delete that line") from error
        lines.append(_line(where, row))
    return Lines(tuple(lines), remarks)


def _text(path: Path) -> tuple[str, tuple[str, ...]]:
    try:
        data = path.read_bytes()
        if data.startswith(_GZIP):
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    encoding = json.detect_encoding(data)
    try:
        return data.decode(encoding), ()
    except UnicodeDecodeError:
        remark = f"{path.name} is not wholly {encoding.upper()}, odd bytes replaced"
        return data.decode(encoding, "replace"), (remark,)


def _entries(path: Path, text: str) -> Iterator[Line]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON ({error}); mend that place") from error
    for number, row in enumerate(rows, start=1):
        yield _line(f"{path}, entry {number}", row)


def _line(where: str, row: Any) -> Line:
    if not isinstance(row, dict):
        raise DataError(f"{where}, is no JSON object but a {type(row).__name__}")
    return Line(where, row)
