"""Rules out of what is wrong with files, and the reading of files in any state.

>>> judged("scores from 1 to 10", ["question 81, turn 2: 11"])
Rule(name='scores from 1 to 10', state='broken', detail='question 81, turn 2: 11')
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from harness.data.files import read_table
from harness.errors import DataError
from harness.protocols import Rule

MOST_SHOWN = 3


def judged(
    name: str,
    wrong: Iterable[str],
    otherwise: Literal["broken", "differs"] = "broken",
    fine: str = "",
) -> Rule:
    """Make a rule of all that is wrong.

    Args:
        name: Of the rule.
        wrong: What is wrong; nothing where the rule is kept.
        otherwise: How the bundle stands where it is not.
        fine: What to say where it is.
    """
    found = list(wrong)
    if not found:
        return Rule(name, "ok", fine)
    more = len(found) - MOST_SHOWN
    shown = found[:MOST_SHOWN] + ([f"and {more} more"] if more > 0 else [])
    return Rule(name, otherwise, "; ".join(shown))


def repeated(values: Iterable[Any]) -> list[str]:
    """List what is there more than once, shortened."""
    counts = Counter(map(str, values))
    return [f"{value:.60} ({count} times)" for value, count in counts.items() if count > 1]


def missing(folder: Path, names: Iterable[str]) -> list[str]:
    """List the files that a folder lacks."""
    return [f"no {name}" for name in names if not (folder / name).is_file()]


def rows(path: Path) -> Sequence[dict[str, Any]]:
    """Read the rows of a JSON or JSON Lines file.

    Raises:
        DataError: it cannot be read, or is something else.
    """
    return read_table(str(path)).rows


def mapping(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds one object.

    Raises:
        DataError: it cannot be read, or is something else.
    """
    try:
        value = json.loads(text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON ({error}); write it again") from error
    if not isinstance(value, dict):
        raise DataError(f"{path} is no JSON object; write it again")
    return value


def csv_rows(path: Path) -> list[dict[str, str]]:
    """Read the rows of a CSV file with a header.

    Raises:
        DataError: it cannot be read, or a row has other columns than the header.
    """
    try:
        found = list(csv.DictReader(io.StringIO(text(path)), strict=True))
    except csv.Error as error:
        raise DataError(f"{path} is not CSV ({error}); write it again") from error
    for number, row in enumerate(found, start=2):
        if None in row or None in row.values():
            raise DataError(f"{path}, row {number}, has not as many columns as the header")
    return found


def text(path: Path) -> str:
    """Read a text.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
