"""The command line. It reads a request, calls one function, and says where the result is.

Light by design: nothing here, nor anything it imports at the top, imports torch.
"""

import json
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Protocol, runtime_checkable

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from harness import machine, plugins, status
from harness.compare import compare
from harness.config import (
    PRESETS,
    Choice,
    RunConfig,
    capped,
    folder_of,
    preset_text,
    presets,
    read_config,
    validate,
)
from harness.console import as_wide_as_needed, print_table
from harness.data.command import data
from harness.display import Display
from harness.engines import vllm_environment
from harness.errors import ConfigError, HarnessError
from harness.microworld.command import microworld
from harness.options import options
from harness.planning.command import plan
from harness.protocols import Remote, Scorer
from harness.records import RunRecord
from harness.remote.command import judge
from harness.run import run as run_stages
from harness.store import Store
from harness.submissions.command import submit
from harness.view import printable

_REQUEST = "request"
"""What `harness list` calls a request that comes with the harness."""

app = typer.Typer(
    help="Measure language models, and improve them between measurements.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(data, name="data")
app.add_typer(judge, name="judge")
app.add_typer(microworld, name="microworld")
app.add_typer(submit, name="submit")

Folder = Annotated[Path, typer.Argument(help="A run's folder.")]


@runtime_checkable
class ShownReport(Protocol):
    """A report that can also be shown on a console."""

    def show(self, record: RunRecord, console: Console) -> None:
        """Print it, as wide as the console is."""
        ...


@app.command()
def run(
    request: Annotated[
        str, typer.Argument(help=f"A TOML file, or one of: {', '.join(presets())}.")
    ] = "micro",
    iterations: Annotated[
        int | None, typer.Option(help="How often to train; 0 only measures.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the training; evaluations have their own.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder; runs/REQUEST without it.")
    ] = None,
    answers_from: Annotated[
        Path | None, typer.Option(help="A run whose models' answers are only judged anew.")
    ] = None,
    max_usd: Annotated[
        float | None, typer.Option(min=0, help="The most that the judge may cost in the whole run.")
    ] = None,
) -> None:
    """Measure M0, and train and measure M1, M2 ...; the same command continues a run."""
    machine.use_threads(machine.choose_threads())
    config = read_config(request, {"iterations": iterations, "seed": seed})
    if max_usd is not None:
        config = _capped(config, max_usd)
    store = Store(out or folder_of(request))
    signal.signal(signal.SIGTERM, _terminated)
    try:
        with Display(store) as display:
            others = Store(answers_from) if answers_from else None
            record = run_stages(config, store, display, others)
        _report(config.reports, record, store)
    except KeyboardInterrupt as error:
        asked = isinstance(error, _Terminated)
        word = "ended by SIGTERM" if asked else "interrupted"
        typer.echo(f"harness: {word}; the same command continues", err=True)
        raise typer.Exit(143 if asked else 130) from error


class _Terminated(KeyboardInterrupt):
    """Ended from outside, as a cluster's scheduler does."""


def _terminated(*_: object) -> None:
    raise _Terminated


@app.command()
def report(
    folder: Folder,
    kinds: Annotated[
        list[str] | None,
        typer.Option("--as", help="A report to write instead of those of the request: latex ..."),
    ] = None,
) -> None:
    """Write a run's reports again, from its records alone; a run that is under way has them too."""
    record = Store(folder).record()
    chosen = [Choice(name=kind) for kind in kinds] if kinds else _reports(record)
    _report(chosen, record, Store(folder))


app.command()(compare)
app.command()(plan)


@app.command("status")
def show_status(
    folder: Folder,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it until it ends.")] = False,
) -> None:
    """Say how far a run is, also while it works: its stages, rows, failures, money, time left."""
    console = as_wide_as_needed()
    try:
        (status.watch if watch else status.show)(Store(folder), console)
    except KeyboardInterrupt as error:
        raise typer.Exit(130) from error


@app.command()
def score(
    evaluation: Annotated[str, typer.Argument(help="Which evaluation the judgements are of.")],
    files: Annotated[list[Path], typer.Argument(help="Stored judgements, in published formats.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, as in summary.json.")] = False,
) -> None:
    """Compute an evaluation's numbers from stored judgements; no model is asked."""
    scorer = plugins.load(plugins.EVALUATIONS, evaluation)
    if not isinstance(scorer, Scorer):
        raise ConfigError(f"{evaluation} cannot be scored from files alone")
    results = scorer.score(files)
    if as_json:
        rows = [row for result in results for row in result.rows()]
        typer.echo(json.dumps(rows, indent=1, allow_nan=False))
        return
    for result in results:
        table = Table(
            "model", "metric", "against", "value", "95 % interval", "n", "failed", box=None
        )
        for one in result.metrics:
            table.add_row(
                result.model,
                one.name,
                one.against or "",
                "-" if one.value is None else f"{one.value:.6g}",
                "-" if one.low is None else f"{one.low:.4g} to {one.high:.4g}",
                str(one.n),
                str(one.failed),
            )
        print_table(table)
        for note in dict.fromkeys(one.note for one in result.metrics if one.note):
            typer.echo(f"{', '.join(m.name for m in result.metrics if m.note == note)}: {note}")
        if result.description:
            typer.echo(result.description)


@app.command("list")
def list_plugins(
    of_kind: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND]",
            help="engine, evaluation, trainer, report or submission; or request.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Argument(help="One of that kind, for what is in it.")] = None,
) -> None:
    """List what can be named in a request; by kind and name, a plug-in's options, or a request."""
    kinds = {kind.word: kind for kind in plugins.KINDS}
    if of_kind not in (None, _REQUEST, *kinds):
        raise ConfigError(f"no kind {of_kind!r}; there are {', '.join((*kinds, _REQUEST))}")
    if of_kind is not None and name is not None:
        if of_kind in kinds:
            _list_options(kinds[of_kind], name)
        else:
            typer.echo(preset_text(name), nl=False)
        return
    table = Table("kind", "name", "from", box=None)
    for kind in plugins.KINDS:
        for entry in plugins.installed(kind) if of_kind in (None, kind.word) else ():
            table.add_row(kind.word, entry.name, entry.value)
    for preset in presets() if of_kind in (None, _REQUEST) else ():
        table.add_row(_REQUEST, preset, str(PRESETS / f"{preset}.toml"))
    print_table(table)


