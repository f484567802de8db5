"""Find out, before anything is measured, whether a model on a server can be asked at all.

    check(ModelRef(location="gpt-6-sol"), ...)     Preflight(served="gpt-6-sol-2026-05-01", ...)

Of a pool every server is asked. One that does not answer is only warned about while others do; one
that answers with another model, or not with this one, would spoil what the others say.

What was found out is in the books at once: every call in the ledger, whatever came of it, and the
rest in `checked-gpt-6-sol.json`.
"""

import asyncio
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2

from harness.engines.openai import OpenAI
from harness.errors import BudgetExceeded, JudgeUnavailable
from harness.files import write_json
from harness.records import ModelRef
from harness.remote import accounts, endpoint
from harness.remote.accounts import Accounts
from harness.remote.calls import Call
from harness.remote.client import Client
from harness.remote.endpoint import Endpoint
from harness.remote.preflight import Preflight, Unreachable, preflight

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
    servers = endpoint.find_all(config.base_urls, config.key)
    host = endpoint.called(servers)
    account = accounts.find(model, config, host, books)
    served = account.served
    try:
        found = asyncio.run(_of_all(model, config, servers, account))
    finally:
        account.close()
    if found is None:
        _log.warning(
            "$%.4f of $%g are spent: whether %s answers at %s was not tried",
            account.spent,
            account.most,
            model.location,
            host,
        )
        return None
    if model.revision is None and served not in (None, found.served):
        raise JudgeUnavailable(
            f"{model.location} was {served} so far, but now {found.served} answers at "
            f"{host}; judges are not mixed: begin a new run, or wait until it is back and "
            "give the same command"
        )
    if found.warning:
        _log.warning("%s", found.warning)
    if books is not None:
        name = "".join(c if c.isalnum() or c in ".-" else "_" for c in model.location)
        write_json(books / f"checked-{name}.json", found.model_dump(mode="json"))
    return found


async def _of_all(
    model: ModelRef, config: OpenAI.Config, servers: Sequence[Endpoint], account: Accounts
) -> Preflight | None:
    """Ask every server of a pool; say what holds for all that answered."""
    asked = [_preflight(model, config, server, account) for server in servers]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    gone = [answer for answer in answers if isinstance(answer, Unreachable)]
    for answer in answers:
        if isinstance(answer, BaseException) and answer not in gone:
            raise answer
    if len(gone) == len(servers):
        raise gone[0] if len(gone) == 1 else Unreachable("; ".join(map(str, gone)))
    if gone:
        _log.warning(
            "%d of %d servers do not answer, and the others make their calls: %s",
            len(gone),
            len(servers),
            "; ".join(map(str, gone)),
        )
    found = {
        server.host: answer
        for server, answer in zip(servers, answers, strict=True)
        if isinstance(answer, Preflight)
    }
    if not found:
        return None
    if len({answer.served for answer in found.values()}) > 1:
        answered = ", ".join(f"{answer.served} at {host}" for host, answer in found.items())
        raise JudgeUnavailable(
            f"the servers of base_url answer to {model.location} as different models ({answered}); "
            "name those that serve the same one"
        )
    first, *_ = found.values()
    contexts = [answer.context for answer in found.values() if answer.context]
    return first.model_copy(
        update={
            "logprobs": all(answer.logprobs for answer in found.values()),
            "context": min(contexts, default=None),
        }
    )


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
        raise type(error)(server.scrub(str(error))) from None
    finally:
        await client.close()
