r"""Which of AlpacaEval's 805 instructions is this?

    >>> position("What is gremolata?"), position("What sound does the dog make?")
    (43, None)

Difficulties are published by position alone, so a row needs its instruction's. `instructions.txt`
has, in the official order, the beginning of the sha256 of every instruction's ASCII letters and
digits in lower case: no white space, quotation mark or encoding changes those. It was made from the
reference outputs (`alpaca_eval_gpt4_baseline.json`, sha256 83db546b...) by

    print(*(digest(row["instruction"]) for row in rows), sep="\n")
"""

import hashlib
import re
from functools import cache
from importlib import resources

from harness.data.examples import text_id

TOTAL = 805
_NOT_COUNTED = re.compile(r"[^a-z0-9]+")


def digest(instruction: str) -> str:
    """Name an instruction by its ASCII letters and digits."""
    counted = _NOT_COUNTED.sub("", instruction.lower())
    return hashlib.sha256(counted.encode()).hexdigest()[:12]


def position(instruction: str) -> int | None:
    """Find an instruction's place in the official order, from 0; None for any other instruction."""
    return _positions().get(digest(instruction))


def item_id(instruction: str) -> str:
    """Name an item, the same for every model and file: AlpacaEval's own by their place."""
    place = position(instruction)
    return text_id(instruction) if place is None else f"alpaca_eval/{place:03}"


@cache
def _positions() -> dict[str, int]:
    listed = resources.files("evals.alpaca_eval") / "instructions.txt"
    return {line: place for place, line in enumerate(listed.read_text(encoding="ascii").split())}
