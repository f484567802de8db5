"""Data sets in one archive, for machines without network.

    data.tar.gz
        SHA256SUMS                    first, of all that follows; `sha256sum -c` understands it
        mt_bench/question.jsonl
        nlp/ai2_arc/README.md ...

The same data sets give the same bytes. Unpacking believes nothing: every file must be a plain one,
be on the list with the right hash, and belong to a data set of the catalogue, before any is moved.
"""

import gzip
import io
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.data.folder import SUMS, DataFolder, format_sums, hashes, parse_sums, sha256
from harness.errors import DataError

_MOST_SUMS = 16 << 20
"""A longer list of hashes is not read."""


def pack(data: DataFolder, archive: Path, names: Sequence[str]) -> None:
    """Write data sets into an archive.

    Raises:
        DataError: one is missing or not what it should be, or the archive cannot be written.
    """
    sums: dict[str, str] = {}
    for name in names:
        path = data.find(name)
        if path is None:
            raise DataError(
                f"{name} is not in {data.root}: `harness data pull {name}` first, or leave it out"
            )
        sums |= hashes(path, name)
    if not sums:
        raise DataError(f"there is nothing in {data.root} to pack; `harness data pull` first")
    part = archive.with_name(f"{archive.name}.part")
    try:
        with (
            part.open("wb") as raw,
            gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w") as tar,
        ):
            listed = format_sums(sums).encode()
            tar.addfile(_member(SUMS, len(listed)), io.BytesIO(listed))
            for place in sorted(sums):
                file = data.root / place
                with file.open("rb") as content:
                    tar.addfile(_member(place, file.stat().st_size), content)
        part.replace(archive)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DataError(f"cannot write {archive}: {error.strerror or error}") from error


def unpack(data: DataFolder, archive: Path) -> list[str]:
    """Take data sets out of an archive; what is there already stays as it is.

    Returns:
        The names of those that were new.

    Raises:
        DataError: it is no such archive, or anything in it is not as listed or not in the
            catalogue; then nothing was moved.
    """
    with data.room() as room:
        with _reading(archive), tarfile.open(archive, "r:gz") as tar:
            sums = _listed(tar, archive)
            names = _names(data, sums, archive)
            _extract(tar, sums, room, archive)
        for name in names:
            wanted = data.catalogue[name].sha256
            if wanted is not None and sums[name] != wanted:
                raise DataError(
                    f"{archive}: {name} has sha256 {sums[name]}, and the catalogue wants {wanted}; "
                    "nothing was unpacked"
                )
        new = [name for name in names if not _is_there(data, name, room / name)]
        for name in new:
            data.place(name, room / name, str(archive))
    return new


def _member(name: str, size: int) -> tarfile.TarInfo:
    """Describe a file by nothing but its name and size, so that the archive is always the same."""
    member = tarfile.TarInfo(name)
    member.size = size
    return member


@contextmanager
def _reading(archive: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{archive} cannot be unpacked: {error}; give an archive that `harness data pack` made"
        ) from error


def _listed(tar: tarfile.TarFile, archive: Path) -> dict[str, str]:
    first = tar.next()
    content = tar.extractfile(first) if first and first.name == SUMS and first.isreg() else None
    if first is None or content is None or first.size > _MOST_SUMS:
        raise DataError(
            f"{archive} does not begin with {SUMS}; give an archive that `harness data pack` made"
        )
    return parse_sums(content.read().decode("utf-8", "replace"), f"{archive}, {SUMS}")


def _names(data: DataFolder, sums: dict[str, str], archive: Path) -> list[str]:
    """Name the data sets that the listed files belong to."""
    names: dict[str, None] = {}
    for path in sums:
        owner = data.catalogue.owner(path)
        if owner is None:
            raise DataError(f"{archive}: {path!r} is in no data set of the catalogue; not unpacked")
        names[owner] = None
    return list(names)


def _extract(tar: tarfile.TarFile, sums: dict[str, str], room: Path, archive: Path) -> None:
    """Write every file after the list, and hash it."""
    while member := tar.next():
        content = tar.extractfile(member) if member.isreg() and member.name in sums else None
        target = room / member.name
        if content is None or target.exists():
            raise DataError(f"{archive}: {member.name!r} is not a file on its list; not unpacked")
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            shutil.copyfileobj(content, file)
        if (found := sha256(target)) != sums[member.name]:
            raise DataError(
                f"{archive}: {member.name} has sha256 {found}, listed as {sums[member.name]}; "
                "it is damaged, and nothing was unpacked"
            )
    missing = [path for path in sums if not (room / path).exists()]
    if missing:
        raise DataError(f"{archive}: {missing[0]} is listed and not there; nothing was unpacked")


def _is_there(data: DataFolder, name: str, made: Path) -> bool:
    return data.path(name).exists() and hashes(data.path(name), name) == hashes(made, name)
