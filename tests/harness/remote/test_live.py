"""Many calls to a server that misbehaves, over real HTTP."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from threading import Event, Thread

import pytest

from harness.beside import Halted
from harness.engines.openai import OpenAI
from harness.errors import BudgetExceeded, JudgeUnavailable
from harness.protocols import Request, Sampling, Stoppable, user
from harness.records import ModelRef
from harness.remote import ledger
from harness.remote.ledger import PART
from tests.judge_server import JudgeServer, Said, at_random

GREEDY = Sampling(temperature=0, max_tokens=8)
KEY = "sk-top-secret-0123456789"


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("OPENAI_BASE_URL", "HARNESS_PRICES"):
        monkeypatch.delenv(name, raising=False)


def rows(count, sampling=GREEDY):
    return [Request(f"row-{i}", user(f"Question {i}?"), sampling) for i in range(count)]


def echo(body):
    return f"You asked: {body['messages'][-1]['content']}"


class Asking:
    """A run's engine, as often as it is started."""

    def __init__(self, server, books, ref=None, **config):
        self.server, self.books = server, books
        self.ref = ref or ModelRef(location=server.models[0])
        self.calls = {"backoff": 0.01, "timeout": 5}
        self.config = config

    def __call__(self, requests, **config):
        """Yield completions, as one attempt of the run does."""
        given = {"base_url": self.server.url, **self.config, **config}
        given["calls"] = self.calls | given.get("calls", {})
        engine = OpenAI(OpenAI.Config.model_validate(given))
        engine.keep_books(self.books)
        with engine.open(self.ref) as model:
            yield from model.generate(requests)

    @property
    def entries(self):
        return ledger.read(self.books / "ledger.jsonl")

    @property
    def statuses(self):
        return Counter(entry.status for entry in self.entries)


@pytest.fixture
def served(tmp_path):
    """Start servers, each with books of its own, and stop them."""
    running = []

    def start(reply=echo, *, config=None, ref=None, **options):
        server = JudgeServer(reply, **options).__enter__()
        running.append(server)
        return Asking(server, tmp_path / f"books-{len(running)}", ref, **(config or {}))

    yield start
    for server in running:
        server.__exit__()


def texts(completions):
    return {c.id: (c.text, c.finish_reason) for c in completions}


def until_error(completions, kind):
    """Take what comes before an error of the kind; return both."""
    found = []
    with pytest.raises(kind) as raised:
        found.extend(completions)
    return found, str(raised.value)


def test_a_fifth_of_all_calls_fails_and_nobody_can_tell(served):
    healthy = texts(served()(rows(120)))
    ask = served(trouble=at_random(0.2), hang=5.0)
    ask.calls |= {"timeout": 0.15, "attempts": 8}
    assert texts(ask(rows(120))) == healthy
    assert len(healthy) == 120

    received = Counter(one.trouble and one.trouble.split(":")[0] for one in ask.server.received)
    assert received.total() - received[None] > 20
    assert ask.server.answered_twice() == []
    assert ask.statuses == {
        "ok": 120,
        "rate_limited": received["throttle"],
        "server_error": received["error"] + received["unavailable"],
        "connection": received["reset"],
        "time_out": received["hang"],
        "garbage": received["garbage"],
    }
    asked = len(ask.server.received)
    assert texts(ask(rows(120))) == healthy
    assert len(ask.server.received) == asked


@pytest.mark.parametrize(
    ("trouble", "status", "http"),
    [
        ("throttle", "rate_limited", 429),
        ("throttle:0.02", "rate_limited", 429),
        ("error", "server_error", 500),
        ("unavailable", "server_error", 503),
        ("reset", "connection", None),
        ("hang", "time_out", None),
        ("garbage", "garbage", 200),
        ("no_choices", "garbage", 200),
        ("empty", "empty", 200),
    ],
)
def test_a_passing_failure_is_tried_again_and_entered(served, trouble, status, http):
    ask = served(trouble=lambda body, nth: trouble if nth < 2 else None)
    ask.calls |= {"timeout": 0.1}
    [done] = ask(rows(1))
    assert done.text == "You asked: Question 0?"
    first, second, third = ask.entries
    assert (first.status, first.http) == (second.status, second.http) == (status, http)
    assert [one.attempt for one in (first, second, third)] == [1, 2, 3]
    assert (third.status, third.served, third.system_fingerprint) == ("ok", "judge", "fp_tests")
    assert (third.input_tokens, third.output_tokens, third.dollars) == (2, 4, None)
    assert third.seconds > 0


