"""Turn judged candidates into preference pairs: the best against the worst (section 2.3).

    candidate   mean of its readable verdicts
    "a"         4.67                             chosen
    "b"         3.00
    "c"         1.33                             rejected
    "d"         none was readable                takes no part
    "e"         cut off, so not even judged      takes no part

Equal means teach nothing, and neither do identical texts: such prompts give no pair, counted by
cause. Among equal best (or worst) candidates the first drawn is taken.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import mean

from pydantic import JsonValue

from harness.records import Failure, Outcome, Record, Score


class Candidate(Record):
    """One answer that M_t wrote, on the very tokens it sampled."""

    text: str
    token_ids: tuple[int, ...]
    prompt_ids: tuple[int, ...]
    ended: bool
    """It ended by itself; one that was cut off takes no part in a pair."""
    failure: Failure | None = None


@dataclass(frozen=True)
class Judged:
    """A candidate and its verdicts; `score` is the mean of the readable ones."""

    candidate: Candidate
    verdicts: tuple[Outcome, ...]

    @property
    def score(self) -> float | None:
        """The mean of the readable verdicts, never rounded; None where there is none."""
        values = [verdict.value for verdict in self.verdicts if isinstance(verdict, Score)]
        # Exact, so that equal verdicts in another order are a tie and not a preference.
        return mean(values) if values else None


@dataclass(frozen=True)
class Pair:
    """Two answers to one prompt, the better judged one first."""

    prompt: str
    chosen: Candidate
    rejected: Candidate
    chosen_score: float
    rejected_score: float


@dataclass(frozen=True)
class Pairing:
    """The pairs of a round, and why the other prompts gave none."""

    pairs: tuple[Pair, ...]
    without: dict[str, int] = field(default_factory=dict)

    def metrics(self) -> dict[str, JsonValue]:
        """Say what came out: prompts = pairs + without, lengths in tokens and characters."""
        cells = Counter(f"{p.chosen_score:.2g}>{p.rejected_score:.2g}" for p in self.pairs)
        metrics: dict[str, JsonValue] = {
            "prompts": len(self.pairs) + sum(self.without.values()),
            "pairs": len(self.pairs),
            "without": dict(self.without),
            "tie_rate": _share(self.without.get("tie", 0), len(self.pairs)),
            "score_cells": dict(cells.most_common()),
        }
        if self.pairs:
            gaps = [pair.chosen_score - pair.rejected_score for pair in self.pairs]
            metrics["score_gap"] = sum(gaps) / len(gaps)
            for side in ("chosen", "rejected"):
                made: list[Candidate] = [getattr(pair, side) for pair in self.pairs]
                metrics[f"{side}_tokens"] = sum(len(c.token_ids) for c in made) / len(made)
                metrics[f"{side}_characters"] = sum(len(c.text) for c in made) / len(made)
        return metrics


def _share(part: int, rest: int) -> float:
    return part / (part + rest) if part + rest else 0.0


def choose_pairs(rounds: Sequence[tuple[str, Sequence[Judged]]]) -> Pairing:
    """Pair the best candidate of each prompt with the worst, where they differ."""
    pairs: list[Pair] = []
    without: Counter[str] = Counter()
    for prompt, candidates in rounds:
        ended = [c for c in candidates if c.candidate.ended]
        ranked = [(c.score, c.candidate) for c in ended if c.score is not None]
        if len(ranked) < 2:
            without["unreadable" if len(ended) > 1 else "not_ended"] += 1
            continue
        high, chosen = max(ranked, key=lambda pair: pair[0])
        low, rejected = min(ranked, key=lambda pair: pair[0])
        if len({candidate.text for _, candidate in ranked}) == 1:
            without["identical"] += 1
        elif high == low or chosen.text == rejected.text:
            without["tie"] += 1
        else:
            pairs.append(Pair(prompt, chosen, rejected, high, low))
    return Pairing(tuple(pairs), dict(without))
