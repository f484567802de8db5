"""How well a judge's scores agree with a human ranking.

Two responses, ranked 0 (best) and 1 by people, scored by a judge:

    scores 4, 2   concordant: the judge agrees
    scores 2, 4   discordant
    scores 3, 3   tied: what that is worth is the tie policy, which is why there are several
    scores 4, -   failed: no verdict could be read; counted, and in no agreement

The metrics are those of Table 4 of Yuan et al. (2024), who do not state their tie policy. Of the
four here, leaving ties out is the only one under which all published pairs of accuracy and tau are
arithmetically possible, so `pairwise_accuracy` does that; the others and the tie rate stand beside
it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.records import Metric
from harness.statistics.intervals import ratio


@dataclass(frozen=True)
class Agreement:
    """One instruction's responses, judged and ranked.

    Only pairs that people put in an order are counted: concordant + discordant + tied + failed is
    their number. The list metrics need a score for every response.
    """

    concordant: int
    discordant: int
    tied: int
    """By the judge: people put them in an order, the judge did not."""
    failed: int
    """Pairs with a response that has no score."""
    unscored: int
    """Responses without a score."""
    fives: int
    """Responses with full marks."""
    top_fives: int
    """Those of them that people ranked first."""
    exact: bool | None
    """Whether the judge's order is the human one, ties included; None with a response unscored."""
    spearman: float | None
    """None with a response unscored, or where all scores (or all ranks) are the same."""
    kendall: float | None
    """Tau-b; None as for Spearman."""
    all_tied: bool | None
    """Whether every response got the same score; None with a response unscored."""


def compare(
    ranks: Sequence[int], scores: Sequence[float | None], highest: float = 5.0
) -> Agreement:
    """Compare one instruction's scores with its human ranks.

    Args:
        ranks: 0 is best; equal ranks are allowed and form no pair.
        scores: More is better; None where no verdict could be read.
        highest: Full marks.

    Raises:
        ValueError: the lengths differ, or there are fewer than two responses.
    """
    if len(ranks) != len(scores) or len(ranks) < 2:
        raise ValueError(f"{len(ranks)} ranks and {len(scores)} scores are no ranked list")
    human = -_signs(np.asarray(ranks, dtype=float))
    scored = [k for k, score in enumerate(scores) if score is not None]
    ordered = human[np.ix_(scored, scored)]
    judged = _signs(np.asarray([scores[k] for k in scored], dtype=float))
    agree = ordered * judged
    concordant, discordant = _pairs(agree > 0), _pairs(agree < 0)
    tied = _pairs((ordered != 0) & (judged == 0))
    whole = len(scored) == len(scores)
    fives = [k for k in scored if scores[k] == highest]
    return Agreement(
        concordant=concordant,
        discordant=discordant,
        tied=tied,
        failed=_pairs(human != 0) - concordant - discordant - tied,
        unscored=len(scores) - len(scored),
        fives=len(fives),
        top_fives=sum(ranks[k] == min(ranks) for k in fives),
        exact=bool(np.array_equal(ordered, judged)) if whole else None,
        # Both are one formula on the sign matrix (Daniels 1944): of its entries it gives
        # tau-b, of its row sums, which are centred mid-ranks, Spearman's rho.
        spearman=_correlation(ordered.sum(axis=1), judged.sum(axis=1)) if whole else None,
        kendall=_correlation(ordered, judged) if whole else None,
        all_tied=not judged.any() if whole else None,
    )


