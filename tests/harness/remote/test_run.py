"""A whole run whose judge is on a server: stopped by its guards, and continued."""

import json

import pytest

from harness.config import JudgeGuards, RunConfig
from harness.errors import BudgetExceeded, JudgeUnavailable, StoreError
from harness.remote import ledger
from harness.run import run
from harness.store import Store
from tests.judge_server import JudgeServer, without_logprobs

PRICES = """
collected = 2026-11-01
[models.judge]
price = { input = 1000, output = 10_000 }
"""


@pytest.fixture
def request_of(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (tmp_path / "prices.toml").write_text(PRICES)
    prompts = "".join(json.dumps({"id": f"p{k}", "prompt": f"Say {k}."}) + "\n" for k in range(12))
    (tmp_path / "prompts.jsonl").write_text(prompts)

    def make(server, **engine):
        options = {"base_url": server.url, "prices": str(tmp_path / "prices.toml"), **engine}
        return RunConfig.model_validate(
            {
                "model": {"location": "script"},
                "iterations": 0,
                "engine": {"name": "scripted", "default": "I say it."},
                "judge": {
                    "engine": {"name": "openai", **options},
                    "model": {"name": "judge", "location": "judge"},
                },
                "evaluations": [
                    {
                        "name": "examiner",
                        "data": str(tmp_path / "prompts.jsonl"),
                        "rubric": "five_points",
                        "judge_max_tokens": 20,
                    }
                ],
                "reports": [],
            }
        )

    return make


def metrics(record):
    [result] = record.stages[0].evaluations
    return {metric.name: metric for metric in result.metrics}


def test_a_run_stops_at_its_budget_and_goes_on_where_it_may_spend_more(request_of, tmp_path):
    store = Store(tmp_path / "run")
    with JudgeServer(lambda body: "Clear and right. Score: 4") as server:
        with pytest.raises(BudgetExceeded, match=r"left to make.*raise guards.max_usd"):
            run(request_of(server, guards={"max_usd": 3.5}), store)
        assert "the budget is $3.5" in store.record().stopped
        asked = len(server.received)
        assert 1 < asked < 13  # one of them found out whether the judge is there

        with pytest.raises(StoreError, match="begun with another request"):
            run(request_of(server, reasoning_effort="low"), store)

        record = run(request_of(server, guards={"max_usd": 1000}, calls={"concurrency": 2}), store)
        score = metrics(record)["score"]
        assert (score.value, score.n, score.failed) == (4.0, 12, 0)
        judged = [
            body for body in server.answered if body["messages"][0]["content"][:6] == "Review"
        ]
        assert len(judged) == 12
        [bill] = record.bills
        assert bill.calls == {"ok": len(server.received)}
        assert bill.dollars > 3.5
        # Each attempt begins by a call, before any part, that asks whether the judge is there.
        [check, *_] = ledger.read(store.books / ledger.LEDGER)
        judging = record.stages[0].costs["M0/examiner/mark"].dollars
        assert judging == pytest.approx(bill.dollars - 2 * check.dollars)
        before = len(server.received)
        assert run(request_of(server), store).stages == record.stages
        assert len(server.received) == before


def test_a_judge_that_leaves_rows_unanswered_stops_the_run_or_costs_only_those(
    request_of, tmp_path
):
    def trouble(body, nth):
        return "error" if "Say 7." in str(body) else None

    calls = {"attempts": 2, "backoff": 0.01}
    with JudgeServer(lambda body: "Score: 3", trouble=trouble) as server:
        store = Store(tmp_path / "run")
        with pytest.raises(JudgeUnavailable, match="1 of 12 calls unanswered"):
            run(request_of(server, calls=calls), store)
        record = run(request_of(server, calls=calls, guards={"unanswered": "count"}), store)
    score = metrics(record)["score"]
    assert (score.value, score.n, score.failed) == (3.0, 11, 1)
    assert record.stages[0].evaluations[0].failures == {"server_error": 1}


def entered(store):
    return [(one.call, one.status) for one in ledger.read(store.books / ledger.LEDGER)]


def test_a_check_that_fails_is_in_the_ledger_of_a_run_that_never_began(request_of, tmp_path):
    store = Store(tmp_path / "run")
    with JudgeServer(lambda body: "Score: 3", served="judge-2") as server:
        asked = request_of(server)
        pinned = asked.judge.model.model_copy(update={"revision": "judge-1"})
        other = asked.judge.model_copy(update={"model": pinned})
        with pytest.raises(JudgeUnavailable, match="pinned to judge-1"):
            run(asked.model_copy(update={"judge": other}), store)
        assert entered(store) == [("check", "ok")]
        assert [path.name for path in store.folder.iterdir()] == ["calls"]
        with pytest.raises(StoreError, match="holds no run"):
            store.record()

        record = run(asked, store)  # another request: nothing was begun
    assert metrics(record)["score"].value == 3.0
    assert entered(store)[:2] == [("check", "ok")] * 2
    assert len(entered(store)) == 2 + 12


def test_a_server_that_was_asked_for_nothing_leaves_no_folder(request_of, tmp_path):
    store = Store(tmp_path / "run")
    with JudgeServer(models=("another",)) as server, pytest.raises(JudgeUnavailable):
        run(request_of(server), store)
    assert not store.folder.exists()


def test_a_judge_that_is_never_readable_is_not_paid_to_the_end(request_of, tmp_path):
    store = Store(tmp_path / "run")
    with JudgeServer(lambda body: "Well, well.") as server:
        asked = request_of(server, calls={"concurrency": 2})
        guarded = asked.judge.model_copy(update={"guards": JudgeGuards(unreadable=3)})
        with pytest.raises(JudgeUnavailable, match=r"of 3 verdicts of judge .* not one could be"):
            run(asked.model_copy(update={"judge": guarded}), store)
        assert len(server.received) <= 1 + 3 + 2 + 1, "the check, the verdicts, and what was begun"
        record = run(asked, store)  # the default has more patience than there are rows
    score = metrics(record)["score"]
    assert (score.value, score.n, score.failed) == (None, 0, 12)


def test_a_judge_without_log_probabilities_is_read_by_its_text_and_said_to_be(tmp_path):
    with JudgeServer(lambda body: "m", trouble=without_logprobs) as server:
        asked = RunConfig.model_validate(
            {
                "model": {"location": "script"},
                "iterations": 0,
                "engine": {"name": "scripted", "default": ["The dog barks."]},
                "judge": {
                    "engine": {"name": "openai", "base_url": server.url},
                    "model": {"location": "judge"},
                },
                "evaluations": [{"name": "alpaca_eval", "limit": 6}],
                "reports": [],
            }
        )
        found = metrics(run(asked, Store(tmp_path / "run")))["win_rate"]
    assert (found.n, found.failed) == (6, 0)
    assert "discrete: the judge gave no token probabilities" in found.note
