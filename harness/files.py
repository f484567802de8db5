"""JSON files: written whole or not at all, read strictly, and compared."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from harness.errors import StoreError
from harness.records import Record
from harness.rows import unwritable

R = TypeVar("R", bound=Record)


def write_json(path: Path, value: Any) -> None:
    """Write a file whole or not at all."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def write_text(path: Path, content: str) -> None:
    """Write a file whole or not at all.

    Raises:
        StoreError: the disk does not take it.
    """
    aside = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error


def read_json(path: Path) -> Any:
    """Read a file of JSON.

    Raises:
        StoreError: it cannot be read, or is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_int=_whole_number)
    except OSError as error:
        raise inaccessible(path, error) from error
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path} cannot be read ({error}); restore it, or begin anew") from error


def _whole_number(digits: str) -> int:
    """Read an integer; one that no float can hold is damage, and cannot be reckoned with."""
    if len(digits) > sys.float_info.max_10_exp:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def read_object(path: Path) -> dict[str, Any]:
    """Read a file that holds a JSON object; raises as `read_json` does."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise StoreError(f"{path} is not a JSON object; restore it, or begin anew")
    return value


def read_record(kind: type[R], path: Path) -> R | None:
    """Read a record, or None where there is no such file; raises as `checked` does."""
    return checked(kind, read_json(path), path) if exists(path) else None


def exists(path: Path) -> bool:
    """Look whether there is a file, and whether we may look."""
    try:
        return path.exists()
    except OSError as error:  # a folder that is not ours to look into, a name that is too long
        raise inaccessible(path, error) from error


def inaccessible(path: Path, error: OSError) -> StoreError:
    """Make the error of a path that we may not read."""
    return StoreError(f"{path} cannot be read: {error.strerror or error}; grant access to it")


def checked(kind: type[R], value: Any, path: Path) -> R:
    """Check a value against a record.

    Raises:
        StoreError: it is of another version.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise StoreError(
            f"{path} is no {kind.__name__} of this version "
            f"({error.error_count()} fields differ); begin anew, or use the version it is from"
        ) from error


def differences(left: Any, right: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Name the places where two JSON values differ, each by the keys that lead to it."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in left.keys() | right.keys():
            if key in left and key in right:
                yield from differences(left[key], right[key], (*at, key))
            elif left.get(key) is not None or right.get(key) is not None:
                yield (*at, key)  # an option that an older version did not know is null by default
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for index, (one, other) in enumerate(zip(left, right, strict=True)):
            yield from differences(one, other, (*at, str(index)))
    elif left != right:
        yield at


def shown_at(value: Any, place: tuple[str, ...]) -> str:
    """Show what stands at a place, shortened."""
    for key in place:
        value = value.get(key, "nothing") if isinstance(value, dict) else value[int(key)]
    shown = json.dumps(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
