"""Bring data sets into the data folder: from the network, or from a file that is here already.

pull(here(), "mt_bench/question.jsonl")                       from its source
pull(here(), "mt_bench/question.jsonl", Path("mine.jsonl"))   from a file; its hash must be right

A file is received aside, its hash is checked, and only then it is moved into its place.
"""

import shutil
from collections.abc import Callable, Sequence
from http.client import HTTPException
from importlib import import_module
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from harness.data.catalogue import Entry
from harness.data.folder import DataFolder
from harness.errors import DataError

_SECONDS = 30
"""How long a server may be silent."""


def pull_all(
    data: DataFolder,
    names: Sequence[str],
    say: Callable[[str], None],
    given: Path | None = None,
) -> None:
    """Pull data sets one after the other; what fails stops no other, unless nothing is reached.

    Args:
        data: Where to.
        names: Of the catalogue.
        say: Is told what became of each.
        given: What to take instead of the source.

    Raises:
        DataError: at the end, where some could not be pulled; at once, where there is no network.
    """
    failed: list[str] = []
    for name in names:
        try:
            pulled = pull(data, name, given)
            say(f"{name}: {'pulled' if pulled else 'is there'}, {data.check(name).state}")
        except ConnectionError as error:
            raise DataError(
                f"{name} cannot be reached ({error}); what was pulled before is kept: check the "
                "connection and give the same command again, or bring it with "
                f"`harness data pull {name} --from FILE`"
            ) from error
        except DataError as error:
            if len(names) == 1:
                raise
            failed.append(name)
            say(f"{name}: not pulled: {error}")
            continue
        caution = data.catalogue[name].caution
        if pulled and caution:
            say(f"  {caution}")
    if failed:
        raise DataError(
            f"{len(failed)} of {len(names)} data sets could not be pulled ({', '.join(failed)}); "
            "the others are there"
        )


def pull(data: DataFolder, name: str, given: Path | None = None) -> bool:
    """Bring one data set, unless it is there as it should be.

    Args:
        data: Where to.
        name: Of the catalogue.
        given: A file, or a folder where the data set is one, to take instead of its source.

    Returns:
        Whether there was anything to do.

    Raises:
        DataError: it is not at its source, or its hash is not the catalogue's.
        ConnectionError: the source cannot be reached.
    """
    entry = data.catalogue[name]
    if data.check(name).state not in ("missing", "changed"):
        return False
    with data.room() as room:
        if given is not None:
            data.place(name, _copy(entry, name, given, room), str(given))
        else:
            data.place(name, _fetch(entry, room), entry.source)
    return True


def _copy(entry: Entry, name: str, given: Path, room: Path) -> Path:
    if not given.exists() or given.is_dir() != entry.is_folder:
        wanted = "a folder" if entry.is_folder else "a file"
        raise DataError(f"{name} is {wanted}, and {given} is none; name {wanted} with --from")
    copied = room / "given"
    if entry.is_folder:
        shutil.copytree(given, copied)
    else:
        shutil.copyfile(given, copied)
    return copied


def _fetch(entry: Entry, room: Path) -> Path:
    """Download into the room; return the file or folder that is meant."""
    fetched = room / "fetched"
    if entry.url is not None:
        _download(entry.source, fetched)
        return fetched
    files = (entry.file,) if entry.file else entry.files
    # By name, because the hub's library takes a second to import.
    download = import_module("harness.data.hub_files").download
    download(entry.hub, entry.revision, files, fetched)
    return fetched / entry.file if entry.file else fetched


def _download(url: str, target: Path) -> None:
    """Download a file.

    Raises:
        DataError: the server has no such file.
        ConnectionError: no answer, or the file broke off.
    """
    request = Request(url, headers={"User-Agent": "self-rewarding-harness"})
    try:
        with urlopen(request, timeout=_SECONDS) as response, target.open("wb") as file:
            shutil.copyfileobj(response, file)
            promised = response.headers["Content-Length"]
    except HTTPError as error:
        raise DataError(
            f"{url} answers {error.code} {error.reason}; bring the file with --from"
        ) from error
    except (OSError, HTTPException) as error:
        raise ConnectionError(f"{url}: {getattr(error, 'reason', error)}") from error
    if promised is not None and target.stat().st_size != int(promised):
        raise ConnectionError(f"{url} broke off after {target.stat().st_size} of {promised} bytes")
