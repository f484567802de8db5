"""A pool of servers over real HTTP: they share the calls, and do without one that goes away."""

import asyncio
import logging
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace

import pytest

from harness import plugins
from harness.config import Choice
from harness.engines.openai import OpenAI
from harness.errors import ConfigError, JudgeUnavailable
from harness.protocols import Request, Sampling, user
from harness.records import ModelRef
from harness.remote import ledger, preflight
from harness.remote.calls import Call
from harness.remote.pool import Ready, Server
from tests.judge_server import JudgeServer

GREEDY = Sampling(temperature=0, max_tokens=8)
SAMPLED = Sampling(n=4, temperature=0.7, max_tokens=8)
REF = ModelRef(location="judge")


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HARNESS_PRICES"):
        monkeypatch.delenv(name, raising=False)


def echo(body):
    return f"You asked: {body['messages'][-1]['content']}"


def rows(count, sampling=GREEDY):
    return [Request(f"row-{i}", user(f"Question {i}?"), sampling) for i in range(count)]


@pytest.fixture
def start():
    """Start servers, and stop those that are still there."""
    with ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(JudgeServer(*args, **options))


@pytest.fixture
def engine(tmp_path):
    """The engine of a run, with its books, anew for every attempt."""

    def build(*urls, concurrency=4, **config):
        calls = {"backoff": 0.02, "timeout": 5, "concurrency": concurrency}
        made = OpenAI(OpenAI.Config(base_url=urls, calls=calls, **config))
        made.keep_books(tmp_path)
        return made

    return build


def ask(engine, requests):
    with engine.open(REF) as model:
        return {(c.id, c.index): c.text for c in model.generate(requests)}


def asked(server):
    return Counter(one.body["messages"][-1]["content"] for one in server.received)


def gone():
    """Where nobody listens."""
    with JudgeServer() as server:
        return server.url


def test_all_servers_make_calls_each_as_many_at_once_as_is_allowed(start, engine):
    servers = [start(echo, delay=0.02) for _ in range(3)]
    found = ask(engine(*(one.url for one in servers)), rows(96))
    assert found == {(f"row-{i}", 0): f"You asked: Question {i}?" for i in range(96)}
    assert sum(len(one.received) for one in servers) == 96
    for one in servers:
        assert len(one.received) > 16
        assert one.most_seen_at_once == 4


def test_the_samples_of_a_prompt_stay_together(start, engine):
    first, second = start(echo, delay=0.01), start(echo, delay=0.01)
    ask(engine(first.url, second.url, concurrency=2), rows(16, SAMPLED))
    there, here = asked(first), asked(second)
    assert there.total() + here.total() == 64
    parted = [prompt for prompt in there | here if there[prompt] and here[prompt]]
    assert len(parted) <= 2, "only what is taken over at the end"


def test_a_server_that_has_nothing_to_do_takes_over(start, engine):
    slow, fast = start(echo, delay=0.2), start(echo)
    ask(engine(slow.url, fast.url, concurrency=2), rows(32))
    assert len(fast.received) > 24
    assert len(slow.received) >= 2


def test_a_server_that_goes_away_midway_costs_nothing_but_time(start, engine, tmp_path):
    stays, back = start(echo, delay=0.1), None  # long enough for the other one to be tried again
    with ExitStack() as until_then:
        goes = until_then.enter_context(JudgeServer(echo, delay=0.01))
        with engine(stays.url, goes.url).open(REF) as model:
            found = {}
            for done in model.generate(rows(200)):
                found[done.id] = done.text
                if len(found) == 40:
                    until_then.close()
                if len(found) == 120:
                    back = start(echo, delay=0.01, port=goes._port)
    assert found == {f"row-{i}": f"You asked: Question {i}?" for i in range(200)}
    assert len(goes.received) >= 16
    assert len(back.received) > 1, "it is tried again"
    entries = ledger.read(tmp_path / "ledger.jsonl")
    assert Counter(one.status for one in entries)["ok"] == 200
    lost = sum(one.status == "connection" for one in entries)
    assert 1 <= lost < 24, "it was left alone once it was known to be away"
    assert {one.host for one in entries} == {entries[0].host}


@pytest.mark.parametrize("trouble", ["error", "unavailable", "garbage"])
def test_a_server_that_only_fails_is_left_alone(start, engine, trouble):
    well, ill = start(echo, delay=0.01), start(echo, trouble=lambda body, nth: trouble)
    found = ask(engine(well.url, ill.url), rows(120))
    assert len(found) == 120
    assert len(ill.received) < 24


def test_where_all_are_gone_every_answer_is_kept_and_the_same_command_goes_on(start, engine):
    with ExitStack() as until_then:
        servers = [until_then.enter_context(JudgeServer(echo, delay=0.01)) for _ in range(2)]
        first, second = (one.url for one in servers)
        before = []
        with (
            pytest.raises(JudgeUnavailable, match=r"left \d+ of 80 calls unanswered .*connection"),
            engine(first, second).open(REF) as model,
        ):
            for done in model.generate(rows(80)):
                before.append(done.id)
                if len(before) == 20:
                    until_then.close()
    assert 20 <= len(before) < 80
    back = start(echo, port=servers[1]._port)
    # In another order, and one of them still away: whose answers they were makes no difference.
    assert len(ask(engine(second, first), rows(80))) == 80
    assert 80 - len(back.received) >= len(before)


