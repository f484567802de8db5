"""Find out, before anything is measured, whether a model on a server can be asked at all.

    check(ModelRef(location="gpt-6-sol"), ...)     Preflight(served="gpt-6-sol-2026-05-01", ...)

What was found out is in the books at once: every call in the ledger, whatever came of it, and the
rest in `checked-gpt-6-sol.json`.
"""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import httpx2

from harness.engines.openai import OpenAI
from harness.errors import BudgetExceeded, JudgeUnavailable
from harness.records import ModelRef
from harness.remote import accounts, endpoint
from harness.remote.accounts import Accounts
from harness.remote.calls import Call
from harness.remote.client import Client
from harness.remote.endpoint import Endpoint
from harness.remote.preflight import Preflight, preflight
from harness.store import write_json

_CHECK = "check"
"""What the calls of a check are called in the ledger."""

_log = logging.getLogger(__name__)


def check(model: ModelRef, config: OpenAI.Config, books: Path | None) -> Preflight | None:
    """Find out whether a model can be asked; None where nothing was left to pay that with.

    Raises:
        JudgeUnavailable: no key, no such model, shut down, or not the one that answered before.
        ConfigError: a cap on the cost was set, and what a call costs is not known.
        StoreError: the books cannot be read or written.
    """
    server = endpoint.find(config.base_url, config.key)
    account = accounts.find(model, config, server, books)
    served = account.served
    try:
        found = asyncio.run(_preflight(model, config, server, account))
    finally:
        account.close()
    if found is None:
        _log.warning(
            "$%.4f of $%g are spent: whether %s answers at %s was not tried",
            account.spent,
            account.most,
            model.location,
            server.host,
        )
        return None
    if model.revision is None and served not in (None, found.served):
        raise JudgeUnavailable(
            f"{model.location} was {served} so far, but now {found.served} answers at "
            f"{server.host}; judges are not mixed: begin a new run, or wait until it is back and "
            "give the same command"
        )
    if found.warning:
        _log.warning("%s", found.warning)
    if books is not None:
        name = "".join(c if c.isalnum() or c in ".-" else "_" for c in model.location)
        write_json(books / f"checked-{name}.json", found.model_dump(mode="json"))
    return found


async def _preflight(
    model: ModelRef, config: OpenAI.Config, server: Endpoint, account: Accounts
) -> Preflight | None:
    def afford(body: dict[str, Any]) -> None:
        if not account.affords(Call(_CHECK, body)):
            raise BudgetExceeded("nothing is left for the check")

    async def note(response: httpx2.Response) -> None:
        if response.request.method == "POST":
            await response.aread()
            call = Call(_CHECK, json.loads(response.request.content))
            account.take_up(call, client.heard(response, response.elapsed.total_seconds()))

    client = Client(server, config.calls.timeout, listener=note)
    try:
        return await preflight(
            client.openai,
            model.location,
            model.revision,
            config.reasoning_effort,
            config.prices,
            server.refused,
            afford,
        )
    except BudgetExceeded:
        return None
    except JudgeUnavailable as error:
        raise JudgeUnavailable(server.scrub(str(error))) from None
    finally:
        await client.close()
