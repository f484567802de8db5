"""The micro-world's rows: what training and evaluations are fed with, made on the spot from a seed.

    ift          demonstrations of mixed quality             not held out
    eft          ranked answers with an annotator's verdicts not held out
    prompts      questions to train on                       not held out
    preferences  ranked answers without verdicts             held out
    evaluation   questions to answer                         held out

The ranks are a person's: by the exact score, with some noise. The verdicts are an annotator's, who
sometimes errs and is not always of that person's mind: whoever trains decides which to believe. The
exact score of an answer is `examine(parse(prompt), text).score`.

    >>> group = ranked_groups()[0]
    >>> group.prompt
    'What do people speak in Norway?'
    >>> group.responses[1].text, group.responses[1].rank
    ('People in Norway speak Ukrainian.', 1)
    >>> group.responses[1].verdict
    'on topic, gives an answer, wrong, clear, no detail. Score: 3'
"""

from collections.abc import Callable, Hashable, Iterator
from random import Random
from typing import TypeVar

from harness.data.examples import Demonstration, PromptRow, RankedGroup, RankedResponse, text_id
from harness.microworld.answers import GOOD, MIXED, verdict, write_answer
from harness.microworld.examiner import Marks, examine
from harness.microworld.items import draw
from harness.microworld.question import Item

ANNOTATOR_ERROR = 0.03
"""How often an annotator misjudges a criterion."""
HUMAN_NOISE = 0.35
"""Standard deviation of a person's score around the exact one, in points."""

Row = TypeVar("Row")


def demonstrations(rows: int = 1200, seed: int = 0) -> tuple[Demonstration, ...]:
    """Questions with an answer to learn from; mean exact score 3.4."""

    def one(rng: Random) -> Demonstration:
        item = draw(rng, held_out=False)
        answer = write_answer(item, GOOD.draw(rng), rng)
        return Demonstration(text_id(item.prompt, answer), item.prompt, answer)

    return _distinct(rows, Random(f"ift-{seed}"), one, lambda row: row.id)


def ranked_groups(groups: int = 1150, seed: int = 0) -> tuple[RankedGroup, ...]:
    """Questions with two to four answers, a person's ranks and an annotator's verdicts.

    In about 13 % of the groups a verdict contradicts the person's order: 1,150 make 1,000 to trust.
    """
    return _groups(groups, Random(f"eft-{seed}"), held_out=False)


def preferences(groups: int = 200, seed: int = 0) -> tuple[RankedGroup, ...]:
    """Held-out questions with two to four answers and a person's ranks, to test a judge with."""
    return _groups(groups, Random(f"preferences-{seed}"), held_out=True)


def training_prompts(rows: int = 300, seed: int = 0) -> tuple[PromptRow, ...]:
    """Questions to train on."""
    return _prompts(rows, Random(f"prompts-{seed}"), held_out=False)


def evaluation_prompts(rows: int = 300, seed: int = 0) -> tuple[PromptRow, ...]:
    """Held-out questions to answer."""
    return _prompts(rows, Random(f"evaluation-{seed}"), held_out=True)


def _prompts(rows: int, rng: Random, *, held_out: bool) -> tuple[PromptRow, ...]:
    def one(rng: Random) -> PromptRow:
        item = draw(rng, held_out=held_out)
        return PromptRow(text_id(item.prompt), item.prompt, item.category)

    return _distinct(rows, rng, one, lambda row: row.id)


def _groups(count: int, rng: Random, *, held_out: bool) -> tuple[RankedGroup, ...]:
    def one(rng: Random) -> RankedGroup:
        item = draw(rng, held_out=held_out)
        answers = _distinct(
            rng.randint(2, 4),
            rng,
            lambda rng: write_answer(item, MIXED.draw(rng), rng),
            lambda answer: answer,
        )
        responses = _ranked(item, answers, rng, annotated=not held_out)
        return RankedGroup(text_id(item.prompt, *answers), item.prompt, responses)

    return _distinct(count, rng, one, lambda group: group.id)


def _ranked(
    item: Item, answers: tuple[str, ...], rng: Random, *, annotated: bool
) -> tuple[RankedResponse, ...]:
    """Answers in the order of a person, each with the verdict of an annotator."""
    marked = []
    for answer in answers:
        marks = examine(item, answer)
        human = marks.score + rng.gauss(0, HUMAN_NOISE)
        seen = Marks(*(mark != (rng.random() < ANNOTATOR_ERROR) for mark in marks))
        marked.append((human, answer, verdict(seen) if annotated else None))
    marked.sort(key=lambda entry: -entry[0])
    return tuple(
        RankedResponse(text=answer, rank=rank, verdict=said, score=human)
        for rank, (human, answer, said) in enumerate(marked)
    )


def _distinct(
    count: int, rng: Random, draw_one: Callable[[Random], Row], key: Callable[[Row], Hashable]
) -> tuple[Row, ...]:
    """The first `count` rows with different keys."""
    return tuple(row for row, _ in zip(_different(rng, draw_one, key), range(count), strict=False))


def _different(
    rng: Random, draw_one: Callable[[Random], Row], key: Callable[[Row], Hashable]
) -> Iterator[Row]:
    seen: set[Hashable] = set()
    while True:
        row = draw_one(rng)
        if key(row) not in seen:
            seen.add(key(row))
            yield row
