"""Ask a model to mark answers, and read its verdicts.

A judge is a rubric (a text file with placeholders, and the way its verdict is read) and a loaded
model. The same instrument serves self-rewarding, where a model judges itself, and evaluations,
where a stronger model (or the micro-world's exact examiner) judges.

    rubric   Question: {instruction} Answer: {response} ... end with "Score: <points>"
    verdict  "Clear and right, but no detail. Score: 4"     -> Score(4)
             "Clear and right, I would say"                 -> Failure(no_score)

A verdict that cannot be read is a `Failure`, never a number: a number would be averaged into a
score or, worse, trained on.

Points can be had in three ways (`Way`):

    sampled     "Clear, no detail. Score: 4"                                  -> Score(4)
    expected    the same, and what else could stand there: 4 .60, 5 .30       -> Score(4.33)
    one_token   no reasons: the judge goes on after "Score:", 4 .50, 3 .25    -> Score(3.67)
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib import resources
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, cast

from harness.errors import ConfigError, DataError
from harness.protocols import (
    Completion,
    LoadedModel,
    Message,
    Request,
    Role,
    Sampling,
    Watched,
)
from harness.reading import (
    TIE,
    Reader,
    expected_points,
    expected_score,
    first_probabilities,
    points_probabilities,
    read_better,
    read_identifier,
    read_points,
    read_ranking,
)
from harness.records import Failure, Outcome, Score

Way = Literal["sampled", "expected", "one_token"]
"""How points are had: as they were written; as they were expected where they were written; or as
they are expected at once, without reasons, for one token a verdict."""
_LIKELIEST = 20
"""Of how many tokens the probabilities are asked: as many as servers tell."""
_HIGHEST = 5
_LINE = "Score: "
"""What the line that gives the points begins with, in every pointwise rubric."""


def sampling_for(way: Way, sampling: Sampling) -> Sampling:
    """Adapt a sampling of verdicts to how their points are had; one token is drawn in one way."""
    if way == "one_token":
        return Sampling(temperature=0, max_tokens=1, top_logprobs=_LIKELIEST)
    return replace(sampling, top_logprobs=_LIKELIEST) if way == "expected" else sampling


def points_line(points: float) -> str:
    """Write the line that gives points, as `Judge` has it continued."""
    return f"{_LINE}{points:g}"


_CHATML = re.compile(r"<\|im_start\|>(system|user|assistant)\n(.*?)<\|im_end\|>", re.DOTALL)

_PLACEHOLDER = re.compile(
    r"\{(instruction|response|output_1|output_2)\}|<(INSTRUCTION|RESPONSE)_HERE>"
)


@dataclass(frozen=True)
class Rubric:
    """A marking scheme: what the judge is told, and how its verdict is read."""

    name: str
    text: str
    read: Reader
    lowest: int = 0
    """The fewest points that a pointwise rubric gives."""

    @cached_property
    def turns(self) -> tuple[Message, ...]:
        """The text as turns: one of the user's, or several where it is marked up as ChatML."""
        marked = [
            Message(_role(match[1]), match[2].strip()) for match in _CHATML.finditer(self.text)
        ]
        return tuple(marked) or (Message("user", self.text),)

    @property
    def fingerprint(self) -> str:
        """Names the exact prompt text in every result that depends on it."""
        return f"{self.name}@{hashlib.sha256(self.text.encode()).hexdigest()[:12]}"

    def fill(self, values: Mapping[str, str]) -> str:
        """Fill the whole text, as one user turn."""
        return _filled(self.text, values)

    def prompt(self, values: Mapping[str, str]) -> tuple[Message, ...]:
        """Ask for a verdict, turn by turn; markup in an answer is only text."""
        return tuple(turn._replace(content=_filled(turn.content, values)) for turn in self.turns)


def _role(name: str) -> Role:
    return cast(Role, name)


def _filled(text: str, values: Mapping[str, str]) -> str:
    """Fill every placeholder in one pass, so that braces in an answer are only text."""

    def value(match: re.Match[str]) -> str:
        return values[(match[1] or match[2]).lower()]

    return _PLACEHOLDER.sub(value, text)


