"""What a question consists of.

A family has the phrasings; filled with words, it builds the item that is asked:

    Family  "What sound does the {subject} make?", "How does a {subject} sound?"
    Item    "What sound does the dog make?", topic "dog", value "barks", details ...
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from harness.microworld import facts

CATEGORIES = (
    "writing", "roleplay", "extraction", "reasoning", "math", "coding", "stem", "humanities",
)  # fmt: skip

Slots = Mapping[str, str]
"""The word in each slot."""

EVASIONS = ("I do not know.", "I am not sure.", "That is a good question.")
EVASIONS_WITH_TOPIC = ("I am not sure about {topic}.", "I know nothing about {topic}.")
"""Clear sentences that give no answer to any question."""


@dataclass(frozen=True, slots=True)
class Item:
    """A question with all that the examiner has to know about it.

    Attributes:
        category: One of `CATEGORIES`.
        key: The fact that is asked for, the same for every phrasing of the question.
        prompt: The question as the model sees it.
        topic: The word an answer has to name.
        value: The right value.
        values: Every value of the right type, the right one among them.
        frames: Clear sentences with the slots {topic}, {value}, {verb}, {place} and {other}.
        pronoun_frames: The same without the topic.
        details: True sentences that can follow the answer.
        false_details: Sentences that look like details but are not true or not about the topic.
    """

    category: str
    key: str
    prompt: str
    topic: str
    value: str
    values: tuple[str, ...]
    frames: tuple[str, ...]
    pronoun_frames: tuple[str, ...]
    details: tuple[str, ...]
    false_details: tuple[str, ...]

    def sentence(self, rng: Random, value: str | None = None, *, pronoun: bool = False) -> str:
        """A clear sentence that gives `value` (the right one by default)."""
        value = self.value if value is None else value
        frame = rng.choice(self.pronoun_frames if pronoun else self.frames)
        text = frame.format(
            topic=self.topic,
            value=value,
            verb=rng.choice(facts.VERBS),
            place=rng.choice(facts.PLACES),
            other=next((other for other in self.values if other != value), value),
        )
        return text[0].upper() + text[1:]

    def wrong_value(self, rng: Random) -> str:
        """A value of the right type that is not the right one."""
        return rng.choice([value for value in self.values if value != self.value])


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of question.

    Attributes:
        category: One of `CATEGORIES`.
        weight: How often it is drawn among the families of its category.
        prompts: Its phrasings, with slots.
        slots: The words that can fill each slot.
        build: The item's other fields from filled slots, or None if the slots make no question.
        draw: Slots that make a question; by default each slot on its own.
    """

    category: str
    weight: float
    prompts: tuple[str, ...]
    slots: Mapping[str, tuple[str, ...]]
    build: Callable[[str, Slots], Item | None]
    draw: Callable[[Random], Slots] | None = None

    def draw_item(self, rng: Random) -> Item:
        """A random question of this family."""
        if self.draw is not None:
            slots = self.draw(rng)
        else:
            slots = {name: rng.choice(words) for name, words in self.slots.items()}
        item = self.build(rng.choice(self.prompts).format(**slots), slots)
        if item is None:
            raise AssertionError(f"{self.prompts[0]!r} drew slots that make no question: {slots}")
        return item
