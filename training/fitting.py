"""Which rows can be trained on; TRL drops what does not fit without a word, so it is found first.

    rows   (2 41 3 | 77 12 1)   (2 8 ... 600 tokens ... | 1)      prompt | completion
    fit    [0], and one row counted as too long (or an error, as the settings say)

A row is as long as its prompt and its longest completion.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import DataError

Row = Sequence[tuple[int, ...]]
"""A prompt and one or more completions of it."""


@dataclass(frozen=True)
class Limits:
    """What a model can be trained on."""

    tokens: int
    """Prompt and completion together."""
    vocabulary: int
    """Token ids are below it."""
    bos: int | None = None
    """The id that may not stand twice at the start of a prompt."""


def fitting(rows: Sequence[Row], limits: Limits, drop_too_long: bool) -> list[int]:
    """Find the rows whose prompt and longest completion fit.

    Args:
        rows: In the caller's order.
        limits: Of the model.
        drop_too_long: Leave over-long rows out instead of stopping.

    Returns:
        Places in `rows`, rising.

    Raises:
        DataError: a row cannot be trained on, or none fits.
    """
    kept = []
    for place, row in enumerate(rows):
        prompt, *completions = row
        problem = _problem(prompt, completions, limits)
        if problem:
            raise DataError(f"training row {place} {problem}")
        length = _length(row)
        if length <= limits.tokens:
            kept.append(place)
        elif not drop_too_long:
            raise DataError(
                f"training row {place} has {length} tokens, and only {limits.tokens} fit; "
                'raise max_length, or set too_long = "drop" to leave such rows out'
            )
    if not kept:
        raise DataError(
            f"no training row is left of {len(rows)}"
            + (f": none has at most {limits.tokens} tokens" if rows else "")
        )
    return kept


def longest(rows: Sequence[Row], places: Sequence[int], most: int) -> list[int]:
    """Pick those of the places whose rows are longest, at most so many."""
    return sorted(places, key=lambda place: _length(rows[place]), reverse=True)[:most]


def _length(row: Row) -> int:
    prompt, *completions = row
    return len(prompt) + max(map(len, completions))


def _problem(
    prompt: tuple[int, ...], completions: Sequence[tuple[int, ...]], limits: Limits
) -> str | None:
    if not prompt or not all(completions):
        return "has an empty prompt or completion"
    if len(completions) > len(set(completions)):
        return "prefers a completion to an equal one; drop such pairs"
    highest = max(max(ids) for ids in (prompt, *completions))
    lowest = min(min(ids) for ids in (prompt, *completions))
    if lowest < 0 or highest >= limits.vocabulary:
        wrong = lowest if lowest < 0 else highest
        return (
            f"has token id {wrong}, and the model has {limits.vocabulary} embeddings: "
            "its ids come from another tokenizer"
        )
    if limits.bos is not None and prompt[:2] == (limits.bos, limits.bos):
        return "starts with the begin token twice; tokenize without special tokens"
    return None