def pointwise(name_or_file: str) -> Rubric:
    """Load a rubric that gives an answer points: a built-in name, or a file of the user's own."""
    lowest = _LOWEST.get(name_or_file, 0)
    read = partial(read_points, lowest=lowest)
    rubric = _load(name_or_file, read, {"instruction", "response"})
    return replace(rubric, lowest=lowest)


def pairwise(name_or_file: str) -> Rubric:
    """Load a rubric that compares two answers: a built-in name, or a file of the user's own."""
    read = _PACKAGED.get(name_or_file, read_better)
    return _load(name_or_file, read, {"instruction", "output_1", "output_2"})


_LOWEST = {"buckets": 1}
"""Rubrics that give at least so many points."""

ALPACA_EVAL = "alpaca_eval:"
"""Begins the name of a prompt file in the `alpaca_eval` package's `evaluators_configs`."""

_PACKAGED = {
    "alpaca_eval:alpaca_eval_clf_gpt4_turbo/alpaca_eval_clf.txt": read_identifier,
    "alpaca_eval:alpaca_eval_gpt4/alpaca_eval.txt": read_ranking,
}


def _source(name: str) -> Traversable:
    builtin = resources.files("harness") / "rubrics" / f"{name}.txt"
    if name in _PACKAGED:
        spec = find_spec("alpaca_eval")  # found, not imported: that takes seconds
        folders = spec.submodule_search_locations if spec else None
        if folders:
            return Path(folders[0], "evaluators_configs", name.removeprefix(ALPACA_EVAL))
    return builtin if builtin.is_file() else Path(name)


def _load(name_or_file: str, read: Reader, needed: set[str]) -> Rubric:
    source = _source(name_or_file)
    try:
        text = source.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        names = sorted(
            file.name.removesuffix(".txt")
            for file in (resources.files("harness") / "rubrics").iterdir()
        )
        names += sorted(_PACKAGED)
        raise ConfigError(
            f"rubric {name_or_file!r} is neither a readable file nor one of {', '.join(names)}"
        ) from error
    there = {(match[1] or match[2]).lower() for match in _PLACEHOLDER.finditer(text)}
    if there != needed:
        wanted = ", ".join(f"{{{name}}}" for name in sorted(needed))
        raise ConfigError(f"rubric {name_or_file!r} must contain exactly {wanted}")
    name = Path(name_or_file).stem
    return Rubric(name=name, text=text, read=read)


@dataclass(frozen=True)
class Verdict:
    """One judgement of one row."""

    id: str
    index: int
    text: str
    outcome: Outcome
    expected: Outcome | None = None
    """The points' mean under the judge's own token probabilities; None where not asked for."""
    probabilities: Mapping[int, float] | None = None
    """By points, how likely the judge was to give them; None where not asked for, or not told."""


