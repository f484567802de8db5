"""Drawing questions, and reading them back from their prompts.

A family serves both directions: drawing fills its slots and writes the prompt, parsing reads the
slots from a prompt, and both end in the same `build`. So the prompt determines the item, also a
prompt that a model wrote:

    >>> item = parse("What sound does the dog make?")
    >>> item.topic, item.value, item.details[0]
    ('dog', 'barks', 'The dog lives in a kennel.')
    >>> parse("What sound does the dragon make?") is None
    True
"""

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from random import Random

from harness.microworld.families import FAMILIES
from harness.microworld.question import CATEGORIES, Family, Item


def draw(rng: Random, *, held_out: bool | None = None) -> Item:
    """A random question, categories equally often, from one side of the split if so wanted."""
    while True:
        families = _families_of(rng.choice(CATEGORIES))
        family = rng.choices(families, [family.weight for family in families])[0]
        item = family.draw_item(rng)
        if held_out is None or is_held_out(item) == held_out:
            return item


def parse(prompt: str) -> Item | None:
    """The question that `prompt` asks, or None if the micro-world does not know it."""
    for pattern, family in _patterns():
        match = pattern.fullmatch(prompt)
        if match and (item := family.build(prompt, match.groupdict())):
            return item
    return None


def is_held_out(item: Item) -> bool:
    """Whether the fact is kept for evaluation: a seventh of all facts is, by a stable hash.

    A sum and its mirror image (6 and 7, 7 and 6) are two facts: one of them may be trained on while
    the other is held out.
    """
    digest = hashlib.md5((item.category + item.key).encode(), usedforsecurity=False).hexdigest()
    return int(digest, 16) % 7 == 0


@cache
def _families_of(category: str) -> tuple[Family, ...]:
    return tuple(family for family in FAMILIES if family.category == category)


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], Family], ...]:
    return tuple(
        (_pattern(prompt, family.slots), family) for family in FAMILIES for prompt in family.prompts
    )


def _pattern(prompt: str, slots: Mapping[str, tuple[str, ...]]) -> re.Pattern[str]:
    """Reads the slots of one phrasing; a slot that comes twice has to hold the same word twice."""
    parts: list[str] = []
    seen: set[str] = set()
    for text, slot in re.findall(r"([^{}]*)(?:\{(\w+)\})?", prompt):
        parts.append(re.escape(text))
        if slot:
            words = "|".join(map(re.escape, sorted(slots[slot], key=len, reverse=True)))
            parts.append(f"(?P={slot})" if slot in seen else f"(?P<{slot}>{words})")
            seen.add(slot)
    return re.compile("".join(parts))
