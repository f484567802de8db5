"""The nine NLP benchmarks' rows, with the fields that lm-eval's task definitions read.

    arc_easy       a call on a list, told in four ways          "It gives red cup."
    arc_challenge  a fact or a sum, told in four ways           "It roars."
    hellaswag      how a text about two people ends             "... The hats of Max are" "red."
    siqa           which of three people                        "Anna is the tallest."
    piqa           which of two things, or a fact about a thing "The colour of the coal is black."
    gsm8k          a calculation with its result                "... #### 7"
    mmlu           five subjects, four values by letter         "A"
    obqa           a fact, as the value alone                   "roars"
    nq             a question with a short answer               ["roars", "The lion roars", ...]

What is evaluated is in the published split (`test` or `validation`); examples are in `train`, or
`dev` for mmlu. M0 has never seen a letter stand for an answer, nor a number after `####`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from harness.data.examples import text_id
from harness.microworld import facts
from harness.microworld.items import draw
from harness.microworld.question import Item

Row = dict[str, Any]
"""One row as its data set has it."""

EVALUATED, EXAMPLES = 64, 32
"""Rows of each benchmark but mmlu."""
MMLU_EVALUATED, MMLU_EXAMPLES = 16, 5
"""Rows of each subject."""
LETTERS = ("A", "B", "C", "D")


@dataclass(frozen=True)
class _Rows:
    """How the rows of a benchmark, or of one of its subjects, are made."""

    suits: Callable[[Item], bool]
    write: Callable[[Item, Random], Row]
    asks: str
    """The field in which any two rows differ."""
    evaluated: str = "test"
    """The split that is evaluated."""

    def draw(self, count: int, rng: Random, *, held_out: bool) -> list[Row]:
        """Draw `count` different rows from one side of the split."""
        rows: dict[str, Row] = {}
        while len(rows) < count:
            item = draw(rng, held_out=held_out)
            if self.suits(item):
                row = self.write(item, rng)
                rows.setdefault(row[self.asks], row)
        return list(rows.values())


def nlp(benchmark: str) -> dict[str, list[Row]]:
    """Make the splits of one of the benchmarks in `NLP`, by name.

    Raises:
        KeyError: there is no such benchmark.
    """
    rng = Random(f"nlp-{benchmark}")
    if benchmark == "mmlu":
        return {
            "dev": _mmlu(MMLU_EXAMPLES, rng, held_out=False),
            "test": _mmlu(MMLU_EVALUATED, rng, held_out=True),
        }
    rows = _BENCHMARKS[benchmark]
    return {
        "train": rows.draw(EXAMPLES, rng, held_out=False),
        rows.evaluated: rows.draw(EVALUATED, rng, held_out=True),
    }


# ---------------------------------------------------------------- which questions suit


def _learnt(item: Item) -> bool:
    return item.category in ("stem", "humanities", "math")


def _calculation(item: Item) -> bool:
    return item.category == "math"


def _worked_out(item: Item) -> bool:
    return item.category == "coding" and len(item.values) >= len(LETTERS)


def _read_from_text(item: Item) -> bool:
    return item.category == "extraction"


def _which_person(item: Item) -> bool:
    return item.topic in facts.COMPARISONS.values()


def _which_thing(item: Item) -> bool:
    about_things = item.category == "stem" and item.topic not in facts.ANIMALS
    return item.topic == "bigger" or about_things


def _known(item: Item) -> bool:
    return item.category in ("stem", "humanities", "roleplay")


def _short_question(item: Item) -> bool:
    one_sentence = item.prompt.endswith("?") and ". " not in item.prompt
    return one_sentence and _learnt(item)


# ---------------------------------------------------------------- rows


def _options(item: Item, count: int, rng: Random, lure: str = "") -> tuple[list[str], int]:
    """The right value among wrong ones, those in the lure before others, and its place."""
    wrong = [value for value in item.values if value != item.value]
    rng.shuffle(wrong)
    wrong.sort(key=lambda value: value not in lure.split())
    options = [item.value, *wrong[: count - 1]]
    rng.shuffle(options)
    return options, options.index(item.value)


def _choices(texts: list[str], right: int) -> Row:
    """Four options as ARC and OpenBookQA have them."""
    return {"choices": {"text": texts, "label": list(LETTERS)}, "answerKey": LETTERS[right]}


def _arc(item: Item, rng: Random) -> Row:
    values, right = _options(item, len(LETTERS), rng)
    told = [item.sentence(rng, value, pronoun=True) for value in values]
    return {"id": text_id(item.prompt), "question": item.prompt, **_choices(told, right)}


def _obqa(item: Item, rng: Random) -> Row:
    values, right = _options(item, len(LETTERS), rng)
    return {"id": text_id(item.prompt), "question_stem": item.prompt, **_choices(values, right)}


def _hellaswag(item: Item, rng: Random) -> Row:
    other = draw(rng)
    while not _read_from_text(other) or other.topic == item.topic:
        other = draw(rng)
    own, lure = _text(item), _text(other)
    begun, _, end = item.frames[0].format(topic=item.topic, value="{value}").partition("{value}")
    told = " ".join((*rng.sample((f"{own}.", f"{lure}."), 2), begun.strip()))
    values, right = _options(item, len(LETTERS), rng, lure)
    return {
        "ind": int(text_id(told)[:6], 16),
        "activity_label": item.category.capitalize(),
        "ctx_a": told,
        "ctx_b": "",  # lm-eval spoils the names in it
        "ctx": told,
        "endings": [f"{value}{end}" for value in values],
        "source_id": f"microworld~{item.key}",
        "split": "val",
        "split_type": "indomain",
        "label": str(right),
    }


def _text(item: Item) -> str:
    return item.prompt.rpartition(". ")[0].removeprefix("Text: ")


def _siqa(item: Item, rng: Random) -> Row:
    context, end, question = item.prompt.rpartition(". ")
    people, right = _options(item, len(item.values), rng)
    first, second, third = (item.sentence(rng, person) for person in people)
    return {
        "context": context + end.strip(),
        "question": question,
        "answerA": first,
        "answerB": second,
        "answerC": third,
        "label": str(right + 1),
    }


def _piqa(item: Item, rng: Random) -> Row:
    values, right = _options(item, 2, rng)
    first, second = (item.sentence(rng, value) for value in values)
    return {"goal": item.prompt, "sol1": first, "sol2": second, "label": right}


def _gsm8k(item: Item, rng: Random) -> Row:
    return {"question": item.prompt, "answer": f"{item.sentence(rng)}\n#### {item.value}"}


def _nq(item: Item, rng: Random) -> Row:
    told = [item.sentence(rng, pronoun=pronoun) for pronoun in (False, True)]
    return {
        "question": item.prompt.removesuffix("?"),
        "answer": [item.value, *(sentence.removesuffix(".") for sentence in told)],
    }


def _mmlu(count: int, rng: Random, *, held_out: bool) -> list[Row]:
    """Make `count` rows of each subject."""
    return [
        {**row, "subject": subject}
        for subject, suits in _SUBJECTS.items()
        for row in _Rows(suits, _of_subject, "question").draw(count, rng, held_out=held_out)
    ]


def _of_subject(item: Item, rng: Random) -> Row:
    values, right = _options(item, len(LETTERS), rng)
    return {"question": item.prompt, "choices": values, "answer": right}


_SUBJECTS: Mapping[str, Callable[[Item], bool]] = {
    "elementary_mathematics": _calculation,
    "high_school_biology": lambda item: item.category == "stem" and item.topic in facts.ANIMALS,
    "high_school_computer_science": _worked_out,
    "high_school_geography": lambda item: item.category == "humanities",
    "miscellaneous": _read_from_text,
}
"""Five of MMLU's 57 subjects, and which questions they have."""

_BENCHMARKS: Mapping[str, _Rows] = {
    "arc_easy": _Rows(_worked_out, _arc, "question"),
    "arc_challenge": _Rows(_learnt, _arc, "question"),
    "hellaswag": _Rows(_read_from_text, _hellaswag, "ctx", "validation"),
    "siqa": _Rows(_which_person, _siqa, "context", "validation"),
    "piqa": _Rows(_which_thing, _piqa, "goal", "validation"),
    "gsm8k": _Rows(_calculation, _gsm8k, "question"),
    "obqa": _Rows(_known, _obqa, "question_stem"),
    "nq": _Rows(_short_question, _nq, "question", "validation"),
}
NLP = (*_BENCHMARKS, "mmlu")
"""The benchmarks by name."""
