import re
import subprocess
import sys
from datetime import date, timedelta

import pytest
from typer.testing import CliRunner

from harness.errors import ConfigError, JudgeUnavailable, StoreError
from harness.remote import prices
from harness.remote.command import judge
from harness.remote.ledger import LEDGER, Entry, Ledger
from harness.store import Store
from tests.judge_server import JudgeServer

RUNNER = CliRunner()
KEY = "sk-a-very-secret-key"


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.delenv(prices.OVERRIDE, raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("JUDGE_KEY", KEY)


def run(*arguments):
    """Run the command; what it prints, with single spaces, or the error it ends with."""
    done = RUNNER.invoke(judge, arguments)
    if done.exception is not None:
        raise done.exception
    return re.sub(" +", " ", done.output)


def test_nothing_heavy_is_imported_before_a_server_is_asked():
    code = "import sys, harness.remote.command; print(sorted({'openai', 'torch'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr


def test_a_check_says_what_there_is():
    with JudgeServer(models=["gpt-4.1"], served="gpt-4.1-2025-04-14", key=KEY) as server:
        said = run("check", "gpt-4.1", "--base-url", server.url, "--key", "JUDGE_KEY")
    assert " listed yes" in said
    assert " answers as gpt-4.1-2025-04-14 \n" in said
    assert " fingerprint fp_tests" in said
    assert " shut down on 2027-01-14" in said
    assert " log-probabilities yes" in said
    assert " price $2 in, $8 out per million tokens (2026-11-20, to verify)" in said
    assert KEY not in said


def test_a_check_of_ones_own_server_needs_no_key_and_knows_no_price():
    with JudgeServer(models=["our/llama"]) as server:
        said = run("check", "our/llama", "--base-url", server.url, "--pin", "our/llama")
    assert " answers as our/llama, as pinned" in said
    assert " shut down no day known" in said
    assert " price unknown; " in said


def test_a_check_warns_of_a_model_that_goes_soon():
    soon = date.today() + timedelta(days=5)
    with JudgeServer(models=["m"], shutdown_date=str(soon)) as server:
        said = run("check", "m", "--base-url", server.url)
    assert f"warning: m is shut down on {soon}, in 5 days" in said


def test_the_effort_is_asked_with():
    with JudgeServer(models=["gpt-6-sol"]) as server:
        said = run("check", "gpt-6-sol", "--base-url", server.url, "--effort", "none")
    assert "log-probabilities yes" in said
    [call] = server.received
    assert call.body["reasoning_effort"] == "none"


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (["gpt-4"], JudgeUnavailable, "gpt-4 was shut down on 2026-10-23; its provider names"),
        (["judgy"], JudgeUnavailable, "has no model judgy; of the 1 it has, the closest are judge"),
        (["judge", "--pin", "judge-1"], JudgeUnavailable, "pinned to judge-1, but"),
        (["judge", "--effort", "enormous"], ConfigError, "'reasoning_effort'"),
        (["judge", "--key", KEY], ConfigError, "never the key itself"),
        (["judge", "--base-url", "judge.example/v1"], ConfigError, "must begin with http"),
        (["judge", "--prices", "nowhere.toml"], ConfigError, "nowhere.toml cannot be read"),
    ],
)
def test_a_check_that_fails_is_one_line(arguments, error, says):
    with JudgeServer() as server, pytest.raises(error) as failed:
        run("check", "--base-url", server.url, *arguments)
    assert says in str(failed.value)
    assert "\n" not in str(failed.value)
    assert KEY not in str(failed.value)


def test_a_check_without_a_key_names_the_variable():
    with pytest.raises(
        JudgeUnavailable, match=r"no key for api\.openai\.com: .* OPENAI_API_KEY is"
    ):
        run("check", "gpt-6-sol")


def test_what_four_models_cost_with_two_judges():
    said = run("cost", "--models", "4", "--judge", "gpt-6-sol", "--judge", "gpt-6-luna")
    assert " alpaca_eval 3,220 3,059,000 3,220 $6.15 $0.31 \n" in said
    assert " mt_bench 640 640,000 160,000 $2.88 $0.14 \n" in said
    assert " nlp_benchmarks - - - - - \n" in said
    assert " head_to_head 3,072 2,918,400 122,880 $7.07 $0.35 \n" in said
    assert " judge_agreement 1,623 973,800 243,450 $4.38 $0.22 \n" in said
    assert " total 8,555 7,591,200 529,550 $20.48 $1.02 \n" in said
    assert "prices of 2026-11-20, to verify" in said
    assert "gpt-6-sol: without its thoughts" in said


def test_a_batch_halves_it_and_other_prices_are_taken(tmp_path):
    assert " $10.24 " in run("cost", "--judge", "gpt-6-sol", "--batch")
    own = tmp_path / "prices.toml"
    own.write_text('collected = 2027-02-03\n[models."gpt-6-sol"]\nprice={input=4,output=20}')
    said = run("cost", "--judge", "gpt-6-sol", "--prices", str(own))
    assert " $40.96 " in said
    assert "prices of 2027-02-03" in said


def test_an_unknown_price_is_unknown_all_the_way():
    said = run("cost", "--judge", "our-llama")
    assert "total 8,555 7,591,200 529,550 unknown" in said
    assert "our-llama: price unknown; give it in a file" in said
    assert "$" not in said


def test_the_ledger_of_a_run(tmp_path):
    def entry(**changes):
        made = {"time": "t", "call": "c", "host": "h", "model": "m", "status": "ok"}
        made |= {"attempt": 1, "seconds": 0.1, "served": "m-1", "input_tokens": 600}
        made |= {"output_tokens": 500, "cached_tokens": 10, "reasoning_tokens": 7, "dollars": 0.25}
        return Entry.model_validate(made | changes)

    path = Store(tmp_path).books / LEDGER
    made = Ledger(path)
    known = ("served", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
    failed = dict.fromkeys((*known, "dollars"))
    made.append(entry())
    made.append(entry(model="own", served="own", dollars=None))
    made.append(entry())
    made.append(entry(status="rate_limited", at_most=0.0, **failed))
    made.append(entry(status="time_out", at_most=0.5, **failed))
    made.close()
    said = run("ledger", str(tmp_path))
    assert (
        " m h m-1 2 ok, 1 rate_limited, 1 time_out 1,200 (20 cached) 1,000 (14 thoughts) "
        "$0.5000, and unknown for 1 more"
    ) in said
    assert " own h own 1 ok 600 (10 cached) 500 (7 thoughts) unknown" in said


def test_a_run_without_a_ledger(tmp_path):
    with pytest.raises(StoreError, match=r"has no ledger .* no model on a server was asked there"):
        run("ledger", str(tmp_path))