def test_the_check_asks_every_server(start, engine, caplog):
    servers = [start(echo, context=context) for context in (64, 48)]
    made = engine(*(one.url for one in servers))
    with caplog.at_level(logging.WARNING):
        made.check(REF)
    assert caplog.messages == []
    assert all(one.received for one in servers)
    with made.open(REF) as model:
        assert model.context == 48, "what fits every one of them"


def test_a_server_that_is_missing_is_warned_about_while_others_are_there(
    start, engine, caplog, monkeypatch
):
    monkeypatch.setattr(preflight, "ATTEMPTS", 1)
    there, away = start(echo), gone()
    made = engine(there.url, away)
    with caplog.at_level(logging.WARNING):
        made.check(REF)
    [message] = caplog.messages
    assert message.startswith("1 of 2 servers do not answer, and the others make their calls: ")
    assert away.removeprefix("http://").removesuffix("/v1") in message
    assert len(ask(made, rows(40))) == 40
    with pytest.raises(JudgeUnavailable, match=r"no answer from .*; no answer from "):
        engine(away, gone()).check(REF)


def test_a_server_with_another_model_is_refused_before_anything_is_asked(start, engine):
    right, wrong = start(echo), start(echo, models=["another"])
    host = wrong.url.removeprefix("http://").removesuffix("/v1")
    with pytest.raises(JudgeUnavailable, match=rf"{host} has no model judge; .* another"):
        engine(right.url, wrong.url).check(REF)
    alias = start(echo, served="judge-2")
    with pytest.raises(JudgeUnavailable, match=r"as different models \(.*judge-2 at .*same one"):
        engine(right.url, alias.url).check(REF)


def test_a_pool_is_known_by_all_its_servers_in_whatever_order(engine):
    urls = ["http://127.0.0.1:8001/v1", "http://127.0.0.1:8000/v1"]
    for order in (urls, urls[::-1]):
        with engine(*order).open(REF) as model:
            assert model.ref.fingerprint == "judge@127.0.0.1:8000,127.0.0.1:8001"


@pytest.mark.parametrize(
    ("config", "wrong"),
    [
        ({"base_url": []}, "names no server"),
        ({"base_url": ["http://a/v1", "http://a/v1"]}, "names a server twice"),
        ({"base_url": ["http://a/v1", "a/v1"]}, "must begin with http"),
        ({"base_url": ["http://a/v1", "http://me:pass@b/v1"]}, "must hold no credentials"),
        ({"base_url": ["http://a/v1", "http://b/v1"], "batch": True}, "batches to one server"),
    ],
)
def test_what_is_no_pool_is_refused(config, wrong):
    with pytest.raises(ConfigError, match=wrong) as raised:
        plugins.build(plugins.ENGINES, Choice.model_validate({"name": "openai", **config}))
    assert "pass" not in str(raised.value)


def server(rest):
    return Server(endpoint=None, client=None, most=4, rest=rest)


def test_a_server_is_away_after_three_failures_and_tried_again_with_one_call():
    one = server(rest=1.0)
    for now in (10.0, 11.0):
        one.failed(began=now, now=now, pause=0, status="connection")
        assert one.wait(now) == 0
    one.failed(began=12.0, now=12.0, pause=0, status="connection")
    one.failed(began=11.5, now=12.1, pause=0, status="connection")  # was under way already
    assert one.wait(12.5) == 0.5
    assert one.wait(13.0) == 0
    one.room.begin()
    assert one.wait(13.0) == 1.0, "one call tries it"
    one.room.end()
    one.failed(began=13.0, now=13.0, pause=0, status="server_error")
    assert one.wait(13.0) == 2.0, "twice as long"
    one.answered()
    one.failed(began=15.0, now=15.0, pause=0, status="connection")
    assert one.wait(15.0) == 0


def test_the_only_server_is_asked_on_and_on_and_a_busy_one_is_not_away():
    for one, status in ((server(rest=None), "connection"), (server(rest=1.0), "rate_limited")):
        for now in range(6):
            one.failed(began=now, now=now, pause=0, status=status)
        assert one.wait(6.0) == 0


def test_what_failed_is_at_home_on_the_next_server_and_comes_first():
    async def taken():
        ready = Ready([Call(str(i), {}) for i in range(40)], servers=2)
        first, second = await ready.take(0), await ready.take(1)
        ready.put(replace(first, failed=1))
        rest = [await ready.take(1) for _ in range(17)]
        return [one.number for one in (first, second, *rest)]

    assert asyncio.run(taken()) == [0, 16, 0, *range(17, 32), 1]
