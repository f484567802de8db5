"""What the judge is asked: eight prompts by name, FastChat's own or ours in the same structure.

                     first turn        second turn
    one answer       single-v1         single-v1-multi-turn
    ... reference    single-math-v1    single-math-v1-multi-turn
    two answers      pair-v2           pair-v2-multi-turn
    ... reference    pair-math-v1      pair-math-v1-multi-turn

FastChat's texts are read from its `judge_prompts.jsonl` where the user has it; without it the ones
of the same structure that lie beside this file are used, and every result says which.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from string import Formatter
from typing import Any

from evals.mt_bench.questions import MICROWORLD, Question, Turns
from harness.data import folder
from harness.data.files import read_table
from harness.errors import ConfigError
from harness.microworld import benchmarks
from harness.protocols import Message, Prompt

FASTCHAT = "fd283293406d024f44c174b094ef48031d0687a4682fd3a56b29b138f80281b6"
"""The sha256 of FastChat's `judge_prompts.jsonl`."""

_OURS = "judge_prompts.jsonl"

_SHOWN: Mapping[str, tuple[set[str], set[str]]] = {
    "single-v1": ({"answer"}, {"question"}),
    "single-math-v1": ({"answer"}, {"question", "ref_answer_1"}),
    "single-v1-multi-turn": ({"answer_2"}, {"question_1", "question_2", "answer_1"}),
    "single-math-v1-multi-turn": (
        {"answer_2"},
        {"question_1", "question_2", "answer_1", "ref_answer_1", "ref_answer_2"},
    ),
    "pair-v2": ({"answer_a", "answer_b"}, {"question"}),
    "pair-math-v1": ({"answer_a", "answer_b"}, {"question", "ref_answer_1"}),
    "pair-v2-multi-turn": (
        {"answer_a_2", "answer_b_2"},
        {"question_1", "question_2", "answer_a_1", "answer_b_1"},
    ),
    "pair-math-v1-multi-turn": (
        {"answer_a_2", "answer_b_2"},
        {"question_1", "question_2", "answer_a_1", "answer_b_1", "ref_answer_1", "ref_answer_2"},
    ),
}
"""By prompt, the placeholders it cannot do without, and those it may have besides."""


@dataclass(frozen=True)
class Asked:
    """A prompt with everything filled in."""

    name: str
    """Of the prompt."""
    system: str
    text: str

    @property
    def prompt(self) -> Prompt:
        """The system's turn, where there is one, and the user's."""
        turns = (Message("system", self.system), Message("user", self.text))
        return turns if self.system else turns[1:]

    @property
    def is_pair(self) -> bool:
        """Whether two answers are compared, and not one rated."""
        return self.name.startswith("pair")

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that the judge reads: the same one is asked once."""
        return hashlib.sha256(json.dumps([self.system, self.text]).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class JudgePrompt:
    """A prompt with placeholders."""

    name: str
    system: str
    template: str

    def fill(self, values: Mapping[str, str]) -> Asked:
        """Fill the template alone, in one pass: braces in an answer are only text."""
        return Asked(self.name, self.system, self.template.format(**values))


@dataclass(frozen=True)
class JudgePrompts:
    """All prompts of one file."""

    by_name: Mapping[str, JudgePrompt]
    wording: str
    """Whose words they are, for a result's description."""
    note: str
    """What a reader must know of that; nothing where they are FastChat's."""

    @cached_property
    def fingerprint(self) -> str:
        """Names the exact texts."""
        texts = sorted([one.name, one.system, one.template] for one in self.by_name.values())
        return f"mt_bench@{hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:12]}"

    def single(
        self, question: Question, answers: Sequence[str], turn: int, reference: Turns | None
    ) -> Asked:
        """Ask for a rating of the answer to a turn; the second is shown with the first."""
        name = f"single-{'math-' if reference else ''}v1{_SUFFIX[turn]}"
        values = {"answer": answers[0], **_numbered("answer", answers)}
        return self.by_name[name].fill({**values, **_context(question, reference)})

    def pair(
        self,
        question: Question,
        answers: tuple[Sequence[str], Sequence[str]],
        turn: int,
        reference: Turns | None,
    ) -> Asked:
        """Ask which of two answers to a turn is better, assistant A's or assistant B's."""
        name = f"pair-{'math-v1' if reference else 'v2'}{_SUFFIX[turn]}"
        values: dict[str, str] = {}
        for which, said in zip(("answer_a", "answer_b"), answers, strict=True):
            values |= {which: said[0], **_numbered(which, said)}
        return self.by_name[name].fill({**values, **_context(question, reference)})


