"""A run whose judge is on a server, over real HTTP: the same figures, whatever the server does.

The examiner judges twice: in the process, and behind an OpenAI-compatible server that fails a fifth
of all calls. What the run finds must be the same; the ledger tells the two apart.
"""

import json
from collections import Counter
from contextlib import ExitStack
from math import exp

import pytest

from harness.config import JudgeGuards, RunConfig, capped
from harness.errors import BudgetExceeded, ConfigError, JudgeUnavailable
from harness.microworld.judging import judge
from harness.records import Failure
from harness.run import Bench, run
from harness.store import Store
from tests.judge_server import JudgeServer, Said, at_random

EVALUATIONS = [
    {"name": "examiner", "limit": 15},
    {"name": "alpaca_eval", "limit": 20},
    {"name": "mt_bench", "max_tokens": 48},
    {"name": "head_to_head", "limit": 10, "against": "all"},
    {"name": "judge_agreement", "limit": 4, "judges": ["self", "external"]},
]
PRICES = "collected = 2026-11-20\n[models.judge]\nprice = { input = 10.0, output = 100.0 }\n"


def request(engine, location):
    return RunConfig.model_validate(
        {
            "model": {"location": "script"},
            "iterations": 1,
            "engine": {
                "name": "scripted",
                "default": ["The dog barks.", "Berlin.", "I am a king. Score: 3"],
            },
            "trainer": "renaming",
            "evaluations": EVALUATIONS,
            "judge": {"engine": engine, "model": {"name": "judge", "location": location}},
            "reports": [],
        }
    )


def examine(body):
    """Answer as the examiner does, with its token probabilities."""
    written = judge(body["messages"][-1]["content"])
    if isinstance(written, Failure):
        return "m"  # to the check before the run, which is no judge prompt
    return Said(
        "".join(step.token for step in written),
        [{token: exp(logprob) for token, logprob in step.alternatives} for step in written],
    )


def figures(record):
    """Every metric of every model, without what only names the judge."""

    def rounded(value):
        return None if value is None else round(value, 9)  # probabilities went through a logarithm

    return {
        (result.model, result.evaluation, metric.name, metric.against): (
            *map(rounded, (metric.value, metric.low, metric.high)),
            metric.n,
            metric.failed,
        )
        for stage in record.stages
        for result in stage.evaluations
        for metric in result.metrics
    }


@pytest.fixture(scope="module")
def locally(tmp_path_factory):
    folder = tmp_path_factory.mktemp("local") / "run"
    return figures(run(request("examiner", "examiner"), Store(folder)))


def remote(server, tmp_path, attempts=12, base_url=None, **guards):
    prices = tmp_path / "prices.toml"
    prices.write_text(PRICES)
    calls = {"timeout": 2, "attempts": attempts, "backoff": 0.01}
    url = base_url or server.url
    engine = {"name": "openai", "base_url": url, "prices": str(prices), "calls": calls}
    return request({**engine, "guards": guards}, "judge")


def test_a_server_that_fails_a_fifth_of_all_calls_changes_no_figure(locally, tmp_path):
    store = Store(tmp_path / "run")
    troubles = ("throttle:0.02", "error", "unavailable", "reset", "garbage")
    with JudgeServer(examine, trouble=at_random(0.2, troubles)) as server:
        asked = remote(server, tmp_path)
        record = run(asked, store)
        answered = len(server.answered)
        assert figures(record) == locally
        assert run(asked, store) == record
        assert len(server.answered) == answered  # a finished run asks nothing
    bodies = Counter(json.dumps(body, sort_keys=True) for body in server.answered)
    probe = 1  # what the check before the run asks
    assert sum(count - 1 for count in bodies.values()) <= probe
    ledger = [json.loads(line) for line in (store.books / "ledger.jsonl").read_text().splitlines()]
    statuses = Counter(entry["status"] for entry in ledger)
    assert statuses["ok"] + statuses["truncated"] == answered
    assert len(ledger) == len(server.received)
    assert {"rate_limited", "server_error", "connection", "garbage"} <= statuses.keys()


def test_a_pool_of_which_one_goes_away_changes_no_figure(locally, tmp_path):
    with ExitStack() as until_then:
        goes = until_then.enter_context(JudgeServer(lambda body: leave() or examine(body)))

        def leave():
            if len(goes.received) == 40:
                goes._loop.call_soon(goes._stop.set)

        with JudgeServer(examine) as stays:
            asked = remote(stays, tmp_path, base_url=[goes.url, stays.url])
            assert figures(run(asked, Store(tmp_path / "run"))) == locally
        assert len(goes.answered) >= 40
        assert len(stays.answered) > len(goes.answered)


def test_models_of_a_server_are_not_trained_here(tmp_path):
    engine = {"name": "openai", "base_url": "http://127.0.0.1:9/v1"}
    trainer = {"rubric": "microworld", "seeds": {"ift": "microworld:ift"}}
    trainer |= {"sft": {"learning_rate": 1e-3}, "dpo": {"learning_rate": 1e-5}}
    trainer |= {"proposing": {"file": "microworld:prompts"}}

    def asked(iterations, **trainer):
        table = {"model": {"location": "my-llama"}, "engine": engine, "trainer": trainer}
        return RunConfig.model_validate({**table, "iterations": iterations})

    with pytest.raises(ConfigError, match=r"self_rewarding trains weights that are here.*openai"):
        run(asked(1, name="self_rewarding", **trainer), Store(tmp_path / "run"))
    Bench.build(asked(0, name="self_rewarding", **trainer))
    Bench.build(asked(1, name="checkpoints", models=["my-llama-2"]))


def test_a_spent_budget_stops_the_run_and_more_money_goes_on(locally, tmp_path):
    store = Store(tmp_path / "run")
    with JudgeServer(examine) as server:
        asked = remote(server, tmp_path, max_usd=0.02)
        with pytest.raises(BudgetExceeded):
            run(asked, store)
        spent = sum(
            json.loads(line)["dollars"]
            for line in (store.books / "ledger.jsonl").read_text().splitlines()
        )
        assert 0 < spent <= 0.02
        assert store.record().stopped
        assert figures(run(capped(asked, 100), store)) == locally
        bodies = Counter(json.dumps(body, sort_keys=True) for body in server.answered)
    probes = 2  # the check before each attempt
    assert sum(count - 1 for count in bodies.values()) <= probes


def test_a_server_that_goes_away_stops_the_run_and_is_asked_for_the_rest(locally, tmp_path):
    store = Store(tmp_path / "run")
    gone = []

    def trouble(body, nth):
        gone.append(body)
        return "unavailable" if 30 < len(gone) < 400 else None

    with JudgeServer(examine, trouble=trouble) as server:
        asked = remote(server, tmp_path, attempts=2)
        with pytest.raises(JudgeUnavailable):
            run(asked, store)
        gone.extend([None] * 400)
        assert figures(run(asked, store)) == locally


def test_a_judge_that_never_says_anything_readable_leaves_no_number(tmp_path):
    with JudgeServer(lambda body: "Well, it depends.") as server:
        asked = remote(server, tmp_path)
        patient = asked.judge.model_copy(update={"guards": JudgeGuards(unreadable=1000)})
        record = run(asked.model_copy(update={"judge": patient}), Store(tmp_path / "run"))
    judged = {"examiner": "score", "alpaca_eval": "win_rate", "mt_bench": "score"}
    for stage in record.stages:
        for result in stage.evaluations:
            if name := judged.get(result.evaluation):
                metric = result.metric(name)
                assert (metric.value, metric.n) == (None, 0)
                assert metric.failed == len(result.items) > 0
