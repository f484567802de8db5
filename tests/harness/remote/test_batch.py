import asyncio
import json
import threading
from datetime import date

import pytest

from harness.engines.openai import Calls, OpenAI
from harness.errors import BudgetExceeded, ConfigError, JudgeUnavailable
from harness.protocols import Request, Sampling, user
from harness.records import ModelRef
from harness.remote import batch, endpoint, ledger
from harness.remote.accounts import Accounts
from harness.remote.batched import Batched
from harness.remote.calls import Target
from harness.remote.client import Client
from harness.remote.prices import Price
from tests.batch_server import BatchServer
from tests.judge_server import JudgeServer, without_logprobs

KEY = "sk-a-very-secret-key"
PRICE = Price(input=2, output=10, batch=0.5)
SAMPLING = Sampling(temperature=0, max_tokens=10)


class Killed(Exception):
    """The process is gone."""


def waiting(run, questions):
    """Kill the process while it waits for its batch."""

    async def killed(seconds):
        raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(batch.asyncio, "sleep", killed)
        run(questions)


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    monkeypatch.setattr(batch, "EVERY", 0.0)
    monkeypatch.setenv("JUDGE_KEY", KEY)
    monkeypatch.setattr(
        "openai._base_client.BaseClient._calculate_retry_timeout", lambda *_, **__: 0.0
    )


def echo(body):
    return f"so {body['messages'][-1]['content']}"


class Run:
    """One process that asks a server: its books outlive it."""

    def __init__(self, folder, server):
        self.folder, self.server = folder, server
        self.replies = {}

    def __call__(self, questions, attempts=3, give_up=True, most=None, killed_after=None):
        """Ask for what the books do not hold; return what became of every question."""
        where = endpoint.find(self.server.url, "JUDGE_KEY")
        target = Target(where.host, self.server.models[0], None, None)
        books = Accounts(target, self.folder, None, PRICE, date(2026, 11, 20), most)
        asked = [Request(text, user(text), SAMPLING) for text in questions]
        known = {}
        owed = []
        for call in books.target.calls(asked):
            answer = books.known(call)
            if answer is None:
                owed.append(call)
            else:
                known[call.rows[0][0].id] = answer.text
        client = Client(where, timeout=5)
        settings = Calls(attempts=attempts)
        batched = Batched(client, where, books, settings, give_up, self.folder)

        def deliver(call, reply):
            if len(self.replies) == killed_after:
                raise Killed
            said = reply.answer.text if reply.answer else reply.status
            self.replies[call.rows[0][0].id] = said

        async def run():
            try:
                return await batched.ask(owed, deliver)
            finally:
                await client.close()

        try:
            self.replies = known
            self.unanswered = asyncio.run(run())
            return self.replies
        finally:
            books.close()

    @property
    def ledger(self):
        return ledger.read(self.folder / ledger.LEDGER)


@pytest.fixture
def books(tmp_path):
    return tmp_path / "calls"


def test_a_batch_is_joined_by_its_ids_whatever_their_order(books):
    questions = [str(k) for k in range(20)]
    with BatchServer(echo, looks=3) as server:
        run = Run(books, server)
        assert run(questions) == {text: f"so {text}" for text in questions}
    assert len(server.batches) == 1
    assert set(server.sent.values()) == {1}
    assert not run.unanswered.causes


def test_a_batch_is_sent_as_the_api_wants_it(books):
    with BatchServer(echo) as server:
        Run(books, server)(["a"])
    [created] = server.batches.values()
    assert (created["endpoint"], created["completion_window"]) == ("/v1/chat/completions", "24h")
    [line] = [json.loads(line) for line in server.files[created["input_file_id"]].splitlines()]
    assert line.keys() == {"custom_id", "method", "url", "body"}
    assert line["body"]["max_tokens"] == 10
    assert len(line["custom_id"]) == 64


def test_the_ledger_has_every_line_at_the_price_of_a_batch(books):
    with BatchServer(echo) as server:
        run = Run(books, server)
        run(["a", "b"])
    assert [entry.batch for entry in run.ledger] == [True, True]
    one = run.ledger[0]
    assert one.dollars == PRICE.dollars(one.input_tokens, one.output_tokens) / 2
    assert (one.status, one.served, one.system_fingerprint) == ("ok", "judge", "fp_tests")


