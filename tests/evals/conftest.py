"""A model that says what a test tells it to, and data files as a user would have them."""

import json
from collections.abc import Callable

import pytest

from harness.protocols import Completion
from harness.records import Failure, ModelRef
from harness.rows import RowLog


class Killed(Exception):
    """The process is gone."""


class FakeModel:
    """Replies with `reply(prompt text, sample index)`: a text, a Failure, or None for a cut-off."""

    context = 2048

    def __init__(
        self,
        reply: Callable,
        name: str = "M1",
        killed_after: int | None = None,
        ids: bool = True,
    ):
        self.reply = reply
        self.ids = ids
        self.ref = ModelRef(name=name, location=name, fingerprint=f"weights of {name}")
        self.chat_template = f"template of {name}"
        self.killed_after = killed_after
        self.asked: list[tuple[str, str]] = []
        self.samplings = set()

    def count_tokens(self, prompt):
        return sum(len(message.content.split()) for message in prompt)

    def generate(self, requests):
        requests = list(requests)
        done = 0
        for request in reversed(requests):  # any order is allowed
            [message] = request.prompt
            self.asked.append((request.id, message.content))
            self.samplings.add(request.sampling)
            for index in reversed(range(request.sampling.n)):
                if done == self.killed_after:
                    raise Killed
                done += 1
                yield self._complete(request.id, index, self.reply(message.content, index))

    def _complete(self, id, index, said):
        if isinstance(said, Failure):
            return Completion(id, index, "", finish_reason="failed", failure=said)
        if said is None:
            return Completion(id, index, "and then", (1,), (2, 3), finish_reason="length")
        tokens = tuple(range(len(said.split()) + 1)) if self.ids else ()
        return Completion(id, index, said, (1, 2), tokens)


@pytest.fixture
def fake():
    return FakeModel


@pytest.fixture
def killed():
    return Killed


@pytest.fixture
def log(tmp_path):
    """Open row logs by name; a name opened again is the same file, as after a restart."""
    opened = []

    def open_log(name="log"):
        opened.append(RowLog(tmp_path / f"{name}.jsonl"))
        return opened[-1]

    yield open_log
    for one in opened:
        one.close()


@pytest.fixture
def jsonl(tmp_path):
    def write(name, rows):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    return write
