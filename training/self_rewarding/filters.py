"""Which generated prompts are kept: what Self-Instruct's own code drops (Wang et al. 2023).

    "Draw a picture of a cat"                       keyword
    "Why?"                                          too_short
    "What is the capital city of France?"           similar, if the pool has
    "What is the capital city of Spain?"            (ROUGE-L F 0.86 > 0.7)

A model that was trained to answer may go on after its prompt; `cut` takes what comes before
(Yuan et al. 2024, appendix A.5).
"""

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence

from pydantic import Field
from rouge_score.tokenize import tokenize

from harness.data.overlap import key
from harness.records import Record

_LABEL = re.compile(r"\A(?:task|question|instruction|prompt)\s*\d*\s*[:.)]\s*", re.IGNORECASE)
_END = re.compile(
    r"""^\s*(?:
        ([-=_*~\#])\1{2,}\s*$                                      # a separator
      | [*\#\s]*(?:answer|response|output|solution|assistant)\**\s*:   # an answer begins
      | [*\#\s]*(?:task|question|instruction|prompt)\s*\d*\**\s*[:.)]  # the next prompt begins
    )""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)


class Filters(Record):
    """The figures of the filter; the defaults are Self-Instruct's."""

    similarity: float = Field(default=0.7, gt=0, le=1)
    """The largest ROUGE-L F with a prompt that is there already; 1 drops only repetitions."""
    least_words: int = Field(default=4, ge=1)
    most_words: int = Field(default=150, ge=1)
    keywords: tuple[str, ...] = (
        "image", "images", "graph", "graphs", "picture", "pictures", "file", "files", "map", "maps",
        "draw", "plot", "go to",
    )  # fmt: skip
    """Whole words of what a language model cannot do; in any letter case."""
    beginnings: tuple[str, ...] = ("Write a program",)
    plain_beginning: bool = True
    """Drop what begins with punctuation or with a character that is not ASCII."""


def cut(text: str) -> str:
    r"""Take the prompt out of a completion: no label before it, no answer or next prompt after it.

    >>> cut(" Task 9: Name a bird.\n---\nA bird is a robin.")
    'Name a bird.'
    """
    prompt = _LABEL.sub("", text.strip())
    if prompt.startswith("1."):  # a list was begun: its first entry is the prompt
        prompt = re.split(r"^\s*2\.", prompt, maxsplit=1, flags=re.MULTILINE)[0][2:].strip()
    end = _END.search(prompt)
    prompt = (prompt[: end.start()] if end else prompt).strip()
    if len(prompt) > 1 and prompt[0] == prompt[-1] == '"' and '"' not in prompt[1:-1]:
        prompt = prompt[1:-1].strip()
    return prompt


def objection(prompt: str, filters: Filters) -> str | None:
    """Say what is wrong with a prompt by itself, in a word to count by; None if nothing is."""
    words = len(prompt.split())
    if words == 0:
        return "empty"
    if words < filters.least_words:
        return "too_short"
    if words > filters.most_words:
        return "too_long"
    if any(re.search(rf"\b{re.escape(k)}\b", prompt, re.IGNORECASE) for k in filters.keywords):
        return "keyword"
    if prompt.startswith(filters.beginnings):
        return "beginning"
    if filters.plain_beginning and prompt[0] in string.punctuation:
        return "punctuation"
    if filters.plain_beginning and not prompt[0].isascii():
        return "not_ascii"
    return None


class Pool:
    """Prompts that are there already, against which a new one is compared."""

    def __init__(self, prompts: Iterable[str] = ()) -> None:
        self._keys: set[str] = set()
        self._tokens: list[Sequence[str]] = []
        self._holders: dict[str, list[int]] = {}
        for prompt in prompts:
            self.add(prompt)

    def add(self, prompt: str) -> None:
        """Put a prompt into the pool."""
        self._keys.add(key(prompt))
        tokens = _tokens(prompt)
        for token in set(tokens):
            self._holders.setdefault(token, []).append(len(self._tokens))
        self._tokens.append(tokens)

    def objection(self, prompt: str, similarity: float) -> str | None:
        """Say whether the pool has the prompt (`duplicate`) or one that is `similar`.

        Similar is a ROUGE-L F above `similarity`, as the rouge_score library computes it: F is
        2 LCS / (m + n). Only prompts that share enough words to get there are aligned.
        """
        if key(prompt) in self._keys:
            return "duplicate"
        tokens = _tokens(prompt)
        places: dict[str, int] = {}
        for index, token in enumerate(tokens):
            places[token] = places.get(token, 0) | 1 << index
        for other in self._sharing(tokens, similarity):
            there = self._tokens[other]
            least = similarity * (len(tokens) + len(there)) / 2
            # As many words as the shorter prompt has could be common, and no more.
            if min(len(tokens), len(there)) > least and _common(places, len(tokens), there) > least:
                return "similar"
        return None

    def _sharing(self, tokens: Sequence[str], similarity: float) -> set[int]:
        """Find the prompts that have one of the rarest words, as every similar one must.

        F > s and n >= LCS give LCS > s m / (2 - s). So at most m less that many of the m words
        are not shared, and of any more words than these at least one is.
        """
        unshared = len(tokens) - int(similarity * len(tokens) / (2 - similarity))
        near: set[int] = set()
        counts = Counter(tokens)
        for token in sorted(counts, key=lambda token: len(self._holders.get(token, ()))):
            near.update(self._holders.get(token, ()))
            unshared -= counts[token]
            if unshared < 0:
                break
        return near


def _tokens(prompt: str) -> Sequence[str]:
    tokens: list[str] = tokenize(prompt, None)
    return tokens


def _common(places: dict[str, int], length: int, right: Sequence[str]) -> int:
    """Length of the longest common subsequence, by Hyyrö's bit-parallel algorithm (2004).

    A row of the usual table is one integer. `places` has, for each word of the left text of
    `length` words, a bit for each of its places.
    """
    full = (1 << length) - 1
    row = full
    for token in right:
        if token in places:
            matches = row & places[token]
            row = ((row + matches) | (row - matches)) & full
    return length - row.bit_count()
