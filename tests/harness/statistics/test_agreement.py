import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from harness.statistics.agreement import agreement_metrics, compare

POLICIES = (
    "pairwise_accuracy",
    "pairwise_accuracy_half",
    "pairwise_accuracy_ties_wrong",
    "pairwise_accuracy_ties_correct",
)
lists = st.integers(2, 6).flatmap(
    lambda n: st.tuples(
        st.permutations(range(n)), st.lists(st.integers(0, 5).map(float), min_size=n, max_size=n)
    )
)
lists_with_equal_ranks = st.integers(2, 6).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 3), min_size=n, max_size=n),
        st.lists(st.integers(0, 5).map(float), min_size=n, max_size=n),
    )
)


def metrics(*pairs):
    return {m.name: m for m in agreement_metrics([compare(*pair) for pair in pairs])}


def test_a_worked_example():
    found = metrics(([0, 1, 2], [5.0, 3.0, 3.0]), ([0, 1], [2.0, 5.0]), ([0, 1], [4.0, None]))
    # Pairs: 2 concordant and 1 tied, 1 discordant, 1 failed.
    assert found["pairwise_accuracy"].value == pytest.approx(2 / 3)
    assert found["pairwise_accuracy"].n == 3
    assert found["pairwise_accuracy_half"].value == pytest.approx(2.5 / 4)
    assert found["pairwise_accuracy_ties_wrong"].value == pytest.approx(2 / 4)
    assert found["pairwise_accuracy_ties_correct"].value == pytest.approx(3 / 4)
    assert found["tie_rate"].value == pytest.approx(1 / 4)
    assert {found[name].failed for name in (*POLICIES, "tie_rate")} == {1}
    # Two responses have full marks, one of them is the best of its list; one has no score.
    five_best = found["five_best"]
    assert (five_best.value, five_best.n, five_best.failed) == (0.5, 2, 1)
    assert (found["exact_match"].value, found["exact_match"].n) == (0.0, 2)
    assert found["kendall_tau"].value == pytest.approx((2 / math.sqrt(3 * 2) - 1) / 2)
    assert found["spearman"].value == pytest.approx((math.sqrt(3) / 2 - 1) / 2)
    for name in ("exact_match", "spearman", "kendall_tau", "all_tied_rate"):
        assert found[name].n + found[name].failed == 3


def test_all_tied_lists_have_no_correlation_and_are_counted():
    found = metrics(([0, 1], [4.0, 4.0]), ([0, 1], [4.0, 2.0]), ([1, 0], [4.0, 2.0]))
    assert (found["spearman"].value, found["spearman"].n, found["spearman"].failed) == (0.0, 2, 1)
    assert (found["kendall_tau"].n, found["kendall_tau"].failed) == (2, 1)
    assert found["all_tied_rate"].value == pytest.approx(1 / 3)
    assert found["exact_match"].value == pytest.approx(1 / 3)


def test_without_a_score_there_is_no_metric():
    found = metrics(([0, 1], [None, None]), ([0, 1, 2], [None, 3.0, None]))
    assert {m.value for m in found.values()} == {None}
    assert {m.n for m in found.values()} == {0}
    assert found["pairwise_accuracy"].failed == 4
    assert found["five_best"].failed == 4
    assert found["exact_match"].failed == 2


def test_without_a_list_there_is_no_metric():
    assert {m.value for m in agreement_metrics([])} == {None}


def test_full_marks_are_exactly_full_marks():
    [two_of_three, full] = [compare([0, 1], [s, 1.0]).fives for s in (14 / 3, 5.0)]
    assert (two_of_three, full) == (0, 1)


def test_every_response_ranked_first_counts_as_best():
    one = compare([0, 0, 2], [5.0, 5.0, 5.0])
    assert (one.fives, one.top_fives) == (3, 2)
    without_the_first = compare([1, 2], [5.0, 5.0])
    assert (without_the_first.fives, without_the_first.top_fives) == (2, 1)


@pytest.mark.parametrize("ranks, scores", [([0, 1], [1.0]), ([0], [1.0]), ([], [])])
def test_what_is_no_ranked_list_is_refused(ranks, scores):
    with pytest.raises(ValueError, match="no ranked list"):
        compare(ranks, scores)


@given(lists_with_equal_ranks)
def test_correlations_are_scipys(pair):
    ranks, scores = pair
    one = compare(ranks, scores)
    if len(set(ranks)) == 1 or len(set(scores)) == 1:
        assert one.spearman is None
        assert one.kendall is None
        return
    human = [-rank for rank in ranks]
    assert one.kendall == pytest.approx(stats.kendalltau(human, scores, variant="b").statistic)
    assert one.spearman == pytest.approx(stats.spearmanr(human, scores).statistic)


@given(lists_with_equal_ranks)
def test_every_ordered_pair_is_counted_once(pair):
    ranks, scores = pair
    gaps = [score if score > 1 else None for score in scores]
    ordered = sum(a != b for k, a in enumerate(ranks) for b in ranks[:k])
    for given_scores in (scores, gaps):
        one = compare(ranks, given_scores)
        assert one.concordant + one.discordant + one.tied + one.failed == ordered


@given(st.lists(lists, min_size=1, max_size=4))
def test_a_perfect_judge_is_perfect_and_a_reversed_one_is_not(pairs):
    perfect = metrics(*[(ranks, [float(-rank) for rank in ranks]) for ranks, _ in pairs])
    for name in (*POLICIES, "exact_match", "spearman", "kendall_tau"):
        assert (perfect[name].value, perfect[name].low, perfect[name].high) in (
            (1.0, 1.0, 1.0),
            (1.0, None, None),  # one list
        )
    worst = metrics(*[(ranks, [float(rank) for rank in ranks]) for ranks, _ in pairs])
    assert {worst[name].value for name in (*POLICIES, "exact_match")} == {0.0}
    assert worst["spearman"].value == worst["kendall_tau"].value == -1.0


@given(st.lists(lists, min_size=1, max_size=4))
def test_only_the_order_of_scores_matters(pairs):
    stretched = [(ranks, [math.exp(score) + 7 for score in scores]) for ranks, scores in pairs]
    before, after = metrics(*pairs), metrics(*stretched)
    del before["five_best"], after["five_best"]
    assert before == after


@given(lists, st.randoms(use_true_random=False))
def test_the_order_in_which_responses_stand_does_not_matter(pair, random):
    ranks, scores = pair
    together = list(zip(ranks, scores, strict=True))
    random.shuffle(together)
    shuffled = compare(*map(list, zip(*together, strict=True)))
    assert shuffled == compare(ranks, scores)


@given(lists)
def test_accuracy_and_tau_are_tied_together_by_the_policy(pair):
    ranks, scores = pair
    one = compare(ranks, scores)
    assume(one.kendall is not None)
    found = metrics(pair)
    pairs = math.comb(len(ranks), 2)
    tau_a = (one.concordant - one.discordant) / pairs
    untied = 1 - found["tie_rate"].value
    assert one.kendall == pytest.approx(tau_a / math.sqrt(untied))
    assert found["pairwise_accuracy_half"].value == pytest.approx((1 + tau_a) / 2)
    signed = 2 * found["pairwise_accuracy"].value - 1
    assert tau_a == pytest.approx(untied * signed)
    assert one.kendall == pytest.approx(math.sqrt(untied) * signed)
    right_if_ties_are_wrong = found["pairwise_accuracy_ties_wrong"].value
    wrong_if_ties_are_right = 1 - found["pairwise_accuracy_ties_correct"].value
    assert tau_a == pytest.approx(right_if_ties_are_wrong - wrong_if_ties_are_right)
