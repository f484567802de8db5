r"""Rows of files from elsewhere, read as they come.

    [{...}, {...}]    {...}\n{...}      a JSON list, one object a line, or several files in a row
    gzip              told by content, not by name
    b'"caf\xe9"'      Latin-1 or Windows-1252   "café"
    b'"caf\xc3\xa9"'  UTF-8, UTF-16, UTF-32     "café", with or without a BOM
    b'"\\ud83d"'      half a surrogate pair     "\ufffd"
    NaN, Infinity     no JSON                   null
    {"question_id     a torn last line is left out, and said so
    .csv, .parquet    by their names

Lengths count, so that a character that cannot be read is one character all the same. Anything else
that is wrong is an error that names its place.
"""

import csv
import gzip
import io
import json
import math
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from harness.data import files
from harness.data.files import Table
from harness.errors import DataError

_GZIP = b"\x1f\x8b"
_STRAY = re.compile("[\udc80-\udcff]+")
_DECODER = json.JSONDecoder(strict=False)
_BEGIN = re.compile("[^\\s\x00\ufeff]")
"""Of a value; NULs are what a crashed writer leaves, a BOM what files behind each other do."""


@dataclass(frozen=True)
class StoredRows(Table):
    """A file's rows; never none."""

    remarks: tuple[str, ...] = ()
    """What was wrong with it and did no harm."""


def read(path: Path) -> StoredRows:
    """Read every row of a file.

    Raises:
        DataError: it is not there, cannot be read, has no rows, or a row is no JSON object.
    """
    if path.name.endswith(".parquet"):
        table = files.read_table(str(path))
        found = StoredRows(table.source, table.rows, table.places)
    elif path.name.endswith((".csv", ".csv.gz")):
        rows = read_csv(path)
        found = StoredRows(str(path), rows, [f"row {number}" for number in range(2, len(rows) + 2)])
    else:
        found = _json(path)
    if not found.rows:
        raise DataError(f"{path} is empty; wanted rows, as JSON, JSON Lines, CSV or Parquet")
    return found


def read_text(path: Path) -> str:
    """Read a whole file as text.

    Raises:
        DataError: it cannot be read, or is no whole gzip file.
    """
    try:
        data = path.read_bytes()
        if data.startswith(_GZIP):
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise DataError(f"{path} cannot be read: {why}") from error
    return decode(data)


def decode(data: bytes) -> str:
    """Decode by BOM or by zero bytes, else as UTF-8, where stray bytes are Windows-1252."""
    encoding = json.detect_encoding(data)
    if not encoding.startswith("utf-8"):
        return data.decode(encoding, "replace")
    try:
        return data.decode(encoding, "surrogatepass")
    except UnicodeDecodeError:
        return _STRAY.sub(_windows, data.decode(encoding, "surrogateescape"))


def _windows(match: re.Match[str]) -> str:
    stray = match[0].encode("utf-8", "surrogateescape")
    return "".join(
        bytes([one]).decode("cp1252" if one not in _UNDEFINED else "latin-1") for one in stray
    )


_UNDEFINED = b"\x81\x8d\x8f\x90\x9d"
"""Bytes that Windows-1252 leaves undefined."""


def _json(path: Path) -> StoredRows:
    text, remarks = read_text(path), list[str]()
    rows, places = list[dict[str, Any]](), list[str]()
    # Value after value, because files are also put behind each other, line break or not.
    end, line = 0, 1
    while match := _BEGIN.search(text, end):
        start = match.start()
        line += text.count("\n", end, start)
        try:
            value, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            if not rows or text[start] != "{" or "\n" in text[start:].rstrip():
                raise DataError(
                    f"{path}, line {line}, is not JSON ({error}); mend that place"
                ) from error
            remarks.append(f"torn last line of {path.name} left out")
            break
        listed = isinstance(value, list)
        for number, row in enumerate(value if listed else [value], start=1):
            place = f"entry {number}" if listed else f"line {line}"
            if not isinstance(row, dict):
                raise DataError(f"{path}, {place}, is no JSON object but {row!r:.40}")
            rows.append({_whole(key): plain(one) for key, one in row.items()})
            places.append(place)
        line += text.count("\n", start, end)
    return StoredRows(str(path), rows, places, tuple(remarks))


def plain(value: JsonValue) -> JsonValue:
    """Make a JSON value what may be written again: no half characters, no NaN, no infinity.

    Two halves of a surrogate pair become the one character they stand for, any other half U+FFFD.
    """
    if isinstance(value, str):
        return _whole(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {_whole(key): plain(one) for key, one in value.items()}
    return value


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a CSV file with a header; the key of an unnamed first column is "".

    Raises:
        DataError: it cannot be read, or a row is longer or shorter than the header.
    """
    table = csv.DictReader(io.StringIO(read_text(path)), strict=True)
    try:
        rows = list(table)
    except csv.Error as error:
        raise DataError(f"{path}, line {table.line_num}, is no CSV: {error}") from error
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise DataError(f"{path}, row {number}, has not as many columns as the header")
    return rows
