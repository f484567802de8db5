"""Read a rating or a preference out of what the judge wrote.

    "... clear and right. Rating: [[8.5]]"               -> Score(8.5)
    "A [[10]] would name the year. Rating: [[7]]"        -> Score(7), or 10 by the official rule
    "Rating: [[11]]"                                     -> Failure(out_of_range), or 11
    "I would choose [[A]], were it not wrong: [[B]]"     -> Score(0), or 1 by the official rule

The judge reasons before it rates, so its last word counts. FastChat takes the first, whatever its
size; its rules are here too, named `official`. A preference is 1 for A, 0 for B, 0.5 for a tie.
"""

import ast
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from harness.reading import Reader
from harness.records import Failure, Outcome, Score

LOWEST, HIGHEST = 1, 10
"""The scale that every judge prompt asks for."""

_RATING = r"([-+]?[0-9]+(?:\.[0-9]+)?)(?:\s*/\s*10)?"
_DOUBLE = re.compile(rf"\[\[\s*{_RATING}\s*\]\]")
_SINGLE = re.compile(rf"\[\s*{_RATING}\s*\]")
_OFFICIAL_DOUBLE = re.compile(r"\[\[(\d+\.?\d*)\]\]")
_OFFICIAL_SINGLE = re.compile(r"\[(\d+\.?\d*)\]")
_CHOICE = re.compile(r"\[\[\s*([ABC])\s*\]\]")

_WORTH: Mapping[str, float] = MappingProxyType({"A": 1.0, "B": 0.0, "C": 0.5})


def last_rating(text: str) -> Outcome:
    """Read the last number in double brackets, or else in single ones, from 1 to 10."""
    found = _DOUBLE.findall(text) or _SINGLE.findall(text)
    if not found:
        return Failure.unread("no_rating", text)
    rating = float(found[-1])
    if not LOWEST <= rating <= HIGHEST:
        return Failure(reason="out_of_range", detail=found[-1][:160])
    return Score(value=rating)


def official_rating(text: str) -> Outcome:
    """Read the first number in double brackets, or else in single ones, whatever its size.

    FastChat evaluates the number as Python, which knows no integer 08 and stops the run there; it
    is a failure here.
    """
    match = _OFFICIAL_DOUBLE.search(text) or _OFFICIAL_SINGLE.search(text)
    if match is None:
        return Failure.unread("no_rating", text)
    try:
        rating = float(ast.literal_eval(match[1]))
    except (SyntaxError, ValueError, OverflowError):
        rating = math.inf
    if math.isinf(rating):
        return Failure(reason="no_number", detail=match[1][:160])
    return Score(value=rating)


def last_choice(text: str) -> Outcome:
    """Read the last of [[A]], [[B]] and [[C]]."""
    found = _CHOICE.findall(text)
    if not found:
        return Failure.unread("no_choice", text)
    return Score(value=_WORTH[found[-1]])


def official_choice(text: str) -> Outcome:
    """Read A where [[A]] stands anywhere, or else B, or else C."""
    for choice, worth in _WORTH.items():
        if f"[[{choice}]]" in text:
            return Score(value=worth)
    return Failure.unread("no_choice", text)


@dataclass(frozen=True)
class Readers:
    """How a rating and a preference are read."""

    rule: str
    """In words, for a result's description."""
    rating: Reader
    choice: Reader
    cut_off_counts: bool
    """Whether a verdict that was cut off at its token limit is read, as in FastChat."""


READERS: Mapping[Literal["last", "official"], Readers] = MappingProxyType(
    {
        "last": Readers("the last verdict", last_rating, last_choice, False),
        "official": Readers("FastChat's first verdict", official_rating, official_choice, True),
    }
)
