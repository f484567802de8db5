r"""Rows of a data source as they stand there: a local file, or a data set of the hub.

    questions.jsonl, .jsonl.gz       one JSON object a line
    questions.json, .json.gz         a list of JSON objects
    questions.parquet, .csv          read by the `datasets` library
    organisation/name:config:split   from the Hugging Face hub; config and split may be left out

Whatever is wrong with a row is reported with its place: `questions.jsonl, line 17`.
"""

import gzip
import importlib
import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import DataError

_HUB = re.compile(r"[\w.-]+/[\w.-]+(?::[\w.-]*(?::[\w.\-\[\]%+]*)?)?")
_KINDS = (".jsonl", ".json", ".jsonl.gz", ".json.gz", ".parquet", ".csv")


@dataclass(frozen=True)
class Table:
    """The rows of a source, and where each stands."""

    source: str
    rows: Sequence[dict[str, Any]]
    places: Sequence[str]
    """For each row, e.g. `line 17`."""

    def where(self, index: int) -> str:
        """Say where a row stands, for an error about it."""
        return f"{self.source}, {self.places[index]}"


def read_table(source: str) -> Table:
    """Read every row of a source.

    Raises:
        DataError: no such file or data set, or one that cannot be read.
    """
    kind = file_kind(source)
    if kind is None:
        return _heavy_table("hub_rows", source)
    if kind in (".parquet", ".csv"):
        return _heavy_table("file_rows", source)
    data = _bytes(Path(source))
    if kind.startswith(".jsonl"):
        return _json_lines(source, data)
    return _json_list(source, data)


def file_kind(source: str) -> str | None:
    """Tell by its ending what kind of file a source is; None for a hub data set.

    Raises:
        DataError: it can be neither.
    """
    path = Path(source)
    kind = next((kind for kind in sorted(_KINDS, key=len) if source.endswith(kind)), None)
    if kind is None and not path.exists():
        if _HUB.fullmatch(source):
            return None
        raise DataError(
            f"there is no file {source!r} in {Path.cwd()}; "
            f"name a file ({_kinds()}) or a hub data set"
        )
    if kind is None or not path.is_file():
        wrong = "is no file" if path.exists() else "does not exist"
        raise DataError(f"data file {source!r} {wrong}; wanted a file ({_kinds()})")
    return kind


def _kinds() -> str:
    return ", ".join(_KINDS)


def _heavy_table(function: str, source: str) -> Table:
    # By name, because `datasets` takes a second to import and most sources do not need it.
    rows = getattr(importlib.import_module("harness.data.hub"), function)(source)
    return Table(source, rows, [f"row {number}" for number in range(1, len(rows) + 1)])


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"data file {str(path)!r} cannot be read: {error}") from error


def _json_lines(source: str, data: bytes) -> Table:
    rows, places = [], []
    # Not splitlines: a JSON string may hold any other line separator unescaped.
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{source}, {place}, is not JSON ({error}); mend or delete that line"
            ) from error
        rows.append(_object(row, f"{source}, {place}"))
        places.append(place)
    return Table(source, rows, places)


def _json_list(source: str, data: bytes) -> Table:
    try:
        values = json.loads(data)
    except json.JSONDecodeError as error:
        hint = "; one object a line is .jsonl" if error.msg == "Extra data" else ""
        raise DataError(
            f"{source}, line {error.lineno}, is not JSON ({error.msg}){hint}"
        ) from error
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(f"{source}, line {line}, is not UTF-8 ({error.reason})") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{source} is not JSON that can be read ({error})") from error
    if not isinstance(values, list):
        raise DataError(f"{source} holds a single JSON value; wanted a list of objects")
    places = [f"entry {number}" for number in range(1, len(values) + 1)]
    rows = [
        _object(value, f"{source}, {place}") for value, place in zip(values, places, strict=True)
    ]
    return Table(source, rows, places)


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where}, is no JSON object but a {type(value).__name__}")
    return value