def test_a_pause_that_the_server_asks_for_is_kept(served):
    ask = served(trouble=lambda body, nth: "throttle:0.3" if nth == 0 else None)
    began = time.monotonic()
    assert len(list(ask(rows(1)))) == 1
    assert 0.3 <= time.monotonic() - began < 1.0


def test_a_pause_that_is_too_long_stops_the_run_at_once(served):
    ask = served(trouble=lambda body, nth: "throttle:3600")
    _, said = until_error(ask(rows(1)), JudgeUnavailable)
    assert "left alone for 3600 seconds" in said
    assert len(ask.server.received) == 1


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("refuse", "refused"),
        ("filter", "refused"),
        ("filtered", "refused"),
        ("too_long", "prompt_too_long"),
    ],
)
def test_a_row_that_cannot_be_answered_fails_alone_and_is_asked_once(served, trouble, reason):
    ask = served(trouble=lambda body, nth: trouble if "Question 1" in str(body) else None)
    found = {c.id: c for c in ask(rows(3))}
    assert found["row-1"].failure.reason == reason
    assert (found["row-1"].finish_reason, found["row-1"].text) == ("failed", "")
    assert found["row-0"].failure is found["row-2"].failure is None
    assert len(ask.server.received) == 3
    assert ask.statuses == {"ok": 2, reason: 1}


def test_a_failure_is_never_kept_as_an_answer(served):
    ask = served(trouble=lambda body, nth: "refuse" if nth == 0 else None)
    [refused] = ask(rows(1))
    [answered] = ask(rows(1))
    assert (refused.failure is None, answered.failure is None) == (False, True)


def test_a_cut_answer_is_told_and_not_kept_unless_one_token_was_asked(served):
    ask = served(lambda body: "m", trouble=lambda body, nth: "cut")
    for _ in range(2):
        [cut] = ask(rows(1))
        assert (cut.text, cut.finish_reason, cut.failure) == ("m", "length", None)
    assert len(ask.server.received) == 2
    one_token = rows(1, Sampling(temperature=0, max_tokens=1))
    for _ in range(2):
        [cut] = ask(one_token)
        assert (cut.text, cut.finish_reason) == ("m", "length")
    assert len(ask.server.received) == 3


def test_a_model_that_says_nothing_however_often_it_is_asked_has_answered(served):
    ask = served(trouble=lambda body, nth: "empty")
    [done] = ask(rows(1), calls={"attempts": 3})
    assert (done.text, done.finish_reason, done.failure) == ("", "stop", None)
    assert ask.statuses == {"empty": 3}


@pytest.mark.parametrize("requests", [rows(1), rows(40)])
@pytest.mark.parametrize(
    ("trouble", "status", "says"),
    [
        ("unauthorized", "no_key", "refuses the key in OPENAI_API_KEY"),
        ("forbidden", "no_key", "refuses the key in OPENAI_API_KEY"),
        ("no_model", "no_model", "has no model judge"),
        ("quota", "no_money", "has no money left"),
        ("wrong_model", "wrong_model", "judge was judge so far, but another-judge answered"),
    ],
)
def test_what_every_call_would_get_stops_the_run_without_a_second_try(
    served, trouble, status, says, requests
):
    ask = served()
    list(ask(rows(1, Sampling(temperature=0, max_tokens=9))))
    ask.server.trouble = lambda body, nth: trouble
    found, said = until_error(ask(requests, calls={"concurrency": 2}), JudgeUnavailable)
    assert found == []
    assert says in said
    assert 1 <= ask.statuses[status] <= 2


def test_rows_that_stay_unanswered_stop_the_run_after_all_others(served):
    def trouble(body, nth):
        return {"2": "error", "5": "garbage", "7": "error"}.get(str(body["messages"])[-5])

    ask = served(trouble=trouble)
    found, said = until_error(ask(rows(10), calls={"attempts": 2}), JudgeUnavailable)
    assert {c.id for c in found} == {f"row-{i}" for i in (0, 1, 3, 4, 6, 8, 9)}
    assert "left 3 of 10 calls unanswered (2 server_error, 1 garbage" in said
    assert "the same command asks for the rest" in said
    assert ask.statuses == {"ok": 7, "server_error": 4, "garbage": 2}

    ask.server.trouble = lambda body, nth: None
    assert len(list(ask(rows(10)))) == 10
    assert ask.server.answered_twice() == []