def test_what_is_answered_is_never_asked_again(books):
    with BatchServer(echo) as server:
        Run(books, server)(["a", "b"])
        assert Run(books, server)(["a", "b", "c"]) == {k: f"so {k}" for k in "abc"}
    assert len(server.batches) == 2
    assert set(server.sent.values()) == {1}


def test_lines_fail_each_for_its_own_cause(books):
    troubles = {"error": "error", "refuse": "refuse", "bad": "bad", "long": "too_long"}

    def trouble(body, nth):
        return troubles.get(body["messages"][-1]["content"])

    with BatchServer(echo, trouble=trouble) as server:
        run = Run(books, server)
        replies = run(["fine", "error", "refuse", "bad", "long"], attempts=2)
    assert replies == {"fine": "so fine", "refuse": "refused", "long": "prompt_too_long"}
    assert run.unanswered.causes == {"server_error": 1, "bad_request": 1}
    assert sorted(server.sent.values()) == [1, 1, 1, 1, 2]  # only the passing cause again
    assert {entry.http for entry in run.ledger if entry.status == "server_error"} == {500}


def test_what_failed_for_a_passing_cause_is_in_the_next_batch(books):
    def trouble(body, nth):
        text = body["messages"][-1]["content"]
        return ["error", "lost", "throttle", "empty"][int(text)] if nth == 0 else None

    with BatchServer(echo, trouble=trouble) as server:
        run = Run(books, server)
        assert run(list("023")) == {text: f"so {text}" for text in "023"}
        assert len(server.batches) == 2
        assert [entry.attempt for entry in run.ledger] == [1, 1, 1, 2, 2, 2]


def test_a_line_without_a_result_is_left_to_the_next_run(books):
    def trouble(body, nth):
        return "lost" if nth == 0 and body["messages"][-1]["content"] == "b" else None

    with BatchServer(echo, trouble=trouble) as server:
        run = Run(books, server)
        assert run(["a", "b"]) == {"a": "so a"}
        assert run.unanswered.causes == {"time_out": 1}
        assert "no result" in run.unanswered.example
        [lost] = [entry for entry in run.ledger if entry.status == "time_out"]
        assert lost.dollars is None
        assert lost.at_most == PRICE.dollars(17, 10, batch=True)  # it may have been made
        assert run(["a", "b"]) == {"a": "so a", "b": "so b"}
    assert sorted(server.sent.values()) == [1, 2]


def test_where_failures_count_they_are_delivered(books):
    with BatchServer(echo, trouble=lambda body, nth: "bad") as server:
        run = Run(books, server)
        assert run(["a"], give_up=False) == {"a": "bad_request"}


@pytest.mark.parametrize("end", ["expired", "cancelled"])
def test_a_batch_that_does_not_complete_keeps_what_it_has(books, end):
    questions = [str(k) for k in range(6)]
    with BatchServer(echo, ends=[end]) as server:
        run = Run(books, server)
        assert len(run(questions)) == 3
        cause = {"expired": "time_out", "cancelled": "cancelled"}[end]
        assert run.unanswered.causes == {cause: 3}
        assert run.unanswered.example.startswith(f"batch_{end}: ")
        never_made = [entry for entry in run.ledger if entry.status == cause]
        assert {(entry.dollars, entry.at_most) for entry in never_made} == {(None, 0.0)}
        assert len(run(questions)) == 6
    assert len(server.batches) == 2
    assert sorted(server.sent.values()) == [1, 1, 1, 2, 2, 2]


def test_a_batch_that_is_refused_says_why_and_may_be_sent_again(books):
    with BatchServer(echo, ends=["failed"]) as server:
        run = Run(books, server)
        with pytest.raises(JudgeUnavailable, match=r"batch-0 .*token_limit: too much at once"):
            run(["a"])
        assert run(["a"]) == {"a": "so a"}


@pytest.mark.parametrize("after", [0, 3, 5])
def test_a_killed_process_finds_its_batch_again(books, after):
    questions = [str(k) for k in range(6)]
    with BatchServer(echo) as server:
        run = Run(books, server)
        with pytest.raises(Killed):
            run(questions, killed_after=after)
        assert run(questions) == {text: f"so {text}" for text in questions}
    assert len(server.batches) == 1
    assert len(run.ledger) == 6


