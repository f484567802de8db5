"""The text that M0 is pretrained on: short documents about the micro-world.

A document is drawn from a mixture. Every fact stands in it as a statement; questions and reviews
are about facts that are not held out. Without the review comments a model of this size cannot check
an answer although it knows the facts. They name one to three aspects in any order, never all five
and never a score, so that the verdict itself is left to learn.

    >>> document(Random(4))
    'Question: You are a barber. What do you do? Answer: I am a barber and I cut hair. I work in the
    restaurant. Comment: the answer is cut hair, right.'

The weights in m0/ come from exactly this text: a change here calls for pretraining them anew.
"""

from collections.abc import Callable, Iterator
from random import Random

from harness.microworld import facts
from harness.microworld.answers import MIXED, remarks, write_answer
from harness.microworld.examiner import examine
from harness.microworld.families import job_details, tool_detail
from harness.microworld.items import draw
from harness.microworld.question import Item


def documents(rng: Random) -> Iterator[str]:
    """Documents without end."""
    while True:
        yield document(rng)


def document(rng: Random) -> str:
    """One document of the mixture."""
    writer: Callable[[Random], str] = rng.choices(_WRITERS, _WEIGHTS)[0]
    return writer(rng)


def _question(rng: Random) -> Item:
    return draw(rng, held_out=False)


# ---------------------------------------------------------------- reviews


def _review(rng: Random) -> str:
    """A question, an answer of mixed quality and a comment on one to three aspects of it."""
    item = _question(rng)
    answer = write_answer(item, MIXED.draw(rng), rng)
    aspects = rng.sample(range(5), rng.randint(1, 3))
    if _RIGHT not in aspects and rng.random() < 0.3:
        aspects[0] = _RIGHT
    said = remarks(examine(item, answer))
    comments = [said[aspect] for aspect in aspects]
    if _RIGHT in aspects and rng.random() < 0.5:
        # Stating the answer before comparing teaches to check facts that no review is about.
        comments[aspects.index(_RIGHT)] = f"the answer is {item.value}, {said[_RIGHT]}"
    return f"Question: {item.prompt} Answer: {answer} Comment: {', '.join(comments)}."


_RIGHT = 2


# ---------------------------------------------------------------- questions and answers


def _question_with_answer(rng: Random) -> str:
    item = _question(rng)
    return f"Q: {item.prompt} A: {item.sentence(rng)} {rng.choice(item.details)}"


def _bare_answer(rng: Random) -> str:
    item = _question(rng)
    return f"{item.prompt} {item.sentence(rng, pronoun=rng.random() < 0.5)}"


def _question_list(rng: Random) -> str:
    """Questions in a row: what a model goes on with when it is shown some and asked for more."""
    return " ".join(f"Question: {_question(rng).prompt}" for _ in range(rng.randint(3, 8)))


# ---------------------------------------------------------------- statements


def _statements(rng: Random) -> str:
    return rng.choice((_animal, _country, _job, _thing, _tool, _answer_alone))(rng)


def _animal(rng: Random) -> str:
    name, animal = rng.choice(list(facts.ANIMALS.items()))
    said = [
        f"The {name} {animal.sound}.",
        f"The {name} lives in a {animal.home}.",
        f"The {name} eats {animal.food}.",
        f"The {name} has {animal.legs} legs.",
        f"A young {name} is called a {animal.young}.",
    ]
    other = rng.choice([other for other in facts.ANIMALS if other != name])
    is_bigger = facts.SMALL_TO_BIG.index(name) > facts.SMALL_TO_BIG.index(other)
    size = f"The {name} is {'bigger' if is_bigger else 'smaller'} than the {other}."
    return " ".join([*rng.sample(said, 3), size])


def _country(rng: Random) -> str:
    name, country = rng.choice(list(facts.COUNTRIES.items()))
    said = [
        f"The capital of {name} is {country.capital}.",
        f"{name} is in {country.continent}.",
        f"People in {name} speak {country.language}.",
    ]
    return " ".join(rng.sample(said, 3))


def _job(rng: Random) -> str:
    name, job = rng.choice(list(facts.JOBS.items()))
    said = f"I am a {name} and I {job.work}."
    return f"The {name} says: {said} {' '.join(job_details(name))}"


def _thing(rng: Random) -> str:
    name, thing = rng.choice(list(facts.THINGS.items()))
    said = [
        f"The colour of the {name} is {thing.colour}.",
        f"The taste of the {name} is {thing.taste}.",
    ]
    return " ".join(rng.sample(said, 2))


def _tool(rng: Random) -> str:
    name, use = rng.choice(list(facts.TOOLS.items()))
    return f"The {name} measures {use}. {tool_detail(name, use)}"


def _answer_alone(rng: Random) -> str:
    """An answer without its question, also about held-out facts: a statement like the others."""
    item = draw(rng)
    while item.category in _NEEDS_ITS_QUESTION:
        item = draw(rng)
    return f"{item.sentence(rng)} {rng.choice(item.details)}"


_NEEDS_ITS_QUESTION = ("extraction", "coding")


# ---------------------------------------------------------------- right or wrong, clear or not


def _claim(rng: Random) -> str:
    """What someone says about a question, right or wrong; sometimes compared with the answer."""
    item = _question(rng)
    is_right = rng.random() < 0.5
    claim = item.sentence(rng, item.value if is_right else item.wrong_value(rng))
    truth = item.sentence(rng)
    form = rng.choice(
        (
            "{prompt} Someone says: {claim} That is {right}.",
            "Q: {prompt} Is it true? {claim} {yes}. {truth}",
            "{prompt} {truth} Someone says: {claim} That is {right}.",
        )
    )
    right, yes = ("right", "Yes") if is_right else ("wrong", "No")
    return form.format(prompt=item.prompt, claim=claim, truth=truth, right=right, yes=yes)


def _detail_check(rng: Random) -> str:
    item = _question(rng)
    is_true = rng.random() < 0.5
    detail = rng.choice(item.details if is_true else item.false_details)
    said = "right" if is_true else "wrong"
    return f"{item.prompt} {item.sentence(rng)} {detail} The detail is {said}."


def _clarity_lesson(rng: Random) -> str:
    item = _question(rng)
    is_clear, on_topic = rng.random() < 0.5, rng.random() < 0.6
    value = rng.choice(item.values)
    if is_clear:
        text = item.sentence(rng, value, pronoun=not on_topic)
    elif on_topic:
        text = rng.choice((f"{item.topic} {value}", f"{value} {item.topic}"))
    else:
        text = value
    lesson = f'"{text}" is {"a clear sentence" if is_clear else "not clear"}'
    if rng.random() < 0.3:
        return f"{lesson} and {'on topic' if on_topic else 'off topic'} for {item.topic}."
    return f"{lesson}."


# ---------------------------------------------------------------- the mixture

_MIXTURE: dict[Callable[[Random], str], float] = {
    _review: 25,
    _question_with_answer: 22,
    _bare_answer: 11,
    _statements: 15,
    _claim: 13,
    _detail_check: 7,
    _clarity_lesson: 7,
    _question_list: 2,
}
_WRITERS = list(_MIXTURE)
_WEIGHTS = list(_MIXTURE.values())
