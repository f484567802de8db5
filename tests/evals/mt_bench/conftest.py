"""Two-turn questions as a user would have them, and models that say what a test tells them to."""

import json
import re

import pytest

from harness.engines.scripted import prompt_text
from harness.protocols import Completion
from harness.records import Failure, ModelRef


class Killed(Exception):
    """The process is gone."""


class Talker:
    """Says `reply(prompt text)` and keeps what it was asked; a token is a character."""

    chat_template = "a template"

    def __init__(self, reply, name="M1", killed_after=None, failures=None, context=65_536):
        self.reply = reply
        self.ref = ModelRef(name=name, location=name, fingerprint=f"weights of {name}")
        self.killed_after = killed_after
        self.failures = failures or {}
        self.context = context
        self.requests = []

    def generate(self, requests):
        for request in list(requests):
            if len(self.requests) == self.killed_after:
                raise Killed
            self.requests.append(request)
            yield self.complete(request, prompt_text(request.prompt))

    def complete(self, request, text):
        reasons = [reason for pattern, reason in self.failures.items() if re.search(pattern, text)]
        if len(text) >= self.context:
            reasons.append("prompt_too_long")
        if reasons:
            failure = Failure(reason=reasons[0])
            return Completion(request.id, 0, "", finish_reason="failed", failure=failure)
        said = self.reply(text)
        cut = said[: request.sampling.max_tokens]
        reason = "stop" if cut == said else "length"
        return Completion(request.id, 0, cut, (1,), tuple(range(len(cut))), reason)

    @property
    def texts(self):
        return [prompt_text(request.prompt) for request in self.requests]


@pytest.fixture
def talker():
    return Talker


@pytest.fixture
def killed():
    return Killed


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    """Nobody's data folder but the test's."""
    folder = tmp_path / "data folder"
    monkeypatch.setenv("HARNESS_DATA", str(folder))
    return folder


QUESTIONS = [
    {"question_id": 81, "category": "writing", "turns": ["Write 81.", "Rewrite 81."]},
    {"question_id": 111, "category": "math", "turns": ["Add 111.", "Double 111."]},
    {"question_id": 141, "category": "stem", "turns": ["Explain 141.", "Simplify 141."]},
]


def answered(model, turns, ids=(111,)):
    """Rows as `reference_answer` and `model_answer` files have them."""
    return [
        {
            "question_id": id,
            "answer_id": f"{model}{id}",
            "model_id": model,
            "choices": [{"index": 0, "turns": [f"{text} {id}" for text in turns]}],
            "tstamp": 1.0,
        }
        for id in ids
    ]


@pytest.fixture
def answers():
    return answered


@pytest.fixture
def bench(tmp_path):
    """Write the questions and their references; give the path of the questions."""
    folder = tmp_path / "bench"
    (folder / "reference_answer").mkdir(parents=True)
    write(folder / "question.jsonl", QUESTIONS)
    write(folder / "reference_answer" / "gpt-4.jsonl", answered("gpt-4", ["Official", "Doubled"]))
    return str(folder / "question.jsonl")


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def echo():
    """Answer a conversation with what was asked last, and by whom it was answered."""

    def reply_as(name):
        return lambda text: f"{name} says: {text.rpartition('user: ')[2]}"

    return reply_as
