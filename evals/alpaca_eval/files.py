r"""Read JSON and CSV files as they come: gzipped or not, with a BOM, in UTF-16, with stray bytes.

    b'[{"output_2": "caf\xe9"}]'       Latin-1 or Windows-1252   "café"
    b'[{"output_2": "caf\xc3\xa9"}]'   UTF-8                     "café"
    b'[{"output_2": "\\ud83d"}]'       half a surrogate pair     "\ufffd"

Lengths count, so that a character that cannot be read is one character all the same.
"""

import csv
import gzip
import io
import json
import math
import re
import zlib
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from harness.errors import DataError

_GZIP = b"\x1f\x8b"
_STRAY = re.compile("[\udc80-\udcff]+")


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
        raise DataError(f"{path} cannot be read: {error}") from error
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


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read a list of JSON objects, or one object a line.

    Raises:
        DataError: it is neither; the message names the place.
    """
    text = read_text(path)
    if not text.strip():
        raise DataError(f"{path} is empty; wanted a JSON list of objects, or one object a line")
    try:
        values = json.loads(text, strict=False)
    except (ValueError, RecursionError) as error:
        if text.lstrip().startswith("{"):
            values = _lines(path, text)
        else:
            raise DataError(f"{path} is not JSON: {error}") from error
    if isinstance(values, dict):
        values = [values]
    if not isinstance(values, list):
        raise DataError(f"{path} holds a single JSON value; wanted a list of objects")
    for number, value in enumerate(values, start=1):
        if not isinstance(value, dict):
            raise DataError(f"{path}, entry {number}, is no JSON object but {value!r:.40}")
    return [{_whole(key): plain(value) for key, value in row.items()} for row in values]


def _lines(path: Path, text: str) -> list[Any]:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            rows += [json.loads(line, strict=False)] if line.strip() else []
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{path}, line {number}, is not JSON ({error}); mend or delete that line"
            ) from error
    return rows


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


def read_table(path: Path) -> list[dict[str, str]]:
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