def test_rows_that_stay_unanswered_can_be_counted(served):
    ask = served(trouble=lambda body, nth: "reset" if "1" in str(body["messages"]) else None)
    found = list(ask(rows(3), calls={"attempts": 2}, guards={"unanswered": "count"}))
    reasons = {c.id: c.failure and c.failure.reason for c in found}
    assert reasons == {"row-0": None, "row-1": "connection", "row-2": None}


def test_a_server_that_is_down_is_not_asked_for_every_row(served):
    ask = served(trouble=lambda body, nth: "error")
    _, said = until_error(ask(rows(500), calls={"attempts": 3, "concurrency": 4}), JudgeUnavailable)
    assert "were not asked after that" in said
    assert len(ask.server.received) < 50


def test_no_server_at_all(served):
    ask = served()
    ask.server.__exit__()
    _, said = until_error(ask(rows(5), calls={"attempts": 2}), JudgeUnavailable)
    assert "connection" in said
    assert all(entry.at_most == 0 for entry in ask.entries)
    ask.server.__enter__()


def test_a_limit_of_calls_at_once_is_found_and_kept(served):
    ask = served(most_at_once=4, delay=0.01)
    assert len(list(ask(rows(80)))) == 80
    assert ask.server.answered_twice() == []
    assert ask.statuses["rate_limited"] < 80


def test_a_limit_of_calls_a_second_costs_time_and_no_row(served):
    ask = served(per_second=60)
    assert len(list(ask(rows(30), calls={"backoff": 0.05}))) == 30
    assert ask.statuses["ok"] == 30


def test_calls_are_made_at_once_and_no_more_than_allowed(served):
    ask = served(delay=0.05)
    list(ask(rows(40), calls={"concurrency": 10}))
    assert ask.server.most_seen_at_once == 10


def test_two_healthy_runs_are_equal_to_the_byte(served, tmp_path):
    probable = lambda body: Said("m", [{"m": 0.71, "M": 0.29}])  # noqa: E731
    ask = served(probable, delay=0.002)
    sampling = Sampling(n=2, top_logprobs=2, logprobs=True, max_tokens=4)
    both = []
    for books in ("first", "second"):
        ask.books = tmp_path / books
        found = sorted(ask(rows(20, sampling)), key=lambda c: (c.id, c.index))
        both.append(repr(found).encode())
    assert both[0] == both[1]
    assert len(ask.server.received) == 80


def test_the_pinned_model_must_answer(served):
    ref = ModelRef(location="judge", revision="judge-2026")
    ask = served(served="judge-2026", ref=ref)
    assert len(list(ask(rows(3)))) == 3
    ask.server.served = "judge-2027"
    found, said = until_error(ask([*rows(3), *rows(9)[5:]]), JudgeUnavailable)
    assert {c.id for c in found} == {"row-0", "row-1", "row-2"}
    assert "judge is pinned to judge-2026, but judge-2027 answered" in said
    ask.server.served = "judge-2026"
    assert len(list(ask(rows(9)[5:]))) == 4


def test_an_alias_that_moves_in_the_middle_of_a_run_is_noticed(served):
    ask = served(served="judge-a", config={"calls": {"concurrency": 1}})
    asked = ask(rows(30))
    for _ in range(5):
        next(asked)
    ask.server.served = "judge-b"
    found, said = until_error(asked, JudgeUnavailable)
    assert "judge was judge-a so far, but judge-b answered" in said
    assert len(found) < 25
    assert {e.served for e in ask.entries if e.status == "ok"} == {"judge-a"}


PRICES = """
collected = 2026-11-01
[models.judge]
price = { input = 1000, output = 10_000 }
"""


def test_a_budget_stops_cleanly_and_goes_on_once_it_is_raised(served, tmp_path):
    (tmp_path / "prices.toml").write_text(PRICES)
    # A call costs 2 tokens at $1000 and 4 at $10,000 a million.
    each = 0.002 + 0.04
    ask = served(config={"prices": tmp_path / "prices.toml"}, delay=0.01)
    guards = {"max_usd": 1.0}
    found, said = until_error(ask(rows(60), guards=guards), BudgetExceeded)
    spent = sum(entry.dollars for entry in ask.entries)
    assert spent == pytest.approx(each * len(found))
    # What a call can cost at most: 28 bytes (with what is around them) and 8 tokens.
    assert 1.0 - 0.028 - 0.08 < spent <= 1.0
    assert "the budget is $1, " in said
    assert f"{60 - len(found)} of 60 calls are left to make" in said
    assert "raise guards.max_usd (or --max-usd) and give the same command" in said

    _, said = until_error(ask(rows(60), guards=guards), BudgetExceeded)
    assert len(ask.server.received) == len(found)
    assert len(list(ask(rows(60), guards={"max_usd": 10.0}))) == 60
    assert len(ask.server.received) == 60
    assert ask.server.answered_twice() == []
    added = ledger.summary(ask.entries)
    assert added.dollars == pytest.approx(60 * each)
    assert (added.unpriced, str(ask.entries[0].prices)) == (0, "2026-11-01")