@pytest.mark.parametrize("last", ["file/", "batch/"])
def test_a_process_killed_while_it_waits_finds_its_batch_again(books, last):
    with BatchServer(echo, looks=10**6) as server:
        run = Run(books, server)
        waiting(run, ["a", "b"])
        # As it is on disk where the kill came before or after the batch's own line.
        log = books / "batches.jsonl"
        lines = log.read_text().splitlines(keepends=True)
        kept = [n for n, line in enumerate(lines) if f'"key": "{last}' in line][-1] + 1
        log.write_text("".join(lines[:kept]))
        server.looks = 1
        assert run(["a", "b"]) == {"a": "so a", "b": "so b"}
    assert len(server.batches) == 1


def test_an_answer_lost_on_the_way_makes_no_second_batch(books):
    with BatchServer(echo, lose_creations=1) as server:
        assert Run(books, server)(["a"]) == {"a": "so a"}
    assert len(server.batches) == 1


def test_new_calls_do_not_disturb_a_batch_under_way(books):
    with BatchServer(echo) as server:
        run = Run(books, server)
        with pytest.raises(Killed):
            run(["a", "b"], killed_after=0)
        assert run(["c"]) == {"c": "so c"}
        assert run(["b", "a", "d"]) == {text: f"so {text}" for text in "abd"}


def test_a_batch_may_be_asked_for_in_parts(books):
    with BatchServer(echo, looks=2) as server:
        run = Run(books, server)
        waiting(run, ["a", "b", "c", "d"])
        for part in (["b"], ["d", "e"], ["a", "c"]):
            assert run(part) == {text: f"so {text}" for text in part}
    assert set(server.sent.values()) == {1}


def test_what_is_under_way_comes_first_out_of_the_budget(books):
    bound = PRICE.dollars(17, 10, batch=True)
    with BatchServer(echo, looks=2) as server:
        run = Run(books, server)
        waiting(run, ["a", "b"])
        with pytest.raises(BudgetExceeded):
            run(["c", "a", "b"], most=1.05 * bound)
        assert len(server.batches) == 1
    assert set(server.sent.values()) == {1}


def test_files_stay_within_the_limits(books, monkeypatch):
    monkeypatch.setattr(batch, "LINES", 3)
    questions = [str(k) for k in range(8)]
    with BatchServer(echo) as server:
        assert len(Run(books, server)(questions)) == 8
        sizes = [server.files[one["input_file_id"]].count("\n") for one in server.batches.values()]
        assert sizes == [3, 3, 2]
        monkeypatch.setattr(batch, "BYTES", 1000)
        more = [str(k) * 300 for k in range(4)]
        assert len(Run(books, server)(more)) == 4
    inputs = [server.files[one["input_file_id"]] for one in server.batches.values()]
    assert all(len(text) <= 1000 for text in inputs[3:])


def test_a_budget_too_small_for_all_is_spent_batch_by_batch(books):
    questions = [str(k) for k in range(10)]
    bound = PRICE.dollars(17, 10, batch=True)  # one byte and a message's frame; the token limit
    with BatchServer(echo) as server:
        run = Run(books, server)
        assert len(run(questions, most=4 * bound)) == 10
        assert len(server.batches) > 1
        assert sum(entry.charged for entry in run.ledger) < 4 * bound


def test_a_budget_that_is_spent_stops_and_goes_on_when_it_grows(books):
    questions = [str(k) for k in range(6)]
    bound = PRICE.dollars(17, 10, batch=True)
    with BatchServer(echo) as server:
        run = Run(books, server)
        with pytest.raises(BudgetExceeded, match=r"could cost .* of 6 calls are left") as stopped:
            run(questions, most=1.2 * bound)
        assert "every answer is kept" in str(stopped.value)
        done = len(run.replies)
        assert 0 < done < 6
        assert sum(entry.charged for entry in run.ledger) <= 1.2 * bound
        assert len(run(questions, most=20 * bound)) == 6
    assert set(server.sent.values()) == {1}