_SUFFIX = {1: "", 2: "-multi-turn"}


def _context(question: Question, reference: Turns | None) -> dict[str, str]:
    shown = {"question": question.turns[0], **_numbered("question", question.turns)}
    return shown | _numbered("ref_answer", reference or ())


def _numbered(name: str, texts: Sequence[str]) -> dict[str, str]:
    return {f"{name}_{number}": text for number, text in enumerate(texts, start=1)}


def load(file: Path | None, data: str) -> JudgePrompts:
    """Read the prompts to judge with.

    Args:
        file: A `judge_prompts.jsonl`. Without it, the micro-world has its own, and any other data
            is judged with FastChat's where it was pulled into the data folder, or else with ours.
        data: What the questions are from.

    Raises:
        ConfigError: a prompt is missing, or has placeholders that it cannot have.
        DataError: the file cannot be read.
    """
    if file is None and data == MICROWORLD:
        rows = benchmarks.mt_bench().judge_prompts
        wording = "judge prompts of the micro-world"
        return JudgePrompts(_prompts(rows, MICROWORLD), wording, "")
    file = file or folder.find("mt_bench/judge_prompts.jsonl")
    if file is None:
        ours = resources.files("evals.mt_bench") / _OURS
        rows = [json.loads(line) for line in ours.read_text(encoding="utf-8").splitlines()]
        return JudgePrompts(_prompts(rows, _OURS), OUR_WORDS, f"{OUR_WORDS}, not FastChat's")
    by_name = _prompts(read_table(str(file)).rows, str(file))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if digest == FASTCHAT:
        return JudgePrompts(by_name, f"FastChat's judge prompts ({digest[:12]})", "")
    wording = f"judge prompts of {file.name} ({digest[:12]})"
    return JudgePrompts(by_name, wording, f"{wording}, not FastChat's")


OUR_WORDS = "judge prompts in our own words"


def _prompts(rows: Sequence[Mapping[str, Any]], source: str) -> dict[str, JudgePrompt]:
    found = {row.get("name"): row for row in rows}
    missing = [name for name in _SHOWN if name not in found]
    if missing:
        raise ConfigError(
            f"{source} has no judge prompt {', '.join(missing)}; "
            f"MT-Bench needs the eight of FastChat's judge_prompts.jsonl: {', '.join(_SHOWN)}"
        )
    return {name: _prompt(name, found[name], source) for name in _SHOWN}


def _prompt(name: str, row: Mapping[str, Any], source: str) -> JudgePrompt:
    system, template = row.get("system_prompt") or "", row.get("prompt_template")
    if not isinstance(system, str) or not isinstance(template, str):
        raise ConfigError(f"judge prompt {name!r} of {source} has no text as prompt_template")
    try:
        there = {field for _, field, _, _ in Formatter().parse(template) if field is not None}
    except ValueError as error:
        raise ConfigError(f"judge prompt {name!r} of {source} has odd braces: {error}") from error
    needed, possible = _SHOWN[name]
    if not needed <= there <= needed | possible:
        wrong = ", ".join(f"{{{field}}}" for field in sorted(there ^ needed))
        raise ConfigError(
            f"judge prompt {name!r} of {source} cannot be filled (see {wrong}): it needs "
            f"{_listed(needed)} and may have {_listed(possible)}"
        )
    return JudgePrompt(name, system, template)


def _listed(fields: set[str]) -> str:
    return ", ".join(f"{{{field}}}" for field in sorted(fields))
