"""`harness compare`: several runs, ablations and seeds and base models, in one report.

harness compare runs/micro runs/seed1 runs/seed2 runs/positives --out runs/compare

What is compared, and how it is written, is the reports' business: every installed one that can
compare writes a file.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Protocol, runtime_checkable

import typer
from rich.console import Console

from harness import plugins
from harness.config import Choice
from harness.errors import ConfigError
from harness.protocols import Comparer, NamedRun
from harness.rows import unwritable
from harness.store import Store

DEFAULT_OUT = Path("runs/compare")


@runtime_checkable
class ShownComparison(Protocol):
    """A report that can also be shown on a console."""

    def show_comparison(self, runs: Sequence[NamedRun], console: Console) -> None:
        """Print it, as wide as the console is."""
        ...


def compare(
    runs: Annotated[list[Path], typer.Argument(help="The folders of two runs or more.")],
    out: Annotated[Path, typer.Option(help="Where the reports go.")] = DEFAULT_OUT,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the rows of compare.json instead.")
    ] = False,
) -> None:
    """Put runs beside each other: seeds of one request, ablations, base models, and the paper."""
    named = _read(runs)
    reports = _reports()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(out, error) from error
    written = [report.compare(named, out) for report in reports]
    if as_json:
        for path in written:
            if path.suffix == ".json":
                typer.echo(path.read_text(encoding="utf-8"), nl=False)
        return
    for report in reports:
        if isinstance(report, ShownComparison):
            report.show_comparison(named, Console())
    for path in written:
        typer.echo(path)


def _read(folders: Sequence[Path]) -> tuple[NamedRun, ...]:
    """Read the runs, each named by as much of its path as tells it from the others."""
    places = [folder.resolve() for folder in folders]
    twice = next((place for place in places if places.count(place) > 1), None)
    if twice:
        raise ConfigError(f"{twice} was given more than once; a run is compared with other runs")
    if len(places) < 2:
        raise ConfigError(
            f"{folders[0]} alone is nothing to compare; name another run, or see "
            f"`harness report {folders[0]}`"
        )
    parts = 1
    while len({place.parts[-parts:] for place in places}) < len(places):
        parts += 1
    return tuple(
        NamedRun("/".join(place.parts[-parts:]), Store(place).record()) for place in places
    )


def _reports() -> list[Comparer]:
    """Build every installed report that can compare."""
    names = [
        entry.name
        for entry in plugins.installed(plugins.REPORTS)
        if isinstance(plugins.load(plugins.REPORTS, entry.name), Comparer)
    ]
    built = [plugins.build(plugins.REPORTS, Choice(name=name)).plugin for name in names]
    return [plugin for plugin in built if isinstance(plugin, Comparer)]
