"""`harness judge`: can a judge on a server be asked, what would it cost, what has it cost.

harness judge check gpt-6-sol --effort none
harness judge cost --models 4 --judge gpt-6-sol --judge gpt-6-luna
harness judge ledger runs/micro
"""

import asyncio
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from harness.config import validate
from harness.console import print_table
from harness.engines.openai import OpenAI
from harness.errors import StoreError
from harness.protocols import Workload
from harness.remote import endpoint, ledger, prices
from harness.remote.estimate import PROFILED, estimate, full_run, total
from harness.remote.families import family
from harness.remote.ledger import LEDGER, Summary
from harness.remote.prices import Price
from harness.store import Store

if TYPE_CHECKING:
    from harness.remote.preflight import Preflight

judge = typer.Typer(
    help="Judges on servers: check one, what it will cost, what it has cost.", no_args_is_help=True
)

Prices = Annotated[Path | None, typer.Option("--prices", help="A file with prices of your own.")]


@judge.callback()
def options() -> None:
    """Judges on servers: check one, what it will cost, what it has cost."""


@judge.command()
def check(
    model: Annotated[str, typer.Argument(help="The model to ask for.")],
    base_url: Annotated[
        str | None, typer.Option(help="Up to and with /v1; OPENAI_BASE_URL or OpenAI without it.")
    ] = None,
    key: Annotated[
        str, typer.Option(help="The environment variable that holds the key.")
    ] = "OPENAI_API_KEY",
    pin: Annotated[str | None, typer.Option(help="The model that must answer.")] = None,
    effort: Annotated[str | None, typer.Option(help="The reasoning_effort, e.g. none.")] = None,
    own_prices: Prices = None,
) -> None:
    """Ask a server once whether a model is there, until when, and what it can tell."""
    config = validate(
        OpenAI.Config,
        {"base_url": base_url, "key": key, "reasoning_effort": effort, "prices": own_prices},
        "harness judge check",
    )
    found = asyncio.run(_preflight(model, pin, config))
    price = prices.find(model, config.prices)
    table = Table("what", "found", box=None)
    table.add_row("model", found.model)
    table.add_row("listed", "yes" if found.exists else "unknown: the server has no list")
    table.add_row("answers as", found.served + (", as pinned" if pin else ""))
    table.add_row("fingerprint", found.system_fingerprint or "none")
    table.add_row("shut down", "no day known" if found.shutdown is None else f"on {found.shutdown}")
    table.add_row("log-probabilities", "yes" if found.logprobs else "no: verdicts are discrete")
    table.add_row("price", _priced(price, config.prices))
    print_table(table)
    if found.warning:
        typer.echo(f"warning: {found.warning}", err=True)


async def _preflight(model: str, pin: str | None, config: OpenAI.Config) -> "Preflight":
    [server] = endpoint.find_all(config.base_urls, config.key)
    client = import_module("harness.remote.client").Client(server, config.calls.timeout)
    preflight = import_module("harness.remote.preflight").preflight
    try:
        found: Preflight = await preflight(
            client.openai,
            model,
            pin,
            config.reasoning_effort,
            config.prices,
            refused=server.refused,
        )
        return found
    finally:
        await client.close()


def _priced(price: Price | None, own: Path | None) -> str:
    if price is None:
        return f"unknown; give it in a file of your own (--prices, or {prices.OVERRIDE})"
    return (
        f"${price.input:g} in, ${price.output:g} out per million tokens "
        f"({prices.dated(own)}, to verify)"
    )


@judge.command()
def cost(
    judges: Annotated[list[str], typer.Option("--judge", help="A model; may be given again.")],
    models: Annotated[int, typer.Option(min=1, help="How many models are evaluated.")] = 4,
    batch: Annotated[bool, typer.Option("--batch", help="Through the Batch API.")] = False,
    own_prices: Prices = None,
) -> None:
    """Estimate what a full run of all five evaluations asks of a judge, and what that costs."""
    asked = full_run(models)
    priced = [(name, prices.find(name, own_prices)) for name in judges]
    table = Table("evaluation", "calls", "tokens in", "tokens out", *judges, box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for evaluation, calls in asked.items():
        table.add_row(evaluation, *_row(calls, priced, batch))
    table.add_section()
    table.add_row("total", *_row(total(asked.values()), priced, batch))
    print_table(table)
    typer.echo(
        f"{models} models; typical sizes of {PROFILED}, nothing cached; prices of "
        f"{prices.dated(own_prices)}, to verify{', through the Batch API' if batch else ''}"
    )
    for name, price in priced:
        if price is None:
            typer.echo(f"{name}: price unknown; give it in a file named by {prices.OVERRIDE}")
        if family(name).reasons(None):
            typer.echo(f"{name}: without its thoughts, which are paid for where it reasons")


def _row(calls: Workload, priced: list[tuple[str, Price | None]], batch: bool) -> list[str]:
    if not calls.calls:
        return ["-"] * (3 + len(priced))
    return [
        f"{calls.calls:,}",
        f"{calls.input_tokens:,}",
        f"{calls.output_tokens:,}",
        *(_dollars(estimate(calls, price, batch).dollars) for _, price in priced),
    ]


@judge.command("ledger")
def show_ledger(
    folder: Annotated[Path, typer.Argument(help="A run's folder.")],
) -> None:
    """Say what a run has asked of models on servers, what came of it, and what it cost."""
    path = Store(folder).books / LEDGER
    if not path.exists():
        raise StoreError(f"{folder} has no ledger ({path}): no model on a server was asked there")
    entries = sorted(ledger.read(path), key=lambda entry: (entry.host, entry.model))
    table = Table("model", "at", "answers as", "calls", "tokens in", "out", "cost", box=None)
    for (host, model), made in groupby(entries, key=lambda entry: (entry.host, entry.model)):
        table.add_row(model, host, *_summed(ledger.summary(made)))
    print_table(table)


def _summed(summary: Summary) -> list[str]:
    calls = ", ".join(f"{count:,} {status}" for status, count in sorted(summary.calls.items()))
    cost = "unknown" if summary.dollars is None else f"${summary.dollars:,.4f}"
    if summary.dollars is not None and summary.unpriced:
        cost += f", and unknown for {summary.unpriced:,} more"
    return [
        ", ".join(summary.served) or "nothing",
        calls,
        f"{summary.input_tokens:,} ({summary.cached_tokens:,} cached)",
        f"{summary.output_tokens:,} ({summary.reasoning_tokens:,} thoughts)",
        cost,
    ]


def _dollars(value: float | None) -> str:
    return "unknown" if value is None else f"${value:,.2f}"
