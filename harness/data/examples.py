"""The rows that training and evaluation are fed with, whatever file they came from.

    PromptRow      a question:                        "Why is the sky blue?"
    Demonstration  a question and a good answer       -> supervised fine-tuning (IFT)
    RankedGroup    a question and ranked answers      -> learning or testing to judge (EFT)

A loader hands them back as `Loaded`, where nothing is lost without a count:

    >>> loaded = Loaded((PromptRow("1", "Why?"),), read=3, dropped={"empty": 2})
    >>> loaded.read == len(loaded.rows) + sum(loaded.dropped.values())
    True
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from functools import cached_property
from typing import Generic, TypeVar


@dataclass(frozen=True)
class PromptRow:
    """A question to be answered."""

    id: str
    prompt: str
    category: str | None = None


@dataclass(frozen=True)
class Demonstration:
    """A question and the answer to learn from."""

    id: str
    prompt: str
    response: str


@dataclass(frozen=True)
class RankedResponse:
    """One of several answers to a question, with its place among them."""

    text: str
    rank: int
    """0 is best; answers that were judged equal have equal ranks."""
    verdict: str | None = None
    """What an annotator wrote about it, where the source has that."""
    score: float | None = None
    """What the rank was made from, where the source has scores; higher is better."""


@dataclass(frozen=True)
class RankedGroup:
    """A question and two or more answers that were ranked together."""

    id: str
    prompt: str
    responses: tuple[RankedResponse, ...]
    """Best first."""
    history: tuple[str, ...] = ()
    """The turns before the prompt, oldest first, user and assistant by turns."""

    @property
    def pairs(self) -> int:
        """Count the pairs of answers of which one was ranked above the other."""
        ties = Counter(response.rank for response in self.responses)
        return _pairs(len(self.responses)) - sum(map(_pairs, ties.values()))


def _pairs(count: int) -> int:
    return count * (count - 1) // 2


Row = TypeVar("Row", PromptRow, Demonstration, RankedGroup)


@dataclass(frozen=True)
class Loaded(Generic[Row]):
    """Rows, and what became of the rest.

    `read` counts source rows; for ranked groups it counts answers, so that
    `read == answers in the groups + sum(dropped.values())`.
    """

    rows: tuple[Row, ...]
    read: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    """How many were left out, by reason."""

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the rows: two results with different ones were made from different data."""
        content = json.dumps([astuple(row) for row in self.rows], ensure_ascii=False)
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def text_id(*texts: str) -> str:
    """Name a row that its source does not name, the same in every run."""
    joined = "\x1f".join(texts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(joined).hexdigest()[:16]
