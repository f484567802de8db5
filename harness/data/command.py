"""`harness data`: what data there is, where it is from, and whether it is what it should be."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from harness.console import print_table
from harness.data import bundle, pull
from harness.data.folder import DataFolder, here
from harness.errors import DataError

data = typer.Typer(
    help="The data sets of evaluations and presets: see, pull, verify, pack.", no_args_is_help=True
)
Names = Annotated[
    list[str] | None,
    typer.Argument(help="As `harness data list` shows them, or a folder of them; all without."),
]


@data.callback()
def options() -> None:
    """The data sets of evaluations and presets: see, pull, verify, pack."""


@data.command("list")
def list_data(names: Names = None) -> None:
    """List every data set: whether it is here, its size, licence, hash and source."""
    folder = here()
    table = Table("name", "state", "bytes", "licence", "used by", box=None)
    table.add_column("pinned by", overflow="fold")
    table.add_column("source", overflow="fold")
    for name in _chosen(folder, names):
        entry = folder.catalogue[name]
        table.add_row(
            name,
            folder.check(name).state,
            "unknown" if entry.size is None else f"{entry.size:,}",
            entry.licence,
            ", ".join(entry.used_by),
            f"sha256 {entry.sha256}" if entry.sha256 else entry.pinned,
            entry.source,
        )
    print_table(table)
    typer.echo(f"in {folder.root}; HARNESS_DATA names another folder")


@data.command("pull")
def pull_data(
    names: Names = None,
    given: Annotated[
        Path | None,
        typer.Option("--from", help="A file or folder got elsewhere, for one data set."),
    ] = None,
) -> None:
    """Download data sets; what is here is not downloaded again."""
    folder = here()
    chosen = _chosen(folder, names)
    if given is not None and len(chosen) != 1:
        raise DataError(f"--from {given} is for one data set, not {len(chosen)}; name that one")
    pull.pull_all(folder, chosen, typer.echo, given)


@data.command()
def verify(names: Names = None) -> None:
    """Hash what is here again; exit with an error where something differs or is gone."""
    folder = here()
    wanted = set(_chosen(folder, names)) if names else {*map(folder.catalogue.owner, folder.sums())}
    wrong, some = [], False
    for name in _chosen(folder, names):
        check = folder.check(name)
        if check.state == "missing" and name not in wanted:
            continue
        some = True
        typer.echo(f"{name}: {check.state}{f', {check.detail}' if check.detail else ''}")
        if check.state in ("missing", "changed"):
            wrong.append(name)
    if not some:
        typer.echo(f"nothing to verify: no data set is in {folder.root}; see `harness data pull`")
    if wrong:
        raise DataError(
            f"not as they should be: {', '.join(wrong)}; `harness data pull` puts them right"
        )


@data.command()
def pack(
    archive: Annotated[Path, typer.Argument(help="A .tar.gz to write.")], names: Names = None
) -> None:
    """Write the data sets that are here, or those that are named, into an archive."""
    folder = here()
    chosen = _chosen(folder, names)
    if not names:
        chosen = [name for name in chosen if folder.path(name).exists()]
    bundle.pack(folder, archive, chosen)
    typer.echo(f"{archive}: {len(chosen)} data sets")
    for name in chosen:
        if caution := folder.catalogue[name].caution:
            typer.echo(f"  {name}: {caution}")


@data.command()
def unpack(
    archive: Annotated[Path, typer.Argument(help="What `harness data pack` wrote.")],
) -> None:
    """Take data sets out of an archive, each file verified before any is moved."""
    folder = here()
    new = bundle.unpack(folder, archive)
    typer.echo(f"{archive}: {len(new)} new data sets in {folder.root}")
    for name in new:
        typer.echo(f"  {name}")


def _chosen(folder: DataFolder, names: list[str] | None) -> list[str]:
    """Read names, which may also be paths below the data folder."""
    if not names:
        return list(folder.catalogue)
    root = folder.root.resolve()
    paths = {name: Path(name).resolve() for name in names}
    return folder.catalogue.choose(
        path.relative_to(root).as_posix() if path.is_relative_to(root) and path != root else name
        for name, path in paths.items()
    )
