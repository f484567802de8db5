"""`harness plan`: what a request will take, before anything is spent."""

import json
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue
from rich.console import Console

from harness import machine
from harness.config import folder_of, presets, read_config
from harness.console import as_wide_as_needed
from harness.planning import show
from harness.records import Plan
from harness.store import Store

_WIDE = 120
"""Columns that the whole table of parts takes, about."""


def plan(
    request: Annotated[
        str, typer.Argument(help=f"A TOML file, or one of: {', '.join(presets())}.")
    ] = "micro",
    iterations: Annotated[int | None, typer.Option(help="How often to train.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the training.")] = None,
    gpu: Annotated[
        str | None, typer.Option(help="Plan for this GPU, e.g. H100, instead of this machine.")
    ] = None,
    gpus: Annotated[int | None, typer.Option(min=1, max=10**6, help="How many of them.")] = None,
    tensor_parallel: Annotated[
        int | None, typer.Option(min=1, help="GPUs a replica; as few as will do without it.")
    ] = None,
    usd_per_gpu_hour: Annotated[
        float | None, typer.Option(min=0, max=1e6, help="What one costs.")
    ] = None,
    machine_memory: Annotated[
        float | None, typer.Option(min=1, max=1e6, help="GB of each machine, beside its GPUs'.")
    ] = None,
    like: Annotated[
        Path | None, typer.Option(help="A run like this one, whose lengths and times are known.")
    ] = None,
    pilot: Annotated[
        bool, typer.Option("--pilot", help="Measure: ask the real model, train a few steps.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder to be; runs/REQUEST without it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say what a run will take: rows, tokens, hours, memory, disk, money, stage by stage."""
    machine.use_threads(machine.choose_threads())
    config = read_config(request, {"iterations": iterations, "seed": seed})
    store = Store(out or folder_of(request))
    # By name: what is behind it reads models' files, which takes a second to import.
    planning = import_module("harness.planning.plan")
    memory = None if machine_memory is None else round(machine_memory * 1e9)
    fleet = planning.Fleet.of(gpu, gpus, tensor_parallel, usd_per_gpu_hour, memory)
    with Console(stderr=True).status("trying the run out" if pilot else "going through the run"):
        made: Plan = planning.plan_for(config, fleet, store.folder, like, pilot)
    if gpu is not None and not pilot:  # the disk that is meant is elsewhere, too
        made = made.model_copy(update={"disk_free": None})
    if as_json:
        typer.echo(json.dumps(_summary(made) | made.model_dump(mode="json"), indent=1))
    else:
        _show(made)
    if not store.keep_plan(made):  # after it was said, as a full disk may refuse it
        typer.echo(
            f"{store.folder} holds a run already, which keeps the plan it began with", err=True
        )


def _summary(made: Plan) -> dict[str, JsonValue]:
    """What a script wants to know first."""
    warnings = [line for line in show.headlines(made) if line.startswith(show.DOES_NOT_FIT)]
    unknown = any(need.fits is None for need in made.memory)
    fits = False if warnings else None if unknown else True
    known = {str(one.stage): show.seconds_known(one) for one in made.stages}
    return {
        "fits": fits,
        "does_not_fit": [*warnings],
        "seconds": made.seconds,
        "seconds_known": sum(known.values()),
        "stage_seconds_known": {**known},
        "gpu_hours": made.gpu_hours,
    }


def _show(made: Plan) -> None:
    console = as_wide_as_needed()
    for line in show.headlines(made):
        console.print(line)
    console.print()
    console.print(show.parts(made, narrow=console.width < _WIDE))
    console.print()
    console.print(show.memory(made))
    console.print()
    console.print(show.disk(made))
    if made.judge:
        console.print(f"judge: {made.judge}")
    if made.assumptions:
        console.print("taken for granted:")
    for note in made.assumptions:
        console.print(f"- {note}")
