"""How well a judge's preferences between two responses agree with people's.

    people prefer    judge, first shown first    first shown second    the pair is
    first            first                       first                 concordant
    first            second                      second                discordant
    first            first                       second                tied: it prefers a position
    neither          neither                     neither               right, in three classes

The published figures that these are: agreement "with ties" and "without" of MT-Bench (Zheng et al.
2023) are `three_class_accuracy` and `pairwise_accuracy`; LLMBar's (Zeng et al. 2024) average,
both-correct and equal rates are `accuracy`, `both_right` and `same_verdict`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.records import Metric
from harness.statistics.agreement import gatherer, pair_accuracies
from harness.statistics.intervals import ratio

TIE = 0.5


@dataclass(frozen=True)
class JudgedPair:
    """Two responses, which of them people preferred, and which the judge did.

    1 is for the first, 0 for the second, 0.5 for neither.
    """

    human: float
    verdicts: tuple[float | None, ...]
    """What the judge said, None where that cannot be read: shown the first response first, and
    then, where it was asked in both orders, shown the second one first."""
    cluster: str
    """What it shares with other pairs, its instruction say."""

    @property
    def judged(self) -> float | None:
        """What counts as the judge's preference: only one that survives the swap does."""
        if None in self.verdicts:
            return None
        return self.verdicts[0] if len(set(self.verdicts)) == 1 else TIE

    @property
    def right(self) -> tuple[bool, ...]:
        """Whether each verdict is the human one, that with the better response first before."""
        told = self.verdicts if self.human > TIE else self.verdicts[::-1]
        return tuple(verdict == self.human for verdict in told)


def pair_metrics(pairs: Sequence[JudgedPair], seed: int = 0) -> tuple[Metric, ...]:
    """Summarise agreement over judged pairs, with bootstrap intervals by cluster.

    The pairwise accuracies and the tie rate are those of `agreement_metrics`, over the pairs that
    people put in an order. Beside them:

    * `three_class_accuracy`: of all pairs, also those that people called a tie, the share for which
      the judge said the same: first, second or neither

    and, where every pair was judged in both orders (as in Zeng et al. 2024), over the pairs that
    people put in an order and whose two verdicts can be read:

    * `accuracy`: share of verdicts that are right, a tie is not; the mean of the next two
    * `accuracy_better_first`, `accuracy_better_second`: by where the better response stood
    * `both_right`: share of pairs with two right verdicts
    * `same_verdict`: share of pairs with two equal verdicts, right or wrong
    """
    gathered = gatherer([pair.cluster for pair in pairs])
    ordered = [pair for pair in pairs if pair.human != TIE]
    in_order = gatherer([pair.cluster for pair in ordered])
    read = [pair for pair in pairs if pair.judged is not None]
    accuracies, tie_rate = pair_accuracies(
        in_order([pair.judged == pair.human for pair in ordered]),
        in_order([pair.judged == 1 - pair.human for pair in ordered]),
        in_order([pair.judged == TIE for pair in ordered]),
        sum(pair.judged is None for pair in ordered),
        seed,
    )
    same = gathered([pair.judged == pair.human for pair in pairs])
    three_class = ratio(same, gathered([pair.judged is not None for pair in pairs]), seed)
    swapped = all(len(pair.verdicts) == 2 for pair in pairs)
    told = [pair for pair in ordered if pair.judged is not None]
    return (
        *accuracies,
        three_class.metric("three_class_accuracy", failed=len(pairs) - len(read)),
        *(_both_orders(told, len(ordered), seed) if swapped else ()),
        tie_rate,
    )


def _both_orders(pairs: Sequence[JudgedPair], asked: int, seed: int) -> list[Metric]:
    gathered = gatherer([pair.cluster for pair in pairs])
    size = gathered([1.0 for _ in pairs])

    def share(name: str, value: Callable[[JudgedPair], float]) -> Metric:
        estimate = ratio(gathered([value(pair) for pair in pairs]), size, seed)
        return estimate.metric(name, failed=asked - len(pairs))

    return [
        share("accuracy", lambda pair: sum(pair.right) / 2),
        share("accuracy_better_first", lambda pair: pair.right[0]),
        share("accuracy_better_second", lambda pair: pair.right[1]),
        share("both_right", lambda pair: all(pair.right)),
        share("same_verdict", lambda pair: len(set(pair.verdicts)) == 1),
    ]
