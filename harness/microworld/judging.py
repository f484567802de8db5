"""What the exact examiner writes about the answers in a judge prompt.

It knows these prompts, by the text before their first placeholder, and answers each as it asks:

    rubric `microworld`                 points from 0 to 5
    rubric `microworld_compare`         A, B or tie
    AlpacaEval's `alpaca_eval_clf`      m or M; for equal answers m, at a probability of 0.5
    AlpacaEval's `alpaca_eval_gpt4`     ranks; for equal answers the first, so that orders disagree
    the micro-world's for MT-Bench      twice the points, at least 1; A, B, or C for a tie; in a
                                        second turn, for the second question's answers alone

A question outside the micro-world is a failure of that row, not a guess. So is an answer that
quotes the prompt in such a way that the answers could be told apart differently.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from harness.judge import ALPACA_EVAL, Rubric, pairwise, pointwise
from harness.microworld.answers import verdict
from harness.microworld.benchmarks.conversations import judge_prompts
from harness.microworld.examiner import Marks, examine
from harness.microworld.items import parse
from harness.protocols import Step
from harness.records import Failure

Written = tuple[Step, ...]
"""A verdict, token by token; a token is as long as no other token could stand in its place."""


def judge(text: str) -> Written | Failure:
    """Write the verdict that a judge prompt asks for, or say why there is none."""
    template = next((one for one in _templates() if text.startswith(one.start)), None)
    if template is None:
        return _unread("no_question", text)
    values = template.read(text)
    if isinstance(values, Failure):
        return values
    item = parse(values[template.question])
    if item is None:
        return _unread("unknown_question", values[template.question])
    return template.write(*(examine(item, values[answer]) for answer in template.answers))


# ---------------------------------------------------------------- what it reads


@dataclass(frozen=True)
class _Template:
    """A judge prompt, where in it the examiner looks, and what it writes there.

    Questions and references come before the answers, from the data and not from a model: each ends
    where the text that follows it in the template begins.
    """

    text: str
    question: str
    """The placeholder of the question that is examined."""
    answers: tuple[str, ...]
    """The placeholders of the answers to it."""
    write: Callable[..., Written]

    @cached_property
    def pieces(self) -> tuple[str, ...]:
        """Text and placeholders by turns, text at both ends."""
        return tuple(_PLACEHOLDERS.split(self.text))

    @property
    def start(self) -> str:
        """What no other judge prompt begins with."""
        return self.pieces[0]

    def read(self, text: str) -> Mapping[str, str] | Failure:
        """Read the values back, if there is one way to do so.

        An answer that holds the text between two answers could rewrite the one that it is
        compared with. All ways lie between the one that ends every answer at the first such text
        and the one that ends it at the last, so there is one way where these two are the same.
        """
        names, between, end = self.pieces[1::2], self.pieces[2:-1:2], self.pieces[-1]
        if not text.endswith(end):
            return _unread("no_question", text)
        first = sum(not _FROM_A_MODEL.match(name) for name in names)
        *trusted, rest = _cut(text[len(self.start) : len(text) - len(end)], between[:first])
        answers = _cut(rest, between[first:])
        if len(trusted) + len(answers) < len(names):
            return _unread("no_question", text)
        if answers != _cut_from_the_end(rest, between[first:]):
            return _unread("ambiguous_prompt", text)
        return dict(zip(names, (*trusted, *answers), strict=True))


_PLACEHOLDERS = re.compile(r"\{(instruction|response|output_[12]|question\w*|(?:ref_)?answer\w*)\}")
_FROM_A_MODEL = re.compile("response|output|answer")


def _cut(text: str, marks: Sequence[str]) -> list[str]:
    """Cut a text at the first of each mark in turn; fewer parts where a mark is missing."""
    parts = []
    for mark in marks:
        part, found, rest = text.partition(mark)
        if not found:
            break
        parts.append(part)
        text = rest
    return [*parts, text]


def _cut_from_the_end(text: str, marks: Sequence[str]) -> list[str]:
    """Cut a text at the last of each mark, all of which are there."""
    parts: list[str] = []
    for mark in reversed(marks):
        text, _, part = text.rpartition(mark)
        parts.insert(0, part)
    return [text, *parts]


def _unread(reason: str, text: str) -> Failure:
    return Failure(reason=reason, detail=text[:160])


_CLF = f"{ALPACA_EVAL}alpaca_eval_clf_gpt4_turbo/alpaca_eval_clf.txt"
_RANKING = f"{ALPACA_EVAL}alpaca_eval_gpt4/alpaca_eval.txt"


@cache
def _templates() -> tuple[_Template, ...]:
    """Every judge prompt the examiner knows."""
    one, two = ("response",), ("output_1", "output_2")
    return (
        _of_rubric(pointwise("microworld"), one, _review),
        _of_rubric(pairwise("microworld_compare"), two, _better),
        _of_rubric(pairwise(_CLF), two, _identifier),
        _of_rubric(pairwise(_RANKING), two, _ranking),
        *(_of_mt_bench(row["prompt_template"]) for row in judge_prompts()),
    )


def _of_rubric(
    rubric: Rubric, answers: tuple[str, ...], write: Callable[..., Written]
) -> _Template:
    return _Template(rubric.turns[-1].content, "instruction", answers, write)


def _of_mt_bench(text: str) -> _Template:
    turn = "_2" if "{question_2}" in text else ""
    if f"{{answer{turn}}}" in text:
        return _Template(text, f"question{turn}", (f"answer{turn}",), _rating)
    answers = (f"answer_a{turn}", f"answer_b{turn}")
    return _Template(text, f"question{turn}", answers, _preference)


# ---------------------------------------------------------------- what it writes


def _said(*tokens: str) -> Written:
    return tuple(Step(token, ((token, 0.0),)) for token in tokens)


def _review(marks: Marks) -> Written:
    text = verdict(marks)
    points = str(marks.score)
    return _said(text.removesuffix(points), points)


def _better(first: Marks, second: Marks) -> Written:
    a, b = first.score, second.score
    return _said(f"A {a}, B {b}. Better: {'tie' if a == b else 'A' if a > b else 'B'}")


def _identifier(first: Marks, second: Marks) -> Written:
    if first.score == second.score:
        half = math.log(0.5)
        return (Step("m", (("m", half), ("M", half))),)
    return _said("m" if first.score > second.score else "M")


def _ranking(first: Marks, second: Marks) -> Written:
    ranks = (1, 2) if first.score >= second.score else (2, 1)
    return _said(str([{"model": f"model_{k}", "rank": rank} for k, rank in enumerate(ranks, 1)]))


def _rating(marks: Marks) -> Written:
    return _said(f"{verdict(marks)}. Rating: [[{max(1, 2 * marks.score)}]]")


def _preference(first: Marks, second: Marks) -> Written:
    a, b = first.score, second.score
    return _said(f"A {a}, B {b}. [[{'C' if a == b else 'A' if a > b else 'B'}]]")
