"""A disk that is full in the middle: one line, whole books, and the same command goes on."""

import errno
import json
import os
from collections import Counter

import pytest

from harness.engines.openai import OpenAI
from harness.errors import StoreError
from harness.protocols import Request, Sampling, user
from harness.records import ModelRef
from harness.remote import ledger
from harness.remote.answers import Answers
from tests.judge_server import JudgeServer

REF = ModelRef(location="judge")
ROWS = [Request(f"row-{i}", user(f"Question {i}?"), Sampling(temperature=0)) for i in range(60)]
AT_ONCE = 4


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def echo(body):
    return f"You asked: {body['messages'][-1]['content']} " + "At length. " * 40


def ask(server, books):
    engine = OpenAI(
        OpenAI.Config.model_validate({"base_url": server.url, "calls": {"concurrency": AT_ONCE}})
    )
    engine.keep_books(books)
    with engine.open(REF) as model:
        yield from model.generate(ROWS)


def stopped(completions, says):
    """Take what comes before the disk is full."""
    found = []
    with pytest.raises(StoreError, match=says) as raised:
        found.extend(completions)
    assert "\n" not in str(raised.value)
    assert "give the same command to continue" in str(raised.value)
    return found


def check_books(server, books, before):
    """Go on with room enough: everything is answered, and only what was not kept is asked again."""
    found = list(ask(server, books))
    assert {one.id for one in found} == {row.id for row in ROWS}
    assert {one.failure for one in found} == {None}
    lines = (books / "ledger.jsonl").read_bytes().split(b"\n")
    assert lines[-1] == b"" and all(json.loads(line) for line in lines[:-1])
    asked = Counter(str(body) for body in server.answered)
    twice = sum(times > 1 for times in asked.values())
    assert twice <= AT_ONCE, "only what was under way when the disk was full"
    again = {one.id: one.text for one in found}
    assert all(again[one.id] == one.text for one in before)


def test_a_ledger_without_room(tmp_path, monkeypatch):
    written = []
    write = os.write

    def full(file, line):
        written.append(line)
        if len(written) == 21:
            return write(file, line[:30])  # the last there was room for
        if len(written) > 21:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, line)

    with JudgeServer(echo) as server:
        with monkeypatch.context() as patch:
            patch.setattr(ledger.os, "write", full)
            before = stopped(ask(server, tmp_path), r"ledger.jsonl: No space left on device")
        assert 15 <= len(before) <= 20
        assert len(ledger.read(tmp_path / "ledger.jsonl")) == 20
        check_books(server, tmp_path, before)


def test_answers_without_room(tmp_path, monkeypatch):
    plain = Answers._open

    def small(answers):
        file = plain(answers)
        file.execute("PRAGMA max_page_count = 6")
        return file

    with JudgeServer(echo) as server:
        with monkeypatch.context() as patch:
            patch.setattr(Answers, "_open", small)
            before = stopped(ask(server, tmp_path), r"answers.sqlite: database or disk is full")
        assert before
        entered = ledger.read(tmp_path / "ledger.jsonl")
        assert len(entered) > len(before), "what an answer cost is entered without it, too"
        check_books(server, tmp_path, before)
