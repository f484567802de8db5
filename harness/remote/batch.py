"""The Batch API: many calls in a file, answered within a day at half the price.

    async for key, heard in Batches(client, folder, ...).ask({"9b74c9": body, "51eb4a": body, ...}):
        "51eb4a", Heard(http=200, body={"model": "gpt-6-luna", "choices": [...], ...})
        "9b74c9", Heard(lost="time_out", text="batch_expired: ...", sent=False)

What was sent is on disk before it is waited for, so that a process that was killed finds its
batches again and no call is paid for twice:

    folder/batches.jsonl    file/<file>       the keys of the calls in an uploaded file
                            batch/<file>      the batch that carries it out
                            read/<file>/<n>   the keys that were handed out when n were left

A batch is created only after the server was asked whether it has one for the file: neither a kill
between its creation and the line on disk, nor an answer lost on the way, makes a second one.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Set
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import openai
from openai import AsyncOpenAI
from openai.types import Batch

from harness.errors import JudgeUnavailable
from harness.remote.replies import Heard
from harness.rows import RowLog

LINES = 50_000
"""The most calls that a file may hold."""
BYTES = 200_000_000
"""The most that a file may weigh."""
ENDPOINT: Final = "/v1/chat/completions"
EVERY = 30.0
"""Seconds between two looks at how far a batch is."""
_ENDED = {"completed", "failed", "expired", "cancelled"}


class Batches:
    """The batches of one folder."""

    def __init__(
        self, client: AsyncOpenAI, folder: Path, attempts: int, scrub: Callable[[str], str]
    ) -> None:
        """Find earlier batches again.

        Args:
            client: For the server, with its key.
            folder: Where to remember what was sent.
            attempts: How often to ask what fails for a passing cause.
            scrub: Takes the key out of what the server writes.

        Raises:
            StoreError: the folder cannot be read or written.
        """
        self._client = client.with_options(max_retries=attempts - 1)
        self._once = client.with_options(max_retries=0)
        self._log = RowLog(folder / "batches.jsonl")
        self._owed: dict[str, Set[str]] = {}
        """By file, the keys whose results were not handed out yet."""
        for key, row in self._log.items():
            kind, file, *_ = key.split("/")
            if kind == "file":
                self._owed[file] = frozenset(row)
            elif kind == "read":
                self._owed[file] -= frozenset(row)
        self._attempts, self._scrub = attempts, scrub

    def close(self) -> None:
        """Close the file on disk; what is under way stays so."""
        self._log.close()

    @property
    def under_way(self) -> Set[str]:
        """The keys of calls that were sent, and whose results were not handed out yet."""
        return {key for keys in self._owed.values() for key in keys}

    async def ask(self, bodies: Mapping[str, dict[str, Any]]) -> AsyncIterator[tuple[str, Heard]]:
        """Have one model answer calls, yielding what came back of each, in any order.

        Calls that an earlier process sent are waited for, not sent again.

        Args:
            bodies: By key, the parameters of a chat completion; a key means the same for good.

        Raises:
            JudgeUnavailable: a whole batch was refused, or is not there any more.
            openai.OpenAIError: the server cannot be reached, or has no Batch API.
        """
        sent = self.under_way
        for lines in _packed({key: body for key, body in bodies.items() if key not in sent}):
            await self._upload(lines)
        wanted = [file for file, keys in self._owed.items() if keys & bodies.keys()]
        waiting = {file: await self._batch(file) for file in wanted}
        while waiting:
            for file, id in list(waiting.items()):
                try:
                    batch = await self._client.batches.retrieve(id)
                    if batch.status not in _ENDED:
                        continue
                    results = [result async for result in self._results(file, batch)]
                except openai.NotFoundError as error:
                    raise JudgeUnavailable(self._gone(id)) from error
                if batch.status == "failed":
                    self._handed_out(file, self._owed[file])
                    raise JudgeUnavailable(self._scrub(_refusal(batch)))
                for key, heard in results:
                    if key in bodies:
                        yield key, heard
                self._handed_out(file, self._owed[file] & bodies.keys())
                del waiting[file]
            if waiting:
                await asyncio.sleep(EVERY)

    def _handed_out(self, file: str, keys: Set[str]) -> None:
        """Note that results are in other hands. Those nobody has asked for yet stay owed."""
        self._log.append(f"read/{file}/{len(self._owed[file])}", sorted(keys))
        self._owed[file] = self._owed[file] - keys

    async def _upload(self, lines: Mapping[str, bytes]) -> None:
        file = await self._client.files.create(
            file=("calls.jsonl", b"".join(lines.values())), purpose="batch"
        )
        self._log.append(f"file/{file.id}", list(lines))
        self._owed[file.id] = lines.keys()

    async def _batch(self, file: str) -> str:
        """Find the batch that carries a file out, or create it."""
        if f"batch/{file}" not in self._log:
            self._log.append(f"batch/{file}", await self._created(file))
        id: str = self._log[f"batch/{file}"]
        return id

    async def _created(self, file: str) -> str:
        """Create a batch once: a creation that seems to have failed is looked for first."""
        for attempt in range(self._attempts):
            async for batch in self._client.batches.list(limit=100):
                if batch.input_file_id == file:
                    return batch.id
            try:
                created = await self._once.batches.create(
                    input_file_id=file, endpoint=ENDPOINT, completion_window="24h"
                )
                return created.id
            except (openai.APIConnectionError, openai.InternalServerError, openai.RateLimitError):
                if attempt + 1 == self._attempts:
                    raise
                await asyncio.sleep(min(EVERY, 2.0**attempt))
        raise AssertionError("there is at least one attempt")

    async def _results(self, file: str, batch: Batch) -> AsyncIterator[tuple[str, Heard]]:
        """Read what came back of every call of a batch."""
        missing = set(self._owed[file])
        for results in (batch.output_file_id, batch.error_file_id):
            if results is None:
                continue
            content = await self._client.files.content(results)
            for key, heard in _read(self._scrub(content.text)):
                if key in missing:
                    missing.remove(key)
                    yield key, heard
        for key in missing:
            heard = _never_made(f"batch_{batch.status}", "no result of this call")
            # Of a completed batch it may have been made, and must be paid for.
            yield key, replace(heard, sent=batch.status == "completed")

    def _gone(self, id: str) -> str:
        return (
            f"the server has no batch {id}, or not its results any more, and {self._log.path} says "
            "that it was sent: give the key of the account that sent it, or delete that file to "
            "have its calls made, and paid for, again"
        )


def _packed(bodies: Mapping[str, dict[str, Any]]) -> Iterator[dict[str, bytes]]:
    """Write calls as lines, in as few files as the limits allow."""
    pack: dict[str, bytes] = {}
    weight = 0
    for key, body in bodies.items():
        call = {"custom_id": key, "method": "POST", "url": ENDPOINT, "body": body}
        line = json.dumps(call).encode() + b"\n"
        if pack and (len(pack) == LINES or weight + len(line) > BYTES):
            yield pack
            pack, weight = {}, 0
        pack[key] = line
        weight += len(line)
    if pack:
        yield pack


def _read(text: str) -> Iterator[tuple[str, Heard]]:
    """Read the lines of a file of results; what is none is left out, and so its call missing."""
    for line in text.split("\n"):
        try:
            entry = json.loads(line)
            key = str(entry["custom_id"])
            response, error = entry.get("response"), entry.get("error")
            if response:
                yield key, Heard(http=response["status_code"], body=response["body"])
            elif error:
                yield key, _never_made(error["code"], error["message"])
        except (ValueError, TypeError, KeyError, AttributeError):
            continue


def _never_made(code: str, message: str) -> Heard:
    return Heard(
        lost="cancelled" if code == "batch_cancelled" else "time_out",
        text=f"{code}: {message}",
        sent=False,
    )


def _refusal(batch: Batch) -> str:
    """Say why a whole batch was refused."""
    errors = (batch.errors and batch.errors.data) or []
    why = "; ".join(f"{error.code}: {error.message}" for error in errors[:3]) or "it does not say"
    return f"the server refused batch {batch.id} ({why})"