def agreement_metrics(
    lists: Sequence[Agreement], seed: int = 0, clusters: Sequence[str] | None = None
) -> tuple[Metric, ...]:
    """Summarise agreement over instructions, with bootstrap intervals clustered by instruction.

    Pair metrics pool the pairs of all instructions; their `failed` are pairs with an unscored
    response:

    * `pairwise_accuracy`: concordant / (concordant + discordant), ties excluded
    * `pairwise_accuracy_half`: a tie counts half
    * `pairwise_accuracy_ties_wrong`: a tie counts as wrong
    * `pairwise_accuracy_ties_correct`: a tie counts as right
    * `tie_rate`: tied / all scored pairs

    `five_best`: of the responses with full marks (the mean of their verdicts is exactly 5), the
    share that people ranked first; its `failed` are unscored responses.

    List metrics give every instruction the same weight; their `failed` are instructions with an
    unscored response and, for the correlations, also those whose responses are all tied, for which
    a correlation is not defined (`all_tied_rate` says how many those are):

    * `exact_match`: share of instructions whose whole order is the human one; a tie breaks it
    * `spearman`, `kendall_tau` (tau-b): mean over instructions

    Args:
        lists: One ranked list each.
        seed: Of the resampling.
        clusters: By list, what it shares with others, its instruction say, where several lists are
            of one; without it every list is an instruction of its own.
    """
    gathered = gatherer(clusters)

    def over_lists(name: str, value: Callable[[Agreement], float | bool | None]) -> Metric:
        values = [value(one) for one in lists]
        sums = gathered([one or 0.0 for one in values])
        estimate = ratio(sums, gathered([one is not None for one in values]), seed)
        return estimate.metric(name, failed=len(values) - estimate.n)

    accuracies, tie_rate = pair_accuracies(
        gathered([one.concordant for one in lists]),
        gathered([one.discordant for one in lists]),
        gathered([one.tied for one in lists]),
        sum(one.failed for one in lists),
        seed,
    )
    best = gathered([one.top_fives for one in lists])
    fives = ratio(best, gathered([one.fives for one in lists]), seed)
    return (
        *accuracies,
        fives.metric("five_best", failed=sum(one.unscored for one in lists)),
        over_lists("exact_match", lambda one: one.exact),
        over_lists("spearman", lambda one: one.spearman),
        over_lists("kendall_tau", lambda one: one.kendall),
        tie_rate,
        over_lists("all_tied_rate", lambda one: one.all_tied),
    )


def pair_accuracies(
    concordant: NDArray[np.float64],
    discordant: NDArray[np.float64],
    tied: NDArray[np.float64],
    failed: int,
    seed: int,
) -> tuple[tuple[Metric, ...], Metric]:
    """Compute the accuracy under every tie policy, and the tie rate, from counts by cluster."""
    pairs = concordant + discordant + tied

    def metric(name: str, right: NDArray[np.float64], of: NDArray[np.float64] = pairs) -> Metric:
        return ratio(right, of, seed).metric(name, failed=failed)

    return (
        metric("pairwise_accuracy", concordant, concordant + discordant),
        metric("pairwise_accuracy_half", concordant + tied / 2),
        metric("pairwise_accuracy_ties_wrong", concordant),
        metric("pairwise_accuracy_ties_correct", concordant + tied),
    ), metric("tie_rate", tied)


def gatherer(clusters: Sequence[str] | None) -> Callable[[ArrayLike], NDArray[np.float64]]:
    """Make the function that sums values by cluster, clusters in the order of appearance."""
    if clusters is None:
        return lambda values: np.asarray(values, dtype=float)
    places = {name: place for place, name in enumerate(dict.fromkeys(clusters))}
    where = np.array([places[name] for name in clusters], dtype=int)

    def gathered(values: ArrayLike) -> NDArray[np.float64]:
        sums = np.bincount(where, np.asarray(values, dtype=float), len(places))
        return sums.astype(float)  # of nothing, bincount makes integers

    return gathered


def _signs(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compare all with all: +1 where row is more than column, 0 where equal, shape (n, n)."""
    return np.sign(values[:, None] - values[None, :])


def _pairs(where: NDArray[np.bool_]) -> int:
    """Count unordered pairs in a symmetric matrix."""
    return int(where.sum()) // 2


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    """Correlate what has mean 0; None where one of the two does not vary."""
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm else None
