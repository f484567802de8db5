"""Every kind of question in the micro-world: its phrasings, its slots, and what an answer needs.

    "What sound does the {subject} make?"  with "dog"
    ->  topic "dog", value "barks", frame "The {topic} {value}."

The table `FAMILIES` at the end lists them all. Drawing and parsing both read it (`items`).
"""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random

from harness.microworld import facts
from harness.microworld.question import Family, Item, Slots


def _distinct(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(words)))


def _without(sentences: Iterable[str], true: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sentence for sentence in sentences if sentence not in true)


# ---------------------------------------------------------------- attributes of the tables


@dataclass(frozen=True, slots=True)
class _Attribute:
    """One column of a table as it is asked for and told: {subject} is the row."""

    name: str
    prompts: tuple[str, ...]
    statement: str
    pronoun: str


def _table_families(
    category: str,
    weight: float,
    table: Mapping[str, tuple[str, ...]],
    attributes: tuple[_Attribute, ...],
) -> list[Family]:
    """One family for each column of a table; the other columns are the details."""

    def statement(subject: str, column: int) -> str:
        return attributes[column].statement.format(topic=subject, value=table[subject][column])

    columns = range(len(attributes))
    statements = {subject: tuple(statement(subject, c) for c in columns) for subject in table}
    every_statement = tuple(itertools.chain.from_iterable(statements.values()))

    def family(column: int) -> Family:
        attribute = attributes[column]
        values = _distinct(row[column] for row in table.values())

        def build(prompt: str, slots: Slots) -> Item:
            subject = slots["subject"]
            details = _without(statements[subject], (statement(subject, column),))
            return Item(
                category=category,
                key=f"{subject}-{attribute.name}",
                prompt=prompt,
                topic=subject,
                value=table[subject][column],
                values=values,
                frames=(attribute.statement,),
                pronoun_frames=(attribute.pronoun,),
                details=details,
                false_details=_without(every_statement, statements[subject]),
            )

        return Family(
            category, weight / len(attributes), attribute.prompts, {"subject": tuple(table)}, build
        )

    return [family(column) for column in columns]


_ANIMAL_ATTRIBUTES = (
    _Attribute(
        "sound",
        ("What sound does the {subject} make?", "How does a {subject} sound?"),
        "The {topic} {value}.",
        "It {value}.",
    ),
    _Attribute(
        "home",
        ("Where does the {subject} live?", "What is the home of the {subject}?"),
        "The {topic} lives in a {value}.",
        "It lives in a {value}.",
    ),
    _Attribute(
        "food",
        ("What does the {subject} eat?", "Tell me the food of the {subject}."),
        "The {topic} eats {value}.",
        "It eats {value}.",
    ),
    _Attribute(
        "legs",
        ("How many legs does the {subject} have?", "Count the legs of the {subject}."),
        "The {topic} has {value} legs.",
        "It has {value} legs.",
    ),
    _Attribute(
        "young",
        ("What is a young {subject} called?", "Name the baby of the {subject}."),
        "A young {topic} is called a {value}.",
        "It is called a {value}.",
    ),
)

_THING_ATTRIBUTES = (
    _Attribute(
        "colour",
        ("What colour is the {subject}?", "Tell me the colour of the {subject}."),
        "The colour of the {topic} is {value}.",
        "It is {value}.",
    ),
    _Attribute(
        "taste",
        ("How does the {subject} taste?", "Tell me the taste of the {subject}."),
        "The taste of the {topic} is {value}.",
        "It is {value}.",
    ),
)

_COUNTRY_ATTRIBUTES = (
    _Attribute(
        "capital",
        ("What is the capital of {subject}?", "Name the capital city of {subject}."),
        "The capital of {topic} is {value}.",
        "It is {value}.",
    ),
    _Attribute(
        "continent",
        ("Where is {subject}?", "Which part of the world has {subject}?"),
        "{topic} is in {value}.",
        "It is in {value}.",
    ),
    _Attribute(
        "language",
        ("What do people speak in {subject}?", "Name the language of {subject}."),
        "People in {topic} speak {value}.",
        "They speak {value}.",
    ),
)


