"""Pack samples into a page: every text once, in gzipped blocks that a browser unpacks when needed.

    index   {"models": ["M0", "M1"], "evaluations": [...]}    read when the page opens
    blocks  ["How many ...?", "There are four.", ...]         about a megabyte of texts each

A text stands in the index by its number; block k holds the texts from `starts[k]` on.
"""

import base64
import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from reports.html.samples import Choices, Fact, Part, Sampled, Text, Verdict

BLOCK = 1_000_000
"""Characters of text in a block, about."""
LONGEST_HEAD = 160
"""Characters of a prompt that a list of samples shows."""
_LIMITS = (None, 100_000, 30_000, 10_000, 4_000, 2_000, 1_000, 400, 100)
"""Characters that a text may have, tried in this order until the page is small enough."""


@dataclass(frozen=True)
class Packed:
    """What goes into the page."""

    index: str
    """JSON, gzipped, in base64."""
    blocks: tuple[str, ...]
    """JSON lists of texts, gzipped, in base64."""
    longest: int | None
    """How many characters of a text were kept; None where all were."""

    @property
    def size(self) -> int:
        """Bytes in the page."""
        return len(self.index) + sum(map(len, self.blocks))


def pack(
    evaluations: Sequence[Sampled],
    models: Sequence[str],
    chain: Sequence[str],
    most: int,
) -> Packed:
    """Pack all samples into at most so many bytes, cutting the longest texts where it must be."""
    for longest in _LIMITS:
        packed = _pack(evaluations, models, chain, longest)
        if packed.size <= most:
            break
    return packed


def _pack(
    evaluations: Sequence[Sampled], models: Sequence[str], chain: Sequence[str], longest: int | None
) -> Packed:
    texts = _Texts(longest)
    names = {name: number for number, name in enumerate(models)}
    index: dict[str, Any] = {
        "models": list(models),
        "chain": [names[name] for name in chain],
        "evaluations": [_evaluation(one, names, texts) for one in evaluations],
    }
    blocks = list(texts.blocks())
    index["starts"] = [start for start, _ in blocks]
    index["longest"] = longest
    return Packed(_gzipped(index), tuple(_gzipped(block) for _, block in blocks), longest)


@dataclass
class _Texts:
    """A table of texts, each once."""

    longest: int | None
    numbers: dict[str, int] = field(default_factory=dict)

    def number(self, text: str) -> int:
        """Take a text in, or find it."""
        if self.longest is not None and len(text) > self.longest:
            left = len(text) - self.longest
            text = f"{text[: self.longest]}\n… ({left:,} more characters, in the run's folder)"
        return self.numbers.setdefault(text, len(self.numbers))

    def blocks(self) -> Iterator[tuple[int, list[str]]]:
        """Divide the table; yield each block with the number of its first text."""
        start, size, block = 0, 0, list[str]()
        for number, text in enumerate(self.numbers):
            if block and size + len(text) > BLOCK:
                yield start, block
                start, size, block = number, 0, []
            block.append(text)
            size += len(text)
        if block:
            yield start, block


def _evaluation(one: Sampled, names: dict[str, int], texts: _Texts) -> dict[str, Any]:
    return {
        "name": one.name,
        "title": one.title,
        "there_are": one.there_are,
        "others": sorted({e.against for s in one.samples for e in s.entries if e.against}),
        "samples": [
            [
                sample.id,
                sample.category,
                sample.prompt[:LONGEST_HEAD],
                texts.number(sample.prompt),
                [_part(part, texts) for part in sample.shared],
                [
                    [
                        names[entry.model],
                        entry.against,
                        entry.value,
                        entry.failure,
                        texts.number(entry.answer),
                        len(entry.answer),
                        [_part(part, texts) for part in entry.parts],
                    ]
                    for entry in sample.entries
                ],
            ]
            for sample in one.samples
        ],
    }


def _part(part: Part, texts: _Texts) -> list[Any]:
    match part:
        case Text():
            return ["text", part.label, texts.number(part.text)]
        case Verdict():
            said = texts.number(part.text)
            return ["verdict", part.label, said, part.read, list(part.probabilities)]
        case Choices():
            return ["choices", [[texts.number(text), told, p] for text, told, p in part.options]]
        case Fact():
            return ["fact", part.label, part.text]


def _gzipped(value: Any) -> str:
    raw = json.dumps(value, separators=(",", ":")).encode()
    return base64.b64encode(gzip.compress(raw, compresslevel=6, mtime=0)).decode()
