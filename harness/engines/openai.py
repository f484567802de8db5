"""The `openai` engine: models behind any OpenAI-compatible server (OpenAI, vLLM, SGLang ...).

    [judge.engine]
    name = "openai"
    base_url = "http://127.0.0.1:8000/v1"     # without it: OPENAI_BASE_URL, or OpenAI itself
    calls = { concurrency = 64 }
    guards = { max_usd = 5.0 }
    [judge.model]
    name = "judge"
    location = "gpt-6-sol"                    # the model that is asked for
    revision = "gpt-6-sol-2026-05-01"         # the model that must answer; any without it

`base_url` may name several servers that serve the same model, replicas of `vllm serve`, say:

    base_url = ["http://10.0.0.1:8000/v1", "http://10.0.0.2:8000/v1"]

Each is asked `calls.concurrency` at once. One that goes away has its calls made by the others, and
is tried again later. Which of them answered makes no difference to the books, nor to a result.

The key is read from the environment alone: `key` names the variable. What `calls` and `guards` say
may change between two attempts of a run; everything else is part of the judge.

The model that is measured may be on a server as well, where the run does not train it. Benchmarks
that score given answers need a server that completes plain text and reads it back, as vLLM and
SGLang do. A server may have sampling defaults that no request overrides, from the model's
`generation_config.json`, say: start vLLM with `--generation-config vllm`.

    [engine]
    name = "openai"
    base_url = "http://127.0.0.1:8000/v1"
    [model]
    location = "my-llama"

This is the door only: what is behind it (`harness.remote`) takes a second to import.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, model_validator

from harness.protocols import Request, Workload
from harness.records import ModelRef, Record
from harness.remote import families, prices
from harness.remote.calls import begun, chat
from harness.remote.estimate import estimate

if TYPE_CHECKING:
    from harness.remote.model import RemoteModel
    from harness.remote.preflight import Preflight

_VARIABLE = re.compile(r"(?!.*[A-Z0-9]{20})[A-Z_][A-Z0-9_]*")
"""A variable's name. Neither small letters nor long runs: those are keys."""


class Calls(Record):
    """How fast to call, and how patiently."""

    concurrency: int = Field(default=32, ge=1)
    """The most calls at once of each server; fewer where it throttles them."""
    timeout: float = Field(default=300, gt=0)
    """Seconds for one call, from its start to the last byte."""
    attempts: int = Field(default=6, ge=1)
    """How often to make a call that fails for a passing cause."""
    backoff: float = Field(default=0.5, ge=0)
    """Seconds to wait at most before the second attempt; doubled before each further one."""


class Guards(Record):
    """When to stop."""

    max_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """The most that the calls of the whole run may cost, earlier attempts included."""
    unanswered: Literal["stop", "count"] = "stop"
    """What to do about rows that the server did not answer: stop the run once all others are
    there, to ask for them again with the same command; or count them as failures."""


class OpenAI:
    """Opens models that are on somebody's server."""

    light: ClassVar[bool] = True

    class Config(Record):
        """Which server, and how to ask it."""

        model_config = ConfigDict(hide_input_in_errors=True)

        base_url: str | tuple[str, ...] | None = None
        """Up to and with `/v1`, of one server or of all in a pool. None: OPENAI_BASE_URL, or else
        OpenAI."""
        key: str = "OPENAI_API_KEY"
        """The environment variable that holds the key; a server of your own may need none."""
        reasoning_effort: (
            Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None
        ) = None
        """For models that reason; None is the server's default."""
        answers: Path | None = None
        """A file with answers that several runs share. None: the run's own."""
        prices: Path | None = None
        """A file with prices of your own, laid over those that come with the harness."""
        batch: bool = False
        """Whether to ask through the Batch API: at half the price, within a day."""
        calls: Calls = Calls()
        guards: Guards = Guards()

        @model_validator(mode="after")
        def _holds_no_secret(self) -> "OpenAI.Config":
            # On the whole table, not on its fields: an error about a field would quote it.
            if not _VARIABLE.fullmatch(self.key):
                raise ValueError(
                    "'key' must be the name of an environment variable, in capitals (such as "
                    "OPENAI_API_KEY), never the key itself"
                )
            for base_url in filter(None, self.base_urls):
                url = urlsplit(base_url)
                if url.scheme not in ("http", "https") or not url.hostname:
                    raise ValueError("'base_url' must begin with http:// or https://")
                if "@" in url.netloc or url.query:
                    raise ValueError(
                        "'base_url' must hold no credentials; put the key into the variable that "
                        "'key' names"
                    )
            return self

        @model_validator(mode="after")
        def _is_a_pool(self) -> "OpenAI.Config":
            urls = self.base_urls
            if not urls:
                raise ValueError("'base_url' names no server; leave it out, or name one")
            if len(set(urls)) < len(urls):
                raise ValueError("'base_url' names a server twice; name each once")
            if self.batch and len(urls) > 1:
                raise ValueError("'batch' sends batches to one server, and 'base_url' names more")
            return self

        @property
        def base_urls(self) -> tuple[str | None, ...]:
            """All servers, one or many."""
            return self.base_url if isinstance(self.base_url, tuple) else (self.base_url,)

    def __init__(self, config: Config) -> None:
        self.config = config
        self.books: Path | None = None
        self._found: dict[str, Preflight] = {}
        """What checks have found out, by location."""

    def keep_books(self, folder: Path) -> None:
        """Keep the ledger of all calls, and the answers already paid for, in this folder."""
        self.books = folder

    def check(self, model: ModelRef) -> None:
        """Find out, before M0 is measured, whether the model can be asked at all.

        Raises:
            JudgeUnavailable: no key, no such model, shut down, or not the one that was pinned.
            ConfigError: a cap on the cost was set, and what a call costs is not known.
            StoreError: the books cannot be read or written.
        """
        check: Callable[[ModelRef, OpenAI.Config, Path | None], Preflight | None]
        check = import_module("harness.remote.checking").check
        found = check(model, self.config, self.books)
        if found is not None:
            self._found[model.location] = found

    def accept(self, model: ModelRef, request: Request) -> None:
        """Find out, without asking anybody, whether the model can be sampled like that.

        Raises:
            ConfigError: its family cannot.
        """
        if chat(request.prompt):
            effort = self.config.reasoning_effort
            families.check(model.location, request.sampling, effort, begun(request.prompt))

    def cost(self, model: ModelRef, calls: Workload) -> str:
        """Say what calls will cost, as far as that is known."""
        price = prices.find(model.location, self.config.prices)
        dollars = estimate(calls, price, self.config.batch).dollars
        if dollars is None:
            return "at a price that is not known"
        return f"${dollars:,.2f} (prices of {prices.dated(self.config.prices)}, to verify)"

    @contextmanager
    def open(self, model: ModelRef) -> Iterator["RemoteModel"]:
        """Connect to the model's server; without `keep_books` accounts are kept in memory.

        Raises:
            JudgeUnavailable: there is no key.
            ConfigError: a cap on the cost was set, and what a call costs is not known.
            StoreError: the books cannot be read or written.
        """
        load: Callable[[ModelRef, OpenAI.Config, Path | None, Preflight | None], RemoteModel]
        load = import_module("harness.remote.model").load
        loaded = load(model, self.config, self.books, self._found.get(model.location))
        try:
            yield loaded
        finally:
            loaded.close()
