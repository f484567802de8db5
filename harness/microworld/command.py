"""`harness microworld`: how the embedded world's M0 is made again."""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from harness import machine

M0_STEPS = 6133
"""What the shipped M0 was pretrained for."""

microworld = typer.Typer(help="The embedded world: rebuild its M0.", no_args_is_help=True)


@microworld.callback()
def options() -> None:
    """The embedded world: rebuild its M0."""


@microworld.command()
def pretrain(
    out: Annotated[Path, typer.Option(help="Working folder; a checkpoint in it is continued.")],
    steps: Annotated[int, typer.Option(help="Of 8,192 tokens; the default made M0.")] = M0_STEPS,
    seed: Annotated[int, typer.Option(help="Of the initial weights and the corpus.")] = 0,
) -> None:
    """Rebuild M0 from a seed; the folder it prints can be a request's model.location."""
    threads = machine.choose_threads()
    machine.use_threads(threads)
    pretraining = import_module("harness.microworld.pretrain")  # imports torch

    def say(progress: Any) -> None:
        if progress.step % 50 == 0:
            typer.echo(
                f"step {progress.step} of {progress.steps}  loss {progress.loss:.3f}  "
                f"{progress.tokens_per_second:.0f} tokens/s"
            )

    typer.echo(pretraining.pretrain(out, steps, seed, threads=threads.count, on_step=say))
