import pytest

from harness.protocols import Workload
from harness.remote import prices
from harness.remote.estimate import estimate, full_run, total
from harness.remote.prices import Price

FIVE = ["alpaca_eval", "mt_bench", "nlp_benchmarks", "head_to_head", "judge_agreement"]


def dollars(calls, model, batch=False):
    return estimate(calls, prices.find(model), batch).dollars


def test_a_full_run_of_four_models():
    asked = full_run(models=4)
    assert list(asked) == FIVE
    assert {name: calls.calls for name, calls in asked.items()} == {
        "alpaca_eval": 4 * 805,
        "mt_bench": 4 * 160,
        "nlp_benchmarks": 0,
        "head_to_head": 6 * 512,  # every pair of the four, in both orders
        "judge_agreement": 541 * 3,
    }


def test_one_model_has_nobody_to_meet_and_the_judge_is_measured_once():
    assert full_run(1)["head_to_head"] == Workload(0, 0, 0)
    assert full_run(1)["judge_agreement"] == full_run(7)["judge_agreement"]


def test_a_run_costs_what_such_runs_have_cost():
    one = full_run(1)
    # 52 stored AlpacaEval 2 runs: 610,000 to 793,000 tokens, the median 766,000.
    assert 610_000 < one["alpaca_eval"].input_tokens < 793_000
    assert dollars(one["alpaca_eval"], "gpt-6-sol") == pytest.approx(1.5, abs=0.1)
    assert dollars(one["alpaca_eval"], "gpt-6-luna") == pytest.approx(0.08, abs=0.01)
    assert dollars(one["mt_bench"], "gpt-6-sol") == pytest.approx(0.7, abs=0.1)
    assert dollars(one["mt_bench"], "gpt-6-luna") == pytest.approx(0.04, abs=0.01)
    assert dollars(full_run(2)["head_to_head"], "gpt-6-sol") == pytest.approx(1, abs=0.3)


def test_the_total_by_hand():
    assert total([Workload(1, 20, 300), Workload(2, 30, 400)]) == Workload(3, 50, 700)
    assert total([]) == Workload(0, 0, 0)
    priced = estimate(Workload(1, 2_000_000, 100_000), Price(input=2, output=10, batch=0.5))
    assert priced.dollars == pytest.approx(5)


def test_a_batch_costs_its_share():
    whole = total(full_run(4).values())
    assert dollars(whole, "gpt-6-sol", batch=True) == pytest.approx(dollars(whole, "gpt-6-sol") / 2)


def test_an_unknown_price_is_not_zero():
    assert dollars(total(full_run(4).values()), "our-llama") is None
