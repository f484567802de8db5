"""`harness submit`: pack a model's results for a leaderboard, and check such a pack.

harness submit alpaca_eval runs/micro --model M3 --name my-model --link https://...
harness submit check submissions/alpaca_eval/my-model

There is a command for every submission that is installed; its own options are those of its
`Config`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from harness import plugins
from harness.config import validate
from harness.errors import ConfigError, DataError
from harness.store import Store
from harness.submissions import bundles
from harness.submissions.bundles import Checked
from harness.submissions.entries import entry

DEFAULT_OUT = Path("submissions")


class Submissions(TyperGroup):
    """Commands that are there, and one for every submission that is installed."""

    def list_commands(self, ctx: Any) -> list[str]:
        """List them by name, without importing any."""
        installed = [found.name for found in plugins.installed(plugins.SUBMISSIONS)]
        return [*installed, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Make the command of a submission."""
        there = super().get_command(ctx, cmd_name)
        names = [found.name for found in plugins.installed(plugins.SUBMISSIONS)]
        return _command(cmd_name) if there is None and cmd_name in names else there


submit = typer.Typer(
    cls=Submissions,
    help="Pack a model's results for a leaderboard, and check such a pack.",
    no_args_is_help=True,
)


@submit.callback()
def options() -> None:
    """Pack a model's results for a leaderboard, and check such a pack."""


@submit.command("check")
def check_bundle(
    folder: Annotated[Path, typer.Argument(help="A bundle, of any kind and whoever wrote it.")],
) -> None:
    """Apply a leaderboard's rules to a bundle; exit with an error where one is broken."""
    _show(bundles.check(folder), folder)


def _command(kind: str) -> Any:
    plugin = plugins.load(plugins.SUBMISSIONS, kind)
    fields = plugin.Config.model_fields.items()
    own = [f"--{key.replace('_', '-')}: {field.description or 'a text'}" for key, field in fields]
    about = (plugin.__doc__ or "").strip().partition("\n")[0]
    maker = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

    def write(
        ctx: typer.Context,
        run: Annotated[Path, typer.Argument(help="A run's folder.")],
        model: Annotated[
            str | None, typer.Option(help="Which of its models; the last one without it.")
        ] = None,
        name: Annotated[
            str | None, typer.Option(help="What it shall be called; as in the run without it.")
        ] = None,
        out: Annotated[
            Path | None, typer.Option(help=f"A folder; {DEFAULT_OUT}/{kind}/NAME without it.")
        ] = None,
    ) -> None:
        chosen = entry(Store(run), model, name)
        config = validate(plugin.Config, _own_options(ctx.args), f"submission {kind}")
        folder = out or DEFAULT_OUT / kind / chosen.name.replace("/", "__")
        bundles.write(kind, plugin(config), chosen, folder)
        typer.echo(f"{chosen.model.name} of {run} as {chosen.name}: {folder}")
        _show(bundles.check(folder), folder)

    maker.command(
        kind,
        help="\n\n".join([about, f"It goes to {plugin.target}.", *own]),
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )(write)
    return typer.main.get_command(maker)


def _own_options(words: Sequence[str]) -> dict[str, str]:
    """Read `--key value` and `--key=value`."""
    found, left = dict[str, str](), list(words)
    while left:
        key, given, value = left.pop(0).partition("=")
        if not key.startswith("--") or not (given or left):
            raise ConfigError(f"{key!r} is not understood; options are written --key value")
        found[key.removeprefix("--").replace("-", "_")] = value if given else left.pop(0)
    return found


def _visible(text: str) -> str:
    """Keep what a file says from steering the terminal."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


def _show(checked: Checked, folder: Path) -> None:
    """Print every rule and where the bundle goes; raise where one is broken."""
    table = Table("rule", "state", box=None)
    table.add_column("detail", overflow="fold")
    for rule in checked.rules:
        table.add_row(rule.name, rule.state, _visible(rule.detail))
    width = None if sys.stdout.isatty() else 200
    Console(width=width, markup=False, emoji=False, highlight=False).print(table)
    differs, broken = checked.of("differs"), checked.of("broken")
    protocol = (
        f"the protocol differs in {len(differs)} of {len(checked.rules)} points from the official "
        "one: its figures are not comparable with published ones"
        if differs
        else "by the official protocol, as far as can be told"
    )
    typer.echo(f"{checked.submission}: {protocol}")
    typer.echo(f"{checked.submission} goes to {checked.target}")
    if broken:
        raise DataError(
            f"{folder} breaks {len(broken)} of {len(checked.rules)} rules: "
            f"{', '.join(dict.fromkeys(rule.name for rule in broken))}; see the table above"
        )
