"""Bundles: what a leaderboard is sent, as a folder, with a list of what was written there.

    M3/submission.json       {"submission": "alpaca_eval", "model": "M3", "name": "my-model",
                              "notes": ["reference M0"], "files": {"results/...": "9f86..."}}
    M3/results/my-model/...  as the leaderboard wants them

A bundle is written aside and moved into its place, so that it is there whole or not at all. One
that anybody else wrote has no such list, and is recognised by its layout.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from pydantic import ValidationError

from harness import plugins
from harness.errors import DataError, PluginError, StoreError
from harness.protocols import Entry, Rule, Submission
from harness.records import Record
from harness.rows import unwritable

MANIFEST = "submission.json"


class Manifest(Record):
    """What was written, for whom, and what the run itself says of it."""

    submission: str
    """The plug-in that wrote it."""
    model: str
    """In the run."""
    name: str
    """For the leaderboard."""
    notes: tuple[str, ...] = ()
    """What stands between its figures and published ones."""
    files: dict[str, str]
    """The sha256 of each, by its place below the bundle's folder."""


@dataclass(frozen=True)
class Checked:
    """How a bundle stands to the rules of the leaderboard it is for."""

    submission: str
    target: str
    """Where it goes, and whether anybody there still takes it."""
    rules: tuple[Rule, ...]

    def of(self, state: str) -> list[Rule]:
        """List the rules to which it stands like that."""
        return [rule for rule in self.rules if rule.state == state]


def write(kind: str, submission: Submission, entry: Entry, folder: Path) -> Manifest:
    """Write a bundle; one of the same kind is written anew.

    Args:
        kind: What the submission is called among plug-ins.
        submission: It.
        entry: The model.
        folder: Where.

    Raises:
        StoreError: the folder holds other things, or cannot be written.
        HarnessError: the run did not measure what the leaderboard asks.
    """
    _check_free(folder, kind)
    bundle = submission.write(entry)
    contents = {name: text.encode() for name, text in bundle.files.items()}
    if outside := [name for name in contents if not _is_inside(name)]:
        raise PluginError(f"{kind} wants to write {outside[0]!r}, outside of its bundle")
    manifest = Manifest(
        submission=kind,
        model=entry.model.name,
        name=entry.name,
        notes=bundle.notes,
        files={name: sha256(content).hexdigest() for name, content in contents.items()},
    )
    contents[MANIFEST] = (json.dumps(manifest.model_dump(mode="json"), indent=1) + "\n").encode()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent, prefix=".submission-") as aside:
            new = Path(aside, "new")
            for name, content in contents.items():
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                (new / name).write_bytes(content)
            if folder.exists():
                folder.replace(Path(aside, "old"))
            new.replace(folder)
    except OSError as error:
        raise unwritable(folder, error) from error
    return manifest


def check(folder: Path) -> Checked:
    """Apply a leaderboard's rules to a bundle.

    Raises:
        DataError: the folder holds no bundle of any kind that is installed.
    """
    manifest = _manifest(folder) if folder.is_dir() else None
    name = manifest.submission if manifest else _recognise(folder)
    plugin = plugins.load(plugins.SUBMISSIONS, name)
    own = _own_rules(manifest, folder) if manifest else ()
    return Checked(name, plugin.target, (*own, *plugin.check(folder)))


def _own_rules(manifest: Manifest, folder: Path) -> Iterator[Rule]:
    """Compare the files with the list of them, and repeat what the run says."""
    gone, changed = [], []
    for name, written in manifest.files.items():
        path = folder / name
        if not path.is_file():
            gone.append(name)
        elif sha256(path.read_bytes()).hexdigest() != written:
            changed.append(name)
    if gone:
        yield Rule("files as written", "broken", f"missing: {', '.join(gone)}")
    elif changed:
        yield Rule("files as written", "differs", f"changed since: {', '.join(changed)}")
    else:
        yield Rule("files as written", "ok", f"{len(manifest.files)} files")
    for note in manifest.notes:
        yield Rule("as the run says", "differs", note)


def _recognise(folder: Path) -> str:
    """Tell by its layout what kind of bundle a folder holds."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise DataError(f"{folder} {what}; name a bundle's folder, `harness submit` writes one")
    names = [entry.name for entry in plugins.installed(plugins.SUBMISSIONS)]
    found = [name for name in names if plugins.load(plugins.SUBMISSIONS, name).recognises(folder)]
    if len(found) != 1:
        there = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
        kinds = " and ".join(found) if found else f"none of {', '.join(names)}"
        raise DataError(
            f"{folder} is not the folder of one bundle: it has {there}, the layout of {kinds}; "
            "name the folder that `harness submit` wrote"
        )
    return found[0]


def _manifest(folder: Path) -> Manifest | None:
    """Read what the harness noted of a bundle; None where there is no note.

    Raises:
        DataError: the note is damaged.
    """
    path = folder / MANIFEST
    if not path.exists():
        return None
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataError(
            f"{path} cannot be read as what `harness submit` writes; restore it, or delete it to "
            "have the bundle checked by its layout"
        ) from error


def _check_free(folder: Path, kind: str) -> None:
    """Refuse a folder with anything in it but a bundle of the same kind."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise StoreError(f"{folder} is a file; name a folder with --out")
    there = _files(folder)
    if not there:
        return
    manifest = _manifest(folder)
    if manifest is None or manifest.submission != kind:
        what = f"a bundle for {manifest.submission}" if manifest else "other things"
        raise StoreError(
            f"{folder} holds {what} ({', '.join(there[:3])}); name a new or an empty folder with "
            "--out"
        )
    if others := [name for name in there if name not in (*manifest.files, MANIFEST)]:
        raise StoreError(
            f"{folder} holds more than the bundle that was written there ({', '.join(others[:3])});"
            " move that away, or name another folder with --out"
        )


def _files(folder: Path) -> Sequence[str]:
    paths = (path for path in folder.rglob("*") if not path.is_dir())
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and name != MANIFEST
