"""Answers of every quality, and the words of a verdict.

An answer is written from what is wanted of it; each element can be missing or spoilt on its own:

    >>> dog = parse("What sound does the dog make?")
    >>> wanted = Wanted(topic=True, attempt=True, right=False, clear=True, detail="none")
    >>> write_answer(dog, wanted, Random(1))
    'The dog clucks.'
    >>> verdict(examine(dog, "The dog clucks."))
    'on topic, gives an answer, wrong, clear, no detail. Score: 3'
"""

from dataclasses import dataclass
from random import Random
from typing import Literal

from harness.microworld.examiner import Marks
from harness.microworld.question import EVASIONS, EVASIONS_WITH_TOPIC, Item

REMARKS: dict[str, tuple[str, str]] = {
    "topic": ("on topic", "off topic"),
    "attempt": ("gives an answer", "gives no answer"),
    "right": ("right", "wrong"),
    "clear": ("clear", "not clear"),
    "detail": ("with detail", "no detail"),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an answer shall contain. Without an attempt it cannot be right."""

    topic: bool
    attempt: bool
    right: bool
    clear: bool
    detail: Literal["true", "false", "none"]


PERFECT = Wanted(topic=True, attempt=True, right=True, clear=True, detail="true")


@dataclass(frozen=True, slots=True)
class Quality:
    """How often each element is there; a false detail where there is no true one."""

    topic: float
    attempt: float
    right: float
    clear: float
    detail: float
    false_detail: float

    def draw(self, rng: Random) -> Wanted:
        """Each element on its own."""
        topic, attempt, right, clear, detail, false_detail = (
            rng.random() < chance
            for chance in (
                self.topic,
                self.attempt,
                self.right,
                self.clear,
                self.detail,
                self.false_detail,
            )
        )
        return Wanted(
            topic=topic,
            attempt=attempt,
            right=right and attempt,
            clear=clear,
            detail="true" if detail else "false" if false_detail else "none",
        )


GOOD = Quality(topic=0.75, attempt=0.92, right=0.76, clear=0.66, detail=0.30, false_detail=0.20)
"""Demonstrations (IFT): mean score 3.4, because better ones leave the loop no room."""

MIXED = Quality(topic=0.75, attempt=0.85, right=0.60, clear=0.65, detail=0.45, false_detail=0.25)
"""Answers to be judged (EFT): scores spread over 0 to 5."""


def write_answer(item: Item, wanted: Wanted, rng: Random) -> str:
    """An answer to `item` with the wanted elements."""
    first = _value_sentence(item, wanted, rng) if wanted.attempt else _evasion(item, wanted, rng)
    if wanted.detail == "none":
        return first
    detail = rng.choice(item.details if wanted.detail == "true" else item.false_details)
    return f"{first} {detail}" if first.endswith(".") else f"{first} . {detail}"


def _value_sentence(item: Item, wanted: Wanted, rng: Random) -> str:
    value = item.value if wanted.right else item.wrong_value(rng)
    if wanted.clear:
        return item.sentence(rng, value, pronoun=not wanted.topic)
    if wanted.topic:
        return rng.choice((f"{item.topic} {value}", f"{value} {item.topic}"))
    return value


def _evasion(item: Item, wanted: Wanted, rng: Random) -> str:
    if wanted.clear:
        evasions = EVASIONS_WITH_TOPIC if wanted.topic else EVASIONS
        return rng.choice(evasions).format(topic=item.topic)
    return f"no idea {item.topic}" if wanted.topic else "no idea"


def remarks(marks: Marks) -> tuple[str, ...]:
    """The five short rationales of a verdict, in their fixed order."""
    return tuple(
        said if met else denied for (said, denied), met in zip(REMARKS.values(), marks, strict=True)
    )


def verdict(marks: Marks) -> str:
    """What a judge writes about an answer: the rationales, then the score."""
    return f"{', '.join(remarks(marks))}. Score: {marks.score}"