def test_another_model_stops_the_run_and_is_not_counted(books):
    def trouble(body, nth):
        return "wrong_model" if body["messages"][-1]["content"] == "b" else None

    with BatchServer(echo, trouble=trouble) as server:
        run = Run(books, server)
        with pytest.raises(JudgeUnavailable, match="another-judge answered"):
            run(["a", "b", "c"])
    assert run.replies == {"a": "so a", "c": "so c"}  # paid for in the same batch: kept


def test_a_model_that_is_gone_stops_the_run(books):
    gone = pytest.raises(JudgeUnavailable, match=r"answers no call to judge .*404")
    with BatchServer(echo, trouble=lambda body, nth: "no_model") as server, gone:
        Run(books, server)(["a"])


def test_a_server_without_batches_says_so(books):
    with JudgeServer(echo) as server, pytest.raises(JudgeUnavailable, match="has no Batch API"):
        Run(books, server)(["a"])


def test_a_batch_that_the_server_has_forgotten_is_not_paid_for_again_unasked(books):
    with BatchServer(echo) as server:
        run = Run(books, server)
        with pytest.raises(Killed):
            run(["a", "b"], killed_after=0)
        server.batches.clear()
        with pytest.raises(JudgeUnavailable, match="has no batch batch-0") as forgotten:
            run(["a", "b"])
        assert str(books / "batches.jsonl") in str(forgotten.value)
        assert not server.batches


def test_a_refused_key_is_not_shown(books):
    refusal = pytest.raises(JudgeUnavailable, match="refuses the batch")
    with BatchServer(echo, key="another") as server, refusal as refused:
        Run(books, server)(["a"])
    assert KEY not in str(refused.value)


def test_a_server_that_is_gone(books):
    with BatchServer(echo) as server:
        pass
    with pytest.raises(JudgeUnavailable, match="no answer from 127"):
        Run(books, server)(["a"])


def test_a_batch_without_books_is_refused():
    with pytest.raises(ConfigError, match="needs books"):
        Batched(None, None, None, Calls(), True, None)


def test_an_engine_that_is_told_to_asks_in_batches(books):
    asked = [Request(text, user(text), SAMPLING) for text in "abc"]
    with BatchServer(echo) as server:
        config = OpenAI.Config(base_url=server.url, key="JUDGE_KEY", batch=True)
        for _ in range(2):
            engine = OpenAI(config)
            engine.keep_books(books)
            with engine.open(ModelRef(name="judge", location="judge")) as model:
                texts = {done.id: done.text for done in model.generate(asked)}
            assert texts == {text: f"so {text}" for text in "abc"}
    assert len(server.batches) == 1


def test_a_batch_that_is_refused_its_log_probabilities_is_sent_without(books):
    sampling = Sampling(temperature=0, max_tokens=8, top_logprobs=2)
    asked = [Request(str(k), user(str(k)), sampling) for k in range(4)]
    with BatchServer(echo, trouble=without_logprobs) as server:
        engine = OpenAI(OpenAI.Config(base_url=server.url, key="JUDGE_KEY", batch=True))
        engine.keep_books(books)
        with engine.open(ModelRef(location=server.models[0])) as opened:
            found = {c.id: (c.text, c.steps, c.failure) for c in opened.generate(asked)}
    assert found == {str(k): (f"so {k}", None, None) for k in range(4)}


def test_two_models_of_a_run_send_batches_by_turns(books, monkeypatch):
    """They remember them in one file."""
    monkeypatch.setattr("harness.remote.batched._LOOK_AGAIN", 0.001)
    under_way, most, plain = [], [], Batched._ask

    async def watched(batched, calls, deliver):
        under_way.append(batched)
        most.append(len(under_way))
        await asyncio.sleep(0.01)
        try:
            return await plain(batched, calls, deliver)
        finally:
            under_way.remove(batched)

    monkeypatch.setattr(Batched, "_ask", watched)
    with BatchServer(echo, looks=3) as server:
        runs = [Run(books, server) for _ in range(2)]
        threads = [
            threading.Thread(target=run, args=([f"{name} {k}" for k in range(5)],))
            for name, run in zip("ab", runs, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert most == [1, 1]
    assert [len(run.replies) for run in runs] == [5, 5]
