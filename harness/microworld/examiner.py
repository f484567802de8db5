"""The exact examiner: any text against a question, five criteria, 0 to 5 points.

The rubric is additive, like the paper's: one point each for naming the topic, attempting an answer,
the right answer, a clear sentence, and a true detail after it.

    >>> examine(parse("What sound does the dog make?"), "The dog barks. The dog eats meat.").score
    5
    >>> examine(parse("What sound does the dog make?"), "It moos.")
    Marks(topic=False, attempt=True, right=False, clear=True, detail=False)
"""

import re
from functools import lru_cache
from typing import NamedTuple

from harness.microworld import facts
from harness.microworld.question import EVASIONS, EVASIONS_WITH_TOPIC, Item


class Marks(NamedTuple):
    """Which criteria an answer meets, in the order in which a verdict names them.

    Attributes:
        topic: The topic word is named.
        attempt: The first sentence gives a value of the right type.
        right: It is the right value, and no other is given.
        clear: The first sentence is one of the known sentences, with capital and full stop.
        detail: A later sentence is a true detail.
    """

    topic: bool
    attempt: bool
    right: bool
    clear: bool
    detail: bool

    @property
    def score(self) -> int:
        """Points from 0 to 5."""
        return sum(self)


def examine(item: Item, answer: str) -> Marks:
    """The marks of `answer` as an answer to `item`; any text is fine, also none."""
    first, *later = _sentences(answer) or [""]
    claimed = _claims(item, first)
    return Marks(
        topic=_names(item.topic, answer),
        attempt=bool(claimed),
        right=claimed == {item.value},
        clear=any(_frame(frame).fullmatch(first) for frame in _frames(item)),
        detail=any(sentence in item.details for sentence in later),
    )


def _sentences(text: str) -> list[str]:
    """Sentences with their end mark and single spaces.

    >>> _sentences("The dog  barks. It")
    ['The dog barks.', 'It']
    """
    parts = (" ".join(part.split()) for part in re.findall(r"[^.!?]+[.!?]?", text))
    return [part for part in parts if part.strip(" .!?")]


def _names(phrase: str, text: str) -> bool:
    """Whether the whole words of `phrase` stand in `text`."""
    return _phrase(phrase).search(text) is not None


def _claims(item: Item, sentence: str) -> set[str]:
    """The values that a sentence gives as its answer.

    A known sentence gives what stands in its value slot ("The sum of 3 and 4 is 7" gives 7 alone);
    any other text gives every value it names.
    """
    slots = [
        match["value"]
        for frame in (*item.frames, *item.pronoun_frames)
        if (match := _loose_frame(frame).fullmatch(sentence))
    ]
    read = _lists_in if item.topic == "reverse" else _values_in
    if slots:
        return next((found for slot in slots if (found := read(item, slot))), set())
    return read(item, sentence)


def _values_in(item: Item, text: str) -> set[str]:
    return {value for value in item.values if _names(value, text)}


def _lists_in(_: Item, text: str) -> set[str]:
    """Every run of two or more list words: a reversed list is right as a whole or not at all."""
    runs = (run.lower().replace(",", " ") for run in _LIST.findall(text))
    return {" ".join(run.split()) for run in runs}


def _frames(item: Item) -> tuple[str, ...]:
    return (*item.frames, *item.pronoun_frames, *EVASIONS, *EVASIONS_WITH_TOPIC)


@lru_cache(maxsize=4096)
def _phrase(phrase: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![A-Za-z0-9]){re.escape(phrase)}(?![A-Za-z0-9])", re.IGNORECASE)


@lru_cache(maxsize=4096)
def _frame(frame: str) -> re.Pattern[str]:
    """The frame with any word in its slots; a value has up to four words."""
    # A frame that begins with a slot begins with a capital or a name: the look-ahead asks for it.
    return re.compile(r"(?=[A-Z])" + _open_slots(frame))


@lru_cache(maxsize=4096)
def _loose_frame(frame: str) -> re.Pattern[str]:
    return re.compile(_open_slots(frame).removesuffix(r"\.") + "[.!?]?", re.IGNORECASE)


def _open_slots(frame: str) -> str:
    value = "(?P<value>[A-Za-z0-9]+(?: [A-Za-z0-9]+){0,3})"
    pattern = re.escape(frame).replace(r"\{value\}", value)
    return re.sub(r"\\\{\w+\\\}", "[A-Za-z]+", pattern)


_WORD = "(?:" + "|".join(facts.LIST_WORDS) + ")"
_LIST = re.compile(rf"(?<![A-Za-z0-9]){_WORD}(?:[ ,]+{_WORD})+(?![A-Za-z0-9])", re.IGNORECASE)