def _tool(prompt: str, slots: Slots) -> Item:
    tool = slots["tool"]
    return Item(
        category="stem",
        key=f"{tool}-use",
        prompt=prompt,
        topic=tool,
        value=facts.TOOLS[tool],
        values=_distinct(facts.TOOLS.values()),
        frames=("The {topic} measures {value}.",),
        pronoun_frames=("It measures {value}.",),
        details=(tool_detail(tool, facts.TOOLS[tool]),),
        false_details=tuple(
            tool_detail(tool, use) for use in facts.TOOLS.values() if use != facts.TOOLS[tool]
        ),
    )


def tool_detail(tool: str, use: str) -> str:
    """What one does with a tool."""
    return f"Use a {tool} to find the {use}."


# ---------------------------------------------------------------- writing and roleplay


def _writing(prompt: str, slots: Slots) -> Item:
    return Item(
        category="writing",
        key=f"{slots['mood']}-{slots['animal']}",
        prompt=prompt,
        topic=slots["animal"],
        value=slots["mood"],
        values=facts.MOODS,
        frames=("The {value} {topic} {verb} in the {place}.",),
        pronoun_frames=("It is {value} and {verb} in the {place}.",),
        details=facts.IMPRESSIONS,
        false_details=tuple(f"The {p} is {m}." for p in facts.PLACES for m in facts.MOODS),
    )


def job_details(job: str) -> tuple[str, str]:
    """What a person with this job says about it."""
    return (f"I work in the {facts.JOBS[job].workplace}.", f"I use a {facts.JOBS[job].tool}.")


def _roleplay(prompt: str, slots: Slots) -> Item:
    job = slots["job"]
    details = job_details(job)
    every_detail = itertools.chain.from_iterable(map(job_details, facts.JOBS))
    return Item(
        category="roleplay",
        key=job,
        prompt=prompt,
        topic=job,
        value=facts.JOBS[job].work,
        values=_distinct(row.work for row in facts.JOBS.values()),
        frames=("I am a {topic} and I {value}.",),
        pronoun_frames=("Every day I {value}.",),
        details=details,
        false_details=_without(every_detail, details),
    )


# ---------------------------------------------------------------- extraction

_TEXT = "Text: {name} has {count} {colour} {owned} in the {place}. "
_TEXT_SLOTS = {
    "name": facts.NAMES,
    "count": facts.COUNTS[2:],
    "colour": facts.COLOURS,
    "owned": facts.OWNED,
    "place": facts.PLACES,
}


def _extraction_family(
    asked: str, question: str, values: tuple[str, ...], frame: str, pronoun_frame: str
) -> Family:
    def build(prompt: str, slots: Slots) -> Item:
        name, owned = slots["name"], slots["owned"]
        detail = f"The text says that {name} has {slots['count']} {slots['colour']} {owned}."
        others = (
            f"The text says that {name} has {count} {colour} {owned}."
            for count in facts.COUNTS
            for colour in facts.COLOURS
        )
        return Item(
            category="extraction",
            key="-".join((*(slots[slot] for slot in _TEXT_SLOTS), asked)),
            prompt=prompt,
            topic=name,
            value=slots[asked],
            values=values,
            frames=(frame.replace("{owned}", owned),),
            pronoun_frames=(pronoun_frame,),
            details=(detail,),
            false_details=_without(others, (detail,)),
        )

    return Family("extraction", 1, (_TEXT + question,), _TEXT_SLOTS, build)


_EXTRACTION = (
    _extraction_family(
        "count",
        "How many {owned} does {name} have?",
        facts.COUNTS,
        "{topic} has {value} {owned}.",
        "The number is {value}.",
    ),
    _extraction_family(
        "colour",
        "What colour are the {owned} of {name}?",
        facts.COLOURS,
        "The {owned} of {topic} are {value}.",
        "They are {value}.",
    ),
    _extraction_family(
        "place",
        "Where are the {owned} of {name}?",
        facts.PLACES,
        "The {owned} of {topic} are in the {value}.",
        "They are in the {value}.",
    ),
)

# ---------------------------------------------------------------- reasoning