def test_what_may_have_been_billed_counts_against_the_budget(served, tmp_path):
    (tmp_path / "prices.toml").write_text(PRICES)
    ask = served(config={"prices": tmp_path / "prices.toml"}, trouble=lambda body, nth: "garbage")
    guards, calls = {"max_usd": 0.4}, {"attempts": 50, "concurrency": 1}
    until_error(ask(rows(1), guards=guards, calls=calls), BudgetExceeded)
    assert len(ask.server.received) == 3  # at 0.108 each
    assert ledger.summary(ask.entries).dollars is None
    assert ledger.summary(ask.entries).unpriced == 3


def test_closing_early_cancels_what_is_under_way_and_keeps_what_was_answered(served):
    ask = served(trouble=lambda body, nth: "hang" if "Question 3" in str(body) else None)
    ask.calls["timeout"] = 30
    asked = ask(rows(4))
    first = {next(asked).id for _ in range(3)}
    began = time.monotonic()
    asked.close()
    assert time.monotonic() - began < 1
    assert first == {"row-0", "row-1", "row-2"}
    assert ask.statuses == {"ok": 3, "cancelled": 1}
    ask.server.trouble = lambda body, nth: None
    assert len(list(ask(rows(4)))) == 4
    assert ask.server.answered_twice() == []


def test_leaving_the_model_in_the_middle_loses_nothing(served):
    ask = served(delay=0.01)
    engine = OpenAI(OpenAI.Config(base_url=ask.server.url, calls={"concurrency": 2}))
    engine.keep_books(ask.books)
    with engine.open(ask.ref) as model:
        asked = model.generate(rows(50))
        next(asked)
    answered = ask.statuses["ok"]
    asked.close()
    before = len(ask.server.received)
    assert len(list(ask(rows(50)))) == 50
    assert len(ask.server.received) - before == 50 - answered


