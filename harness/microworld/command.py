"""`harness microworld`: what the embedded world is made of, and how M0 is made again."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

microworld = typer.Typer(help="The embedded world: rebuild its M0.", no_args_is_help=True)


@microworld.callback()
def options() -> None:
    """The embedded world: rebuild its M0."""
