"""What models on servers cost and when they are shut down, from one dated file.

    >>> find("gpt-6-sol").dollars(input_tokens=766_000, output_tokens=805)
    1.54005
    >>> find("somebody/own-weights") is None
    True
    >>> retirement("gpt-4").day
    datetime.date(2026, 10, 23)

The file is `prices.toml`; a user's own, in the same layout, is laid over it: the file that is
given, or else the one that HARNESS_PRICES names. A model that is in neither has no price: unknown,
never zero. An id with a date at its end (`gpt-4.1-2025-04-14`) that is not listed itself is looked
up without the date, since snapshots are sold at the price of their alias; no other part of an id
is ever left out.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from harness.config import validate
from harness.errors import ConfigError
from harness.records import Record

OVERRIDE = "HARNESS_PRICES"
"""The environment variable that names a user's own file."""
_SHIPPED = resources.files("harness.remote") / "prices.toml"
_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")
_MILLION = 1_000_000


class Price(Record):
    """What a model costs, in US dollars per million tokens."""

    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)
    cached: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Of input that the server had cached; where it is not known, that counts as other input."""
    batch: float = Field(default=1.0, ge=0, le=1)
    """The share of it that a call through the Batch API costs."""

    def dollars(
        self, input_tokens: int, output_tokens: int, cached_tokens: int = 0, batch: bool = False
    ) -> float:
        """Compute what a call costs; `cached_tokens` are among the input tokens."""
        cached = self.input if self.cached is None else self.cached
        full = (
            (input_tokens - cached_tokens) * self.input
            + cached_tokens * cached
            + output_tokens * self.output
        ) / _MILLION
        return full * self.batch if batch else full


class Retirement(NamedTuple):
    """When a model is shut down, and what its provider names instead."""

    day: date
    replacement: str | None


class Listed(Record):
    """What the file knows of one model."""

    price: Price | None = None
    shutdown: date | None = None
    replacement: str | None = None
    source: str = ""


class PriceFile(Record):
    """A file of prices and shutdown dates."""

    collected: date
    """When somebody last looked."""
    models: dict[str, Listed]


def find(model: str, override: Path | None = None) -> Price | None:
    """Find a model's price; None where it is unknown.

    Raises:
        ConfigError: the user's file cannot be read or understood.
    """
    listed = _listed(model, override)
    return listed.price if listed else None


def retirement(model: str, override: Path | None = None) -> Retirement | None:
    """Find when a model is shut down; None where no day is known.

    Raises:
        ConfigError: the user's file cannot be read or understood.
    """
    listed = _listed(model, override)
    if listed is None or listed.shutdown is None:
        return None
    return Retirement(listed.shutdown, listed.replacement)


def dated(override: Path | None = None) -> date:
    """Say when the prices were collected: the user's, where there is a file of the user's own.

    Raises:
        ConfigError: the user's file cannot be read or understood.
    """
    return _table(_chosen(override)).collected


def _listed(model: str, override: Path | None) -> Listed | None:
    models = _table(_chosen(override)).models
    return models.get(model) or models.get(_SNAPSHOT.sub("", model))


def _chosen(override: Path | None) -> Path | None:
    named = os.environ.get(OVERRIDE)
    return override or (Path(named) if named else None)


@cache
def _table(override: Path | None) -> PriceFile:
    """Read the shipped file, and lay the user's over it: model by model, and key by key."""
    shipped = _read(_SHIPPED)
    if override is None:
        return validate(PriceFile, shipped, "prices.toml")
    own = _read(override)
    validate(PriceFile, own, f"prices file {override}")
    return validate(
        PriceFile,
        {"collected": own["collected"], "models": _laid_over(own["models"], shipped["models"])},
        f"prices file {override}",
    )


def _laid_over(own: Mapping[str, Any], shipped: Mapping[str, Any]) -> dict[str, Any]:
    return {model: {**shipped.get(model, {}), **own.get(model, {})} for model in {**shipped, **own}}


def _read(path: Path | Traversable) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"prices file {path} is not TOML: {error}; mend that place") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"prices file {path} cannot be read: {error}; name another, or unset {OVERRIDE}"
        ) from error