RUN = """
import sys
from pathlib import Path
from harness.engines.openai import OpenAI
from harness.protocols import Request, Sampling, user
from harness.records import ModelRef
engine = OpenAI(OpenAI.Config(base_url=sys.argv[1], calls={"concurrency": 4}))
engine.keep_books(Path(sys.argv[2]))
sampling = Sampling(temperature=0, max_tokens=8)
rows = [Request(f"row-{i}", user(f"Question {i}?"), sampling) for i in range(150)]
with engine.open(ModelRef(location="judge")) as model:
    for done in model.generate(rows):
        print(done.id, flush=True)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_killed_in_the_middle_a_run_asks_for_nothing_again_that_was_answered(served, end):
    ask = served(delay=0.01)
    run = subprocess.Popen(
        [sys.executable, "-c", RUN, ask.server.url, str(ask.books)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    said = [run.stdout.readline() for _ in range(30)]
    os.kill(run.pid, end)
    rest, errors = run.communicate(timeout=20)
    assert run.returncode != 0
    assert KEY not in errors
    done = len(said) + len(rest.splitlines())
    assert done < 150
    entered = ask.statuses["ok"]
    assert entered >= done
    before = ask.server.received[:]
    assert len(list(ask(rows(150)))) == 150
    # At most the four calls under way at that moment were answered to nobody.
    assert len(ask.server.received) - len(before) <= 150 - entered
    assert len(ask.server.answered_twice()) <= 8


def test_the_key_is_in_no_file_and_no_error(served):
    ask = served(key=KEY)
    assert len(list(ask(rows(3)))) == 3
    assert ask.server.received[0].headers["authorization"] == f"Bearer {KEY}"
    ask.server.trouble = lambda body, nth: "echo_key"
    _, said = until_error(ask(rows(9)[5:]), JudgeUnavailable)
    assert "<key>" in said
    assert KEY not in said
    ask.server.trouble = lambda body, nth: None
    ask.server.reply = lambda body: f"the key is {KEY}"
    [quoted] = ask(rows(9)[8:])
    assert quoted.text == "the key is <key>"
    files = [path for path in ask.books.rglob("*") if path.is_file()]
    assert {"ledger.jsonl", "answers.sqlite"} <= {path.name for path in files}
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_the_ledger_holds_no_prompt(served):
    ask = served()
    list(ask(rows(3)))
    assert "Question" not in (ask.books / "ledger.jsonl").read_text()
    lines = [json.loads(line) for line in (ask.books / "ledger.jsonl").read_text().splitlines()]
    assert {line["host"] for line in lines} == {ask.server.url.split("/")[2]}
    assert len({line["call"] for line in lines}) == 3


def test_runs_that_share_answers_pay_once(served, tmp_path):
    ask = served(config={"answers": tmp_path / "shared.sqlite"})
    first = texts(ask(rows(5)))
    ask.books = tmp_path / "another run"
    assert texts(ask(rows(5))) == first
    assert len(ask.server.received) == 5
    list(ask(rows(5, Sampling(temperature=0, max_tokens=9))))
    assert len(ask.server.received) == 10


def test_several_models_at_once_keep_one_cap(served, tmp_path):
    """The measured model and the judge, say: what one has set aside the other may not spend."""
    (tmp_path / "prices.toml").write_text(PRICES)
    ask = served(config={"prices": tmp_path / "prices.toml", "guards": {"max_usd": 1.0}})
    ask.server.delay = 0.01
    errors = []

    def part(name):
        with pytest.raises(BudgetExceeded) as error:
            asked = [replace(one, prompt=user(f"{name} {one.id}?")) for one in rows(60)]
            PART.set(name)
            list(ask(asked))
        errors.append(error)

    threads = [Thread(target=part, args=(name,)) for name in ("answers", "marks")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 2
    spent = sum(entry.dollars for entry in ask.entries)
    assert 1.0 - 0.028 - 0.08 - 0.042 < spent <= 1.0
    assert {entry.part for entry in ask.entries} == {"answers", "marks"}
    by_part = ledger.Reader(ask.books / "ledger.jsonl").spent()
    assert sum(cost.dollars for cost in by_part.values()) == pytest.approx(spent)


def test_whoever_is_refused_hears_it_while_others_wait_for_the_same_server(served):
    slow, go = Event(), Event()

    def trouble(body, nth):
        if "slow" in str(body):
            slow.set()
            return "hang"
        return "unauthorized"

    ask = served(trouble=trouble, hang=3600)
    config = OpenAI.Config(base_url=ask.server.url, calls={"timeout": 3600})
    found = []

    def refused(model):
        with pytest.raises(JudgeUnavailable) as error:
            list(model.generate(rows(1)))
        found.append(error)
        go.set()

    def waits(model):
        with pytest.raises(Halted):
            list(model.generate([Request("slow", user("slow?"), GREEDY)]))

    with OpenAI(config).open(ask.ref) as model:
        waiting = Thread(target=waits, args=(model,))
        waiting.start()
        assert slow.wait(60)
        Thread(target=refused, args=(model,), daemon=True).start()
        told = go.wait(20)
        model.stop()
        waiting.join()
    assert told, "it waited for another's call"
    assert len(found) == 1


def test_a_model_can_be_stopped_from_another_thread(served):
    hung = Event()

    def trouble(body, nth):
        if "Question 3" in str(body):
            hung.set()
            return "hang"
        return None

    ask = served(trouble=trouble, hang=3600)
    engine = OpenAI(OpenAI.Config(base_url=ask.server.url, calls={"timeout": 3600}))
    engine.keep_books(ask.books)
    with engine.open(ask.ref) as model:
        assert isinstance(model, Stoppable)

        def stop():
            hung.wait(60)
            while [e.status for e in ask.entries].count("ok") < 3:  # what is on its way is lost
                time.sleep(0.01)
            model.stop()

        stopper = Thread(target=stop)
        stopper.start()
        found = []
        with pytest.raises(Halted):
            found.extend(one.id for one in model.generate(rows(4)))
        with pytest.raises(Halted):
            list(model.generate(rows(8)))
        stopper.join()
    model.stop()  # which changes nothing any more
    assert "ok" not in [e.status for e in ask.entries if "row-3" in e.call]
    ask.server.trouble = lambda body, nth: None
    assert len(list(ask(rows(4)))) == 4
    assert ask.server.answered_twice() == []
