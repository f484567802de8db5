"""The transcription holds together: what can be computed from it fits what is printed."""

from statistics import mean

import pytest

from harness.statistics.intervals import net_win
from reports.paper import everything, published

GAMES = [
    (one.evaluation, one.model, one.against, one.condition, one.n)
    for one in everything()
    if one.metric == "win" and one.condition != "positives only"  # printed in whole percent
]


def value(*wanted: str, **more: str) -> float:
    found = published(*wanted, **more)
    assert found is not None
    return found.value


@pytest.mark.parametrize(("evaluation", "model", "against", "condition", "n"), GAMES)
def test_shares_fit_whole_counts_and_give_the_net_win(evaluation, model, against, condition, n):
    shares = [
        value(evaluation, name, model, against=against, condition=condition)
        for name in ("win", "tie", "loss")
    ]
    counts = [round(share * n) for share in shares]
    assert sum(counts) == n
    assert [count / n for count in counts] == pytest.approx(shares, abs=0.0006)
    found = published(evaluation, "net_win", model, against=against)
    computed = net_win(*counts)
    assert (found.value, found.low, found.high) == pytest.approx(computed[:3], abs=0.0006)


@pytest.mark.parametrize("model", ["SFT", "M1", "M2", "M3"])
def test_mt_bench_means_are_those_of_their_categories(model):
    hard = [value("mt_bench", f"score_{name}", model) for name in ("math", "coding", "reasoning")]
    names = ("humanities", "extraction", "stem", "roleplay", "writing")
    other = [value("mt_bench", f"score_{name}", model) for name in names]
    assert value("mt_bench", "score_math_coding_reasoning", model) == pytest.approx(
        mean(hard), abs=0.01
    )
    assert value("mt_bench", "score_other_categories", model) == pytest.approx(
        mean(other), abs=0.01
    )
    assert value("mt_bench", "score", model) == pytest.approx(mean(hard + other), abs=0.01)


@pytest.mark.parametrize("model", ["M0", "SFT", "M1", "M2", "M3"])
def test_the_benchmarks_mean_is_theirs(model):
    nine = [
        one.value
        for one in everything()
        if (one.evaluation, one.model) == ("nlp_benchmarks", model) and one.metric != "mean"
    ]
    assert len(nine) == 9
    assert value("nlp_benchmarks", "mean", model) == pytest.approx(mean(nine), abs=0.00005)


def test_shares_are_shares_and_rates_are_points():
    assert value("judge_agreement", "pairwise_accuracy", "SFT") == 0.651
    assert value("judge_agreement", "spearman", "M3") == 0.349
    assert value("alpaca_eval", "win_rate", "M3") == 20.44
    without = value("training", "pairs", "M2", condition="without EFT")
    assert without / value("training", "pairs", "M2") == pytest.approx(0.136, abs=0.001)


def test_every_figure_is_found_by_what_it_is_of():
    for one in everything():
        name = (one.evaluation, one.metric, one.model)
        assert published(*name, against=one.against, condition=one.condition) is one
    assert published("alpaca_eval", "length_controlled_win_rate", "M3") is None
