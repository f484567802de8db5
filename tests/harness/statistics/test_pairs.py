import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.statistics.agreement import agreement_metrics, compare
from harness.statistics.pairs import JudgedPair, pair_metrics

worth = st.sampled_from([0.0, 0.5, 1.0])
verdict = st.one_of(st.none(), worth)
judged_twice = st.builds(
    JudgedPair, worth, st.tuples(verdict, verdict), st.sampled_from(["a", "b", "c"])
)


def metrics(*pairs):
    return {m.name: m for m in pair_metrics([JudgedPair(*pair) for pair in pairs])}


def test_a_worked_example():
    found = metrics(
        (1.0, (1.0, 1.0), "p"),  # right in both orders
        (0.0, (0.0, 1.0), "p"),  # the first is shown first, and the other way round: a position
        (1.0, (0.0, 0.0), "q"),  # wrong in both
        (0.5, (0.5, 0.5), "q"),  # people saw no difference, nor did the judge
        (0.5, (1.0, 1.0), "r"),
        (0.0, (0.0, None), "r"),
    )
    assert (found["pairwise_accuracy"].value, found["pairwise_accuracy"].n) == (0.5, 2)
    assert found["pairwise_accuracy_half"].value == 0.5
    assert found["pairwise_accuracy_ties_wrong"].value == pytest.approx(1 / 3)
    assert found["pairwise_accuracy_ties_correct"].value == pytest.approx(2 / 3)
    assert found["tie_rate"].value == pytest.approx(1 / 3)
    three = found["three_class_accuracy"]
    assert (three.value, three.n, three.failed) == (0.4, 5, 1)
    assert (found["accuracy"].value, found["accuracy"].n, found["accuracy"].failed) == (0.5, 3, 1)
    # The better response of the second pair is its second, shown first where the verdict is 1.
    assert found["accuracy_better_first"].value == pytest.approx(1 / 3)
    assert found["accuracy_better_second"].value == pytest.approx(2 / 3)
    assert found["both_right"].value == pytest.approx(1 / 3)
    assert found["same_verdict"].value == pytest.approx(2 / 3)


def test_one_order_has_no_figures_of_two():
    found = metrics((1.0, (1.0,), "p"), (0.0, (0.5,), "q"))
    assert found["tie_rate"].value == 0.5
    assert not found.keys() & {"accuracy", "both_right", "same_verdict"}


def test_nothing_is_not_a_number():
    assert {m.value for m in pair_metrics([])} == {None}
    unread = metrics((1.0, (None, 1.0), "p"))
    assert {m.value for m in unread.values()} == {None}
    assert {m.failed for m in unread.values()} == {1}


@given(st.lists(judged_twice, min_size=1, max_size=12))
def test_tie_policies_are_tied_together(pairs):
    """With shares C, D and T: half is C + T/2, and so on, whatever the judge said."""
    found = {m.name: m for m in pair_metrics(pairs)}
    if not (n := found["pairwise_accuracy_half"].n):
        return
    wrong, right = (found[f"pairwise_accuracy_ties_{p}"].value for p in ("wrong", "correct"))
    tied = found["tie_rate"].value
    assert right - wrong == pytest.approx(tied)
    assert found["pairwise_accuracy_half"].value == pytest.approx((right + wrong) / 2)
    if tied < 1:
        assert found["pairwise_accuracy"].value == pytest.approx(wrong / (1 - tied))
    assert n + found["pairwise_accuracy_half"].failed == sum(pair.human != 0.5 for pair in pairs)


@given(st.lists(judged_twice, min_size=1, max_size=12))
def test_the_figures_of_two_orders_are_tied_together(pairs):
    found = {m.name: m for m in pair_metrics(pairs)}
    if found["accuracy"].value is None:
        return
    first, second = (found[f"accuracy_better_{place}"].value for place in ("first", "second"))
    assert found["accuracy"].value == pytest.approx((first + second) / 2)
    assert found["both_right"].value <= min(first, second, found["same_verdict"].value) + 1e-12


@given(st.lists(judged_twice, min_size=1, max_size=12))
def test_which_response_is_called_first_does_not_matter(pairs):
    def turned(pair):
        verdicts = tuple(None if v is None else 1 - v for v in reversed(pair.verdicts))
        return JudgedPair(1 - pair.human, verdicts, pair.cluster)

    assert pair_metrics([turned(pair) for pair in pairs]) == pair_metrics(pairs)


@pytest.mark.parametrize("column", ["SFT", "M1", "M2", "M3"])
def test_leaving_ties_out_is_possible_for_the_papers_figures_and_other_policies_are_not(column):
    """Yuan et al. 2024, Table 4: accuracy and tau, of which half credit fixes one by the other."""
    accuracy, tau, untied = {
        "SFT": (0.651, 0.233, 0.77),
        "M1": (0.787, 0.253, 0.44),
        "M2": (0.804, 0.315, 0.52),
        "M3": (0.817, 0.324, 0.51),
    }[column]
    n = 10_000
    concordant = round(n * untied * accuracy)
    discordant = round(n * untied) - concordant
    pairs = [JudgedPair(1.0, (1.0,), "p")] * concordant + [
        JudgedPair(1.0, (0.0,), "p")
    ] * discordant
    pairs += [JudgedPair(1.0, (0.5,), "p")] * (n - len(pairs))
    found = {m.name: m.value for m in pair_metrics(pairs)}
    assert found["pairwise_accuracy"] == pytest.approx(accuracy, abs=1e-3)
    assert (concordant - discordant) / n == pytest.approx(tau, abs=0.005)
    assert found["pairwise_accuracy_half"] == pytest.approx((1 + tau) / 2, abs=0.003)
    assert found["pairwise_accuracy_half"] < accuracy - 0.02
    assert found["pairwise_accuracy_ties_wrong"] < accuracy


def test_lists_of_one_instruction_are_resampled_together():
    ranks, right, wrong = [0, 1], [2.0, 1.0], [1.0, 2.0]
    lists = [compare(ranks, right if k % 2 else wrong) for k in range(40)]
    apart = agreement_metrics(lists)[0]
    together = agreement_metrics(lists, clusters=[str(k % 2) + str(k % 4) for k in range(40)])[0]
    assert apart.value == together.value == 0.5
    assert together.high - together.low > 2 * (apart.high - apart.low)
    assert agreement_metrics(lists, clusters=[str(k) for k in range(40)]) == agreement_metrics(
        lists
    )
    assert math.isclose(agreement_metrics(lists, clusters=["one"] * 40)[0].value, 0.5)
