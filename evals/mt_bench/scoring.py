"""FastChat's averages and win rates, with intervals over questions.

    81/1  [8]        single: the mean of the readable ratings counts
    81/2  [7, 9]     -> 8
    82/1  [-]        failed: in no mean, and counted

`score` is the mean over all turns that were scored, which is the mean of the two turns' means only
where none is missing. The two turns of a question are not independent, so intervals are over whole
questions. In pair mode a turn is worth 1 (won), 0.5 (tied) or 0 (lost).
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from statistics import fmean
from typing import TypeVar

import numpy as np

from evals.mt_bench.questions import TURNS, WITH_REFERENCE, item_id
from harness.records import Failure, Metric, Outcome, Score
from harness.statistics.intervals import Estimate, ratio

T = TypeVar("T")

WIN, TIE, LOSS = 1.0, 0.5, 0.0


@dataclass(frozen=True)
class Judged:
    """A turn of a question, and what it was found to be worth, as often as it was judged."""

    question: str
    turn: int
    category: str | None
    outcomes: tuple[Outcome, ...]

    @property
    def id(self) -> str:
        """The item's."""
        return item_id(self.question, self.turn)

    @cached_property
    def values(self) -> list[float]:
        """What could be read."""
        return [one.value for one in self.outcomes if isinstance(one, Score)]

    @property
    def outcome(self) -> Outcome:
        """The mean of what could be read, or the commonest reason why nothing could."""
        if self.values:
            return Score(value=fmean(self.values))
        failures = [one for one in self.outcomes if isinstance(one, Failure)]
        reasons = Counter(one.reason for one in failures)
        return max(failures, key=lambda one: reasons[one.reason])


def groups(categories: Mapping[str, T]) -> dict[str, list[T]]:
    """Part what belongs to categories into the paper's two groups (Yuan et al. 2024, Table 2)."""
    parts: dict[str, list[T]] = {"math_coding_reasoning": [], "other_categories": []}
    for category, value in categories.items():
        group = "math_coding_reasoning" if category in WITH_REFERENCE else "other_categories"
        parts[group].append(value)
    return parts


def single(rows: Sequence[Judged], note: str = "") -> Iterator[Metric]:
    """Average ratings over everything, by turn, by category and by the paper's groups."""
    yield _mean(rows).metric("score", _failed(rows), note=note)
    by_category: dict[str, list[Judged]] = defaultdict(list)
    for row in rows:
        if row.category is not None:
            by_category[row.category].append(row)
    parts = {f"turn_{turn}": [row for row in rows if row.turn == turn] for turn in TURNS}
    parts |= by_category
    parts |= {name: list(chain(*part)) for name, part in groups(by_category).items() if part}
    for name, part in parts.items():
        yield _mean(part).metric(f"score_{name}", _failed(part), note=note)
    yield from noise(rows)


def over_judgements(rows: Sequence[Judged]) -> Iterator[Metric]:
    """Average over judgements, as FastChat does, where some turns were scored more often."""
    if len({len(row.values) for row in rows if row.values}) < 2:
        return
    by_question: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        by_question[row.question] += row.values
    estimate = _over_questions(by_question)
    failed = sum(len(row.outcomes) for row in rows) - estimate.n
    note = "FastChat's own average, in which a turn counts as often as it was scored"
    yield estimate.metric("score_over_judgements", failed, note=note)


def corrected(rows: Sequence[Judged], note: str = "") -> Metric:
    """Average ratings of which some were given with corrected references."""
    return _mean(rows).metric("score_corrected_references", _failed(rows), note=note)


def pair(rows: Sequence[Judged], against: str, note: str = "") -> Iterator[Metric]:
    """Count wins, losses and ties; the adjusted win rate counts a tie half."""
    worths: dict[str, Callable[[float], float]] = {
        "win_rate": lambda value: value == WIN,
        "loss_rate": lambda value: value == LOSS,
        "tie_rate": lambda value: value == TIE,
        "win_rate_adjusted": lambda value: value,
    }
    for name, worth in worths.items():
        yield _mean(rows, worth).metric(name, _failed(rows), against, note)
    yield from noise(rows, against)


def noise(rows: Sequence[Judged], against: str | None = None) -> Iterator[Metric]:
    """Say how far a judge that is asked again differs from itself.

    `judge_noise` is the standard deviation of the overall average from one repeat to the next, its
    interval that of a normal sample; `judge_noise_item` the mean standard deviation of one item.
    Both are over the items that could be read in every repeat, and there is neither unless every
    item was judged equally often, and more than once.
    """
    often = {len(row.outcomes) for row in rows if row.values}
    if len(often) != 1 or often == {1}:
        return
    [repeats] = often
    whole = [row for row in rows if len(row.values) == repeats]
    failed = len(rows) - len(whole)
    note = f"standard deviation over {repeats} repeats"
    table = np.array([row.values for row in whole]).reshape(len(whole), repeats)
    by_question: dict[str, list[float]] = defaultdict(list)
    for row, deviation in zip(whole, table.std(axis=1, ddof=1).tolist(), strict=True):
        by_question[row.question].append(deviation)
    yield _spread(table).metric("judge_noise", failed, against, note)
    yield _over_questions(by_question).metric("judge_noise_item", failed, against, note)


def _spread(table: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Estimate:
    """Estimate the standard deviation of a column's mean; `table` has shape (items, repeats)."""
    items, repeats = table.shape
    if not items:
        return Estimate(None, None, None, 0)
    deviation = float(table.mean(axis=0).std(ddof=1))
    # The spread of so few numbers is known badly: chi-squared, as for any normal sample.
    drawn = np.random.default_rng(0).chisquare(repeats - 1, size=200_000) / (repeats - 1)
    low, high = (deviation / np.sqrt(np.quantile(drawn, end)) for end in (0.975, 0.025))
    return Estimate(deviation, float(low), float(high), items)


def _mean(rows: Sequence[Judged], worth: Callable[[float], float] = float) -> Estimate:
    by_question: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row.values:
            by_question[row.question].append(fmean(map(worth, row.values)))
    return _over_questions(by_question)


def _over_questions(values: Mapping[str, Sequence[float]]) -> Estimate:
    return ratio([sum(part) for part in values.values()], [len(part) for part in values.values()])


def _failed(rows: Sequence[Judged]) -> int:
    return sum(not row.values for row in rows)