def _bigger(prompt: str, slots: Slots) -> Item | None:
    pair = (slots["one"], slots["two"])
    if pair[0] == pair[1]:
        return None
    small, big = sorted(pair, key=facts.SMALL_TO_BIG.index)
    return Item(
        category="reasoning",
        key="-".join(sorted(pair)),
        prompt=prompt,
        topic="bigger",
        value=big,
        values=pair,
        frames=("The {value} is {topic} than the {other}.",),
        pronoun_frames=("It is the {value}.",),
        details=(f"The {small} is smaller than the {big}.",),
        false_details=(f"The {big} is smaller than the {small}.",),
    )


def _draw_bigger(rng: Random) -> Slots:
    return dict(zip(("one", "two"), rng.sample(facts.SMALL_TO_BIG, 2), strict=True))


def _chain(prompt: str, slots: Slots) -> Item | None:
    top, middle, bottom = slots["top"], slots["middle"], slots["bottom"]
    er, est = slots["er"], slots["est"]
    if len({top, middle, bottom}) < 3 or facts.COMPARISONS[er] != est:
        return None
    return Item(
        category="reasoning",
        key=f"{top}-{middle}-{bottom}-{er}",
        prompt=prompt,
        topic=est,
        value=top,
        values=(top, middle, bottom),
        frames=("{value} is the {topic}.",),
        pronoun_frames=("It is {value}.",),
        details=(f"{top} is {er} than {bottom}.",),
        false_details=(f"{bottom} is {er} than {top}.",),
    )


def _draw_chain(rng: Random) -> Slots:
    er, est = rng.choice(list(facts.COMPARISONS.items()))
    top, middle, bottom = rng.sample(facts.NAMES, 3)
    return {"top": top, "middle": middle, "bottom": bottom, "er": er, "est": est}


# ---------------------------------------------------------------- math

_DIGITS = tuple(str(number) for number in range(11))
_RESULTS = tuple(str(number) for number in range(21))


def _sum(prompt: str, slots: Slots) -> Item:
    a, b = int(slots["a"]), int(slots["b"])
    return _calculation(prompt, "sum", a, b, a + b, "up", "down")


def _rest(prompt: str, slots: Slots) -> Item | None:
    a, b = int(slots["a"]), int(slots["b"])
    return _calculation(prompt, "rest", a, b, a - b, "down", "up") if a >= b else None


def _calculation(prompt: str, topic: str, a: int, b: int, result: int, way: str, back: str) -> Item:
    return Item(
        category="math",
        key=f"{topic}-{a}-{b}",
        prompt=prompt,
        topic=topic,
        value=str(result),
        values=_RESULTS,
        frames=(f"The {{topic}} of {a} and {b} is {{value}}.",),
        pronoun_frames=("It is {value}.",),
        details=(f"Start at {a} and count {b} {way}.",),
        false_details=(f"Start at {b} and count {a} {back}.",),
    )


def _draw_rest(rng: Random) -> Slots:
    a, b = sorted((rng.randint(0, 10), rng.randint(0, 10)), reverse=True)
    return {"a": str(a), "b": str(b)}


# ---------------------------------------------------------------- coding


def _coding_family(length: int) -> Family:
    names = tuple(f"word{place}" for place in range(length))

    def build(prompt: str, slots: Slots) -> Item | None:
        words = tuple(slots[name] for name in names)
        return _list_call(prompt, slots["call"], words) if len(set(words)) == length else None

    def draw_slots(rng: Random) -> Slots:
        words = rng.sample(facts.LIST_WORDS, length)
        return {"call": rng.choice(_CALLS), **dict(zip(names, words, strict=True))}

    listed = "[ " + " , ".join(f"{{{name}}}" for name in names) + " ]"
    return Family(
        "coding",
        1,
        (f"What is {{call}} of {listed} ?", f"Run {{call}} on {listed} ."),
        {"call": _CALLS, **dict.fromkeys(names, facts.LIST_WORDS)},
        build,
        draw_slots,
    )


_CALLS = ("first", "last", "length", "reverse")