def _list_options(kind: plugins.Kind[Any], name: str) -> None:
    plugin = plugins.load(kind, name)
    console = as_wide_as_needed()
    for option in options(plugin.Config):
        console.print(f"{option.name}: {option.kind}, {option.default}", style="bold")
        if option.meaning:
            console.print(Padding(option.meaning, (0, 0, 0, 4), expand=False))


@app.command()
def doctor() -> None:
    """Say what is installed, what is missing, and what a run would use, and why."""
    threads = machine.choose_threads()
    table = Table("what", "found", "for", box=None)
    table.add_row("python", sys.version.split()[0], "everything (3.11 or newer)")
    for package, use in machine.PACKAGES.items():
        table.add_row(package, machine.installed(package) or "missing", use)
    table.add_row("vllm", *vllm_environment.found())
    table.add_row("device", *machine.device())
    table.add_row("threads", str(threads.count), threads.why)
    table.add_row("disk", f"{machine.free_space(Path.cwd()):.0f} GB free", "weights of every model")
    print_table(table)
    missing = [name for name in machine.REQUIRED if machine.installed(name) is None]
    if missing:
        raise HarnessError(f"missing: {', '.join(missing)}; run `make setup` again")


def _capped(config: RunConfig, max_usd: float) -> RunConfig:
    """Cap what the judge may cost; refuse a cap on one that costs nothing."""
    if config.judge is not None:
        engine = config.judge.engine.name
        if not issubclass(plugins.load(plugins.ENGINES, engine), Remote):
            raise ConfigError(
                f"--max-usd is for a judge that costs money, and the engine {engine!r} of [judge] "
                "runs here and costs nothing; leave it out"
            )
    return capped(config, max_usd)


def _reports(record: RunRecord) -> Sequence[Choice]:
    """Read which reports a record's request asks for, or take the default ones."""
    # Without what the store pinned beside it.
    asked = {key: value for key, value in record.request.items() if key != "contents"}
    try:
        return validate(RunConfig, asked, "the run's request").reports
    except ConfigError as error:
        typer.echo(f"harness: {error}; its reports are the default ones", err=True)
        default: Sequence[Choice] = RunConfig.model_fields["reports"].default
        return default


def _report(choices: Sequence[Choice], record: RunRecord, store: Store) -> None:
    """Render every report that is chosen, show what can be shown, and say where each is."""
    reports = [plugins.build(plugins.REPORTS, choice).plugin for choice in choices]
    written = [report.render(record, store.folder) for report in reports]
    for report in reports:
        if isinstance(report, ShownReport):
            report.show(record, Console())
    for path in written:
        typer.echo(path)


def _version(value: bool) -> None:
    if value:
        typer.echo(version("self-rewarding-harness"))
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """Measure language models, and improve them between measurements."""


def main() -> None:
    """Run the command line: an expected error is one line, not a traceback."""
    try:
        app()
    except HarnessError as error:
        # It may name what is in somebody's files, which must not steer the terminal.
        sys.exit(f"harness: {printable(str(error))}")