@dataclass(frozen=True)
class Judge:
    """A rubric and a loaded model, with the sampling of its verdicts."""

    rubric: Rubric
    model: LoadedModel
    sampling: Sampling
    way: Way = "sampled"
    """How points are had; `sampling_for` says what that takes."""

    @property
    def asked(self) -> str:
        """How verdicts are drawn and read, in words."""
        return self.sampling.fingerprint + ("" if self.way == "sampled" else f" {self.way}")

    @property
    def fingerprint(self) -> str:
        """Model, prompt and sampling: judges that differ in any of them are different judges."""
        ref = self.model.ref
        parts = (ref.name, ref.fingerprint or ref.location)
        return f"{':'.join(parts)} {self.rubric.fingerprint} {self.asked}"

    @property
    def known_as(self) -> str:
        """The same for a reader: `examiner (exact), microworld@3de6c3bdf453, T=0 ...`."""
        parts = (self.model.ref.known_as, self.rubric.fingerprint, self.asked)
        return ", ".join(parts)

    def check_room(self) -> None:
        """Check that the rubric, with nothing in it yet, and a verdict fit the model's context.

        Raises:
            DataError: they do not, so that not one answer could be judged.
        """
        names = [match[1] or match[2] for match in _PLACEHOLDER.finditer(self.rubric.text)]
        empty = self._prompt({name.lower(): "" for name in names})
        prompt = self.model.count_tokens(empty)
        if prompt + self.sampling.max_tokens > self.model.context:
            raise DataError(
                f"context too short for the judge prompt: rubric {self.rubric.name!r} takes "
                f"{prompt} tokens before question and answer, and a verdict up to "
                f"{self.sampling.max_tokens}, but the context of {self.model.ref.name} is "
                f"{self.model.context}; take a shorter rubric, fewer max_tokens or another model"
            )

    def mark(self, rows: Iterable[tuple[str, Mapping[str, str]]]) -> Iterator[Verdict]:
        """Mark (id, placeholder values) rows, `sampling.n` verdicts each, as they finish."""
        requests = [
            Request(id=id, prompt=self._prompt(values), sampling=self.sampling)
            for id, values in rows
        ]
        compares = self.rubric.read is read_better
        for completion, outcome in hear(self.model, requests, self._read, compares=compares):
            yield Verdict(
                id=completion.id,
                index=completion.index,
                text=f"{self.opening}{completion.text}",
                outcome=outcome,
                expected=(
                    expected_points(completion, lowest=self.rubric.lowest)
                    if self.sampling.top_logprobs and self.way == "sampled"
                    else None
                ),
                probabilities=self._probabilities(completion),
            )

    def _read(self, completion: Completion) -> Outcome:
        if self.way == "one_token":
            return expected_score(completion, lowest=self.rubric.lowest)
        outcome = read_verdict(completion, self.rubric.read)
        if self.way == "sampled" or isinstance(outcome, Failure):
            return outcome
        return expected_points(completion, lowest=self.rubric.lowest)

    @cached_property
    def opening(self) -> str:
        """What is said for a judge of one token: the beginning of the line that gives the points.

        To some tokenizers `Score: 4` is `Score:` and ` 4`, to others `Score: ` and `4`.

        Raises:
            ConfigError: to the judge's it is neither.
        """
        if self.way != "one_token":
            return ""

        def tokens(text: str) -> int:
            return self.model.count_tokens((*self.rubric.turns, Message("assistant", text)))

        begun = tokens(_LINE)
        points = range(self.rubric.lowest, _HIGHEST + 1)
        more = {tokens(points_line(each)) - begun for each in points}
        if more == {0}:
            return _LINE.rstrip()
        if more == {1}:
            return _LINE
        raise ConfigError(
            f"the tokenizer of {self.model.ref.name} has no token of its own for each number of "
            f'points after {_LINE!r}, which read = "one_token" needs; take "expected" or "sampled"'
        )

    def _prompt(self, values: Mapping[str, str]) -> tuple[Message, ...]:
        begun = (Message("assistant", self.opening),) if self.opening else ()
        return (*self.rubric.prompt(values), *begun)

    def _probabilities(self, completion: Completion) -> Mapping[int, float] | None:
        if not self.sampling.top_logprobs:
            return None
        tell = first_probabilities if self.way == "one_token" else points_probabilities
        found = tell(completion, lowest=self.rubric.lowest)
        return None if isinstance(found, Failure) else found


def hear(
    model: LoadedModel,
    requests: Iterable[Request],
    read: Callable[[Completion], Outcome],
    *,
    compares: bool = False,
) -> Iterator[tuple[Completion, Outcome]]:
    """Ask for verdicts, and read each as it comes in, in any order.

    Args:
        model: Who judges.
        requests: What it is asked.
        read: How a verdict is read.
        compares: Whether verdicts compare two answers, so that 0.5 is a tie.

    Raises:
        JudgeUnavailable: after so many verdicts that it may be given up for: nothing that the run's
            judge says can be read.
    """
    watched = model if isinstance(model, Watched) else None
    for completion in model.generate(requests):
        outcome = read(completion)
        yield completion, outcome
        if watched:  # by now the verdict is in a log
            watched.heard(completion, outcome, tied=compares and outcome == _TIED)


_TIED = Score(value=TIE)


def read_verdict(completion: Completion, read: Reader) -> Outcome:
    """Read a judge's completion; a cut-off one is a failure even where it holds a number."""
    if completion.failure is not None:
        return completion.failure
    if completion.finish_reason == "length":
        return Failure.unread("truncated", completion.text)
    return read(completion.text)