def _list_call(prompt: str, call: str, words: tuple[str, ...]) -> Item:
    starts, ends = f"The list starts with {words[0]}.", f"The list ends with {words[-1]}."
    value, values, detail = {
        "first": (words[0], words, starts),
        "last": (words[-1], words, ends),
        "length": (facts.COUNTS[len(words)], facts.COUNTS[1:6], starts),
        "reverse": (" ".join(reversed(words)), _orders(words), ends),
    }[call]
    others = itertools.chain.from_iterable(
        (f"The list starts with {word}.", f"The list ends with {word}.")
        for word in facts.LIST_WORDS
    )
    return Item(
        category="coding",
        key="-".join((call, *words)),
        prompt=prompt,
        topic=call,
        value=value,
        values=values,
        frames=("The {topic} is {value}.",),
        pronoun_frames=("It gives {value}.",),
        details=(detail,),
        false_details=_without(others, (starts, ends)),
    )


def _orders(words: tuple[str, ...]) -> tuple[str, ...]:
    """A list backwards, unchanged, turned by one, and backwards with its first word lost."""
    orders = [words[::-1], words, words[1:] + words[:1]]
    if len(words) > 2:
        orders.append(words[:0:-1])
    return tuple(dict.fromkeys(" ".join(order) for order in orders))


# ---------------------------------------------------------------- all families

FAMILIES: tuple[Family, ...] = (
    Family(
        "writing",
        1,
        (
            "Write a line about a {mood} {animal}.",
            "Tell me about a {mood} {animal}.",
            "Write about the {mood} {animal}.",
        ),
        {"mood": facts.MOODS, "animal": tuple(facts.ANIMALS)},
        _writing,
    ),
    Family(
        "roleplay",
        1,
        (
            "Pretend to be a {job}.",
            "You are a {job}. What do you do?",
            "Speak as a {job}.",
            "Act like a {job} and tell me about your day.",
        ),
        {"job": tuple(facts.JOBS)},
        _roleplay,
    ),
    *_EXTRACTION,
    Family(
        "reasoning",
        0.4,
        (
            "Which is bigger, the {one} or the {two}?",
            "The {one} and the {two}: which one is bigger?",
        ),
        {"one": facts.SMALL_TO_BIG, "two": facts.SMALL_TO_BIG},
        _bigger,
        _draw_bigger,
    ),
    Family(
        "reasoning",
        0.6,
        (
            "{top} is {er} than {middle}. {middle} is {er} than {bottom}. Who is {est}?",
            "{middle} is {er} than {bottom}. {top} is {er} than {middle}. Who is {est}?",
        ),
        {
            "top": facts.NAMES,
            "middle": facts.NAMES,
            "bottom": facts.NAMES,
            "er": tuple(facts.COMPARISONS),
            "est": tuple(facts.COMPARISONS.values()),
        },
        _chain,
        _draw_chain,
    ),
    Family(
        "math",
        0.5,
        ("What is {a} plus {b}?", "Add {a} and {b}."),
        {"a": _DIGITS, "b": _DIGITS},
        _sum,
    ),
    Family(
        "math",
        0.3,
        ("What is {a} minus {b}?", "Take {b} from {a}."),
        {"a": _DIGITS, "b": _DIGITS},
        _rest,
        _draw_rest,
    ),
    Family(
        "math",
        0.2,
        ("{name} has {a} {owned} and gets {b} more. How many {owned} are there?",),
        {"name": facts.NAMES, "a": _DIGITS, "owned": facts.OWNED, "b": _DIGITS},
        _sum,
    ),
    *map(_coding_family, (2, 3, 4)),
    *_table_families("stem", 0.6, facts.ANIMALS, _ANIMAL_ATTRIBUTES),
    *_table_families("stem", 0.25, facts.THINGS, _THING_ATTRIBUTES),
    Family(
        "stem",
        0.15,
        ("What does a {tool} measure?", "Tell me the use of a {tool}."),
        {"tool": tuple(facts.TOOLS)},
        _tool,
    ),
    *_table_families("humanities", 1, facts.COUNTRIES, _COUNTRY_ATTRIBUTES),
)
