"""What a run will ask of a judge, and what that costs, before the first call.

    full_run(models=4)["mt_bench"]               Workload(640, 640_000 tokens in, 160_000 out)
    estimate(_, Price(input=2, output=10))       $2.88

The sizes are typical ones, collected on `PROFILED`, in whole calls with nothing cached and nothing
failed. A judge that reasons is paid for its thoughts as well, which nobody can foretell.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from harness.protocols import Workload
from harness.remote.prices import Price

PROFILED = date(2026, 11, 20)
"""When the sizes below were collected."""


@dataclass(frozen=True)
class Estimate:
    """What calls will cost."""

    calls: Workload
    dollars: float | None
    """None where the price is unknown."""


def estimate(calls: Workload, price: Price | None, batch: bool = False) -> Estimate:
    """Estimate what calls cost, directly or through the Batch API."""
    if price is None:
        return Estimate(calls, None)
    return Estimate(calls, price.dollars(calls.input_tokens, calls.output_tokens, batch=batch))


def full_run(models: int) -> dict[str, Workload]:
    """List, by evaluation, what a run of all five asks one judge about so many models.

    * `alpaca_eval`: 805 instructions, one order, as published; 766,000 tokens a model is the median
      of 52 stored runs, and the verdict is one token.
    * `mt_bench`: 80 questions of two turns, single mode, judged once; answers of 1,500 characters.
    * `nlp_benchmarks`: no judge.
    * `head_to_head`: 256 prompts in both orders for every pair of models; a ranking of two.
    * `judge_agreement`: the judge itself, once, whatever the number of models: 541 replies of the
      Open Assistant validation set (first turns), three verdicts each, a call a verdict.
    """
    pairs = models * (models - 1) // 2
    return {
        "alpaca_eval": _each(805 * models, input_tokens=950, output_tokens=1),
        "mt_bench": _each(80 * 2 * models, input_tokens=1000, output_tokens=250),
        "nlp_benchmarks": _each(0, input_tokens=0, output_tokens=0),
        "head_to_head": _each(256 * 2 * pairs, input_tokens=950, output_tokens=40),
        "judge_agreement": _each(541 * 3, input_tokens=600, output_tokens=150),
    }


def total(calls: Iterable[Workload]) -> Workload:
    """Add calls up."""
    return sum(calls, start=Workload())


def _each(calls: int, input_tokens: int, output_tokens: int) -> Workload:
    return Workload(calls, calls * input_tokens, calls * output_tokens)
