"""What a run's evaluations published of one model: results, and the files they wrote.

runs/micro/published/M3/alpaca_eval/annotations.json    read(entry, result, "annotations.json")
"""

import re
from collections.abc import Collection
from pathlib import Path, PurePath
from typing import Any

from pydantic import ConfigDict

from harness.data.files import read_table
from harness.errors import ConfigError, DataError
from harness.protocols import Entry
from harness.records import EvalResult, Record
from reports.submissions import private


class Options(Record):
    """Options of a submission: what their docstrings say is shown by `--help`."""

    model_config = ConfigDict(use_attribute_docstrings=True)


def results(entry: Entry) -> tuple[EvalResult, ...]:
    """List what every evaluation found about the model, in the order of the run."""
    return tuple(
        result
        for stage in entry.record.stages
        for result in stage.evaluations
        if result.model == entry.model.name
    )


def options(entry: Entry, label: str) -> dict[str, Any]:
    """Read what an evaluation was asked for, by what the run calls it."""
    return next((one for one in _asked(entry) if _called(one) == label), {})


def result(entry: Entry, evaluation: str, label: str | None) -> EvalResult:
    """Find the model's result of an evaluation.

    Args:
        entry: The model.
        evaluation: The evaluation's own name.
        label: What the run calls it; needed only where it asked that evaluation more than once.

    Raises:
        ConfigError: the run did not ask it, or asked several and none was named.
    """
    labels = [_called(one) for one in _asked(entry) if one.get("name") == evaluation]
    if not labels:
        there = ", ".join(map(_called, _asked(entry))) or "no evaluation"
        raise ConfigError(f"the run did not ask {evaluation}, it asked {there}; submit another one")
    if label is None and len(labels) > 1:
        raise ConfigError(
            f"the run asked {evaluation} as {', '.join(labels)}; say which with --evaluation"
        )
    chosen = label or labels[0]
    found = next((one for one in results(entry) if one.evaluation == chosen), None)
    if chosen not in labels or found is None:
        raise ConfigError(
            f"the run has no result of {entry.model.name} for {evaluation} as {chosen!r}, it asked "
            f"it as {', '.join(labels)}; name one with --evaluation"
        )
    return found


def read(entry: Entry, of: EvalResult, name: str) -> str:
    """Read a file that an evaluation published.

    Raises:
        DataError: it did not, or the file is gone.
    """
    path = entry.published / of.evaluation / name
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _unpublished(path, of) from error


def read_rows(
    entry: Entry, of: EvalResult, name: str, texts: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Read the rows of a JSON or JSON Lines file that an evaluation published.

    Args:
        entry: The model.
        of: Its result.
        name: Of the file.
        texts: The keys under which every row has a text.

    Raises:
        DataError: it did not, or the file is gone or damaged.
    """
    path = entry.published / of.evaluation / name
    if not path.is_file():
        raise _unpublished(path, of)
    table = read_table(str(path))
    for place, row in zip(table.places, table.rows, strict=True):
        if lacking := [key for key in texts if not isinstance(row.get(key), str)]:
            raise damaged(entry, of, name, f"has no {' and no '.join(lacking)} in {place}")
    return list(table.rows)


def damaged(entry: Entry, of: EvalResult, name: str, what: str) -> DataError:
    """Say what is wrong with a file that an evaluation published."""
    return DataError(
        f"{entry.published / of.evaluation / name} {what}, so it is not as {of.evaluation} "
        f"published it: {_REMEDY}"
    )


def only_file(entry: Entry, of: EvalResult, folder: str) -> str:
    """Name the one file of a folder that an evaluation published, with the folder.

    Raises:
        DataError: there is none, or more than one.
    """
    place = entry.published / of.evaluation / folder
    found = sorted(path.name for path in place.glob("*.json*"))
    if len(found) != 1:
        raise _unpublished(place / "(one file)", of)
    return f"{folder}/{found[0]}"


_REMEDY = (
    "restore it, or have the answers marked again into another folder with `harness run ... "
    "--answers-from`"
)


def _unpublished(path: Path, of: EvalResult) -> DataError:
    return DataError(
        f"{path} cannot be read, which {of.evaluation} publishes when it has marked a model: "
        f"{_REMEDY}"
    )


def notes(of: EvalResult, metrics: Collection[str]) -> tuple[str, ...]:
    """List what readers must know before comparing figures with published ones, each once."""
    said = [metric.note for metric in of.metrics if metric.name in metrics]
    parts = [part for note in said for part in note.split("; ") if part]
    return tuple(dict.fromkeys(map(private.scrub, parts)))


def is_folder(location: str) -> bool:
    """Say whether a model's location is a folder on this machine, not a name on the hub."""
    return PurePath(location).is_absolute() or location.startswith((".", "~"))


def known_as(entry: Entry) -> str:
    """Say which weights the entry's are: their hub id, or the entry's own name."""
    location = entry.model.location
    return entry.name if is_folder(location) or entry.model.parent else location


def file_name(name: str) -> str:
    """Write a name so that it names a file: `examiner (exact)` is `examiner_exact`."""
    return re.sub(r"[^\w.@+-]+", "_", name).strip("_")


def one_word(entry: Entry) -> str:
    """Take the entry's name as that of a file.

    Raises:
        ConfigError: it has an organisation before it.
    """
    if "/" in entry.name:
        raise ConfigError(
            f"{entry.name!r} is to name files and folders here; give a --name without /"
        )
    return entry.name


def _asked(entry: Entry) -> list[dict[str, Any]]:
    asked = entry.record.request.get("evaluations")
    return [one for one in asked if isinstance(one, dict)] if isinstance(asked, list) else []


def _called(options: dict[str, Any]) -> str:
    return str(options.get("label") or options.get("name"))
