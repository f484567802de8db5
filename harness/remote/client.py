"""One call over HTTP, by the `openai` package: what came back, whatever it was.

    client = Client(endpoint, timeout=60)
    await client.ask({"model": "gpt-6-sol", "messages": [...]})     Heard(http=200, body={...})
    await client.ask({"model": "my-llama", "prompt": "Once"})       Heard(lost="time_out")

Nothing is raised, nothing tried again and nothing understood here: see `live` and `replies`.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import httpx2
import openai
from openai import AsyncOpenAI, DefaultAioHttpClient

from harness.remote.endpoint import Endpoint
from harness.remote.replies import Heard

Listener = Callable[[httpx2.Response], Awaitable[None]]
_CONNECT = 15.0  # seconds; a server that is there answers sooner
_CHAT, _TEXT = "/chat/completions", "/completions"
_NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


class Client:
    """Calls a server, through one pool of connections."""

    def __init__(
        self, endpoint: Endpoint, timeout: float, listener: Listener | None = None
    ) -> None:
        """Make a client.

        Args:
            endpoint: The server, and the key to it.
            timeout: Seconds that one call may take.
            listener: Is shown every response that comes, also those to the package's own calls.
        """
        self._endpoint, self._timeout = endpoint, timeout
        self.openai = AsyncOpenAI(
            api_key=endpoint.key,
            base_url=endpoint.base_url,
            max_retries=0,
            timeout=httpx2.Timeout(timeout, connect=min(timeout, _CONNECT)),
            # Takes a third less time than the package's other transport, which matters where
            # hundreds of calls a second come back.
            http_client=DefaultAioHttpClient(
                event_hooks={"response": [listener] if listener else []}
            ),
        )

    async def ask(self, body: Mapping[str, Any]) -> Heard:
        """Make one call."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._post(body)
        except (TimeoutError, openai.OpenAIError, httpx2.HTTPError, aiohttp.ClientError) as error:
            return self._lost(error, time.monotonic() - began)
        return self.heard(response, time.monotonic() - began)

    async def _post(self, body: Mapping[str, Any]) -> httpx2.Response:
        # The package's own door to an endpoint, past its typed parameters and responses: they take
        # longer than all else together, and what servers write is read with more care in `replies`.
        path = _CHAT if "messages" in body else _TEXT
        try:
            return await self.openai.post(path, cast_to=httpx2.Response, body=dict(body))
        except openai.APIStatusError as error:
            return error.response

    def _lost(self, error: Exception, seconds: float) -> Heard:
        """Say why no answer came: the causes of an error know, it is itself but a translation."""
        chain: list[BaseException] = [error]
        while chain[-1].__cause__ is not None:
            chain.append(chain[-1].__cause__)
        timed_out = any(isinstance(one, TimeoutError) for one in chain)
        # aiohttp says of every server that certificates would be checked as usual.
        why = str(chain[-1]).replace(" ssl:default", "") or type(chain[-1]).__name__
        return Heard(
            lost="time_out" if timed_out else "connection",
            text=self._endpoint.scrub(why),
            sent=not any(isinstance(one, _NOT_SENT) for one in chain),
            seconds=seconds,
        )

    def heard(self, response: httpx2.Response, seconds: float) -> Heard:
        """Take down a response that was read."""
        text = self._endpoint.scrub(response.content.decode(errors="replace"))
        body = None
        with suppress(ValueError, RecursionError):
            body = json.loads(text)
        return Heard(
            http=response.status_code,
            body=body,
            text=text if body is None else "",
            pause=_pause(response.headers),
            version=response.headers.get("openai-version"),
            seconds=seconds,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self.openai.close()


def _pause(headers: Mapping[str, str]) -> float | None:
    """Read for how many seconds the server wants to be left alone, in any way it may say so."""
    with suppress(KeyError, ValueError):
        return max(0.0, float(headers["retry-after-ms"]) / 1000)
    asked = headers.get("retry-after", "")
    with suppress(ValueError):
        return max(0.0, float(asked))
    with suppress(ValueError):
        until = parsedate_to_datetime(asked)
        return max(0.0, (until - datetime.now(UTC)).total_seconds())
    return None
