"""What M1 learns from: human demonstrations (IFT), and judgements of ranked answers (EFT).

    IFT   "What does the cow eat?"  -> "The cow eats grass."
    EFT   rubric with question and answer -> "on topic, gives an answer, right, ... Score: 4"

A group of judgements is kept only where its order agrees with the human ranking, and the most
common score is thinned (section 3.1.1 of the paper).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from random import Random

from pydantic import JsonValue

from harness.data import datasets
from harness.data.examples import Demonstration, Loaded, RankedGroup, Row
from harness.data.overlap import split_seeds
from harness.errors import DataError
from harness.judge import Judge, points_line
from harness.protocols import RowLog
from harness.reading import read_points
from harness.records import Failure, Outcome, Score
from harness.verdicts import ask, read
from training.self_rewarding.settings import Seeds


@dataclass(frozen=True)
class Human:
    """The seed data, and what was left out of it."""

    ift: tuple[Demonstration, ...]
    eft: tuple[RankedGroup, ...]
    metrics: dict[str, JsonValue]


@dataclass(frozen=True)
class Judgement:
    """A judgement to learn from: what was judged, and what the judge shall say."""

    prompt: str
    response: str
    verdict: str
    score: float


Verdicts = Mapping[str, tuple[str, Outcome]]
"""What was written about each ranked answer, and how it reads, by `<group id>/<index>`."""


@dataclass(frozen=True)
class Accepted:
    """The judgements to learn from, and what became of the rest."""

    rows: tuple[Judgement, ...]
    dropped: Mapping[str, int]
    """Groups by reason."""
    metrics: dict[str, JsonValue]
    """groups = groups_kept + groups_dropped, and accepted = rows + thinned."""


def load(settings: Seeds, held_out: Sequence[str], seed: int) -> Human:
    """Read the seed data, without what is held out and, where asked, without overlap.

    `held_out` are the sources that nothing may be trained on. What must go goes first, and only
    then are as many drawn as are asked for.

    Returns:
        Rows, and where the others went: of demonstrations `read == rows + sum(dropped)`, and of
        ranked answers `read == answers + sum(dropped)`.

    Raises:
        DataError: a source cannot be read or has no ranks, or nothing is left of it.
    """
    ift = datasets.demonstrations(settings.ift, _made(settings.ift, settings.ift_rows), seed)
    eft = Loaded[RankedGroup]((), read=0)
    if settings.eft is not None:
        eft = datasets.ranked_groups(settings.eft, _made(settings.eft, settings.eft_groups), seed)
    demonstrations, groups, overlap = ift.rows, eft.rows, Counter[str]()
    if held_out or settings.disjoint:
        files = [name for name in held_out if not name.startswith(datasets.MICROWORLD)]
        is_held_out = datasets.held_out(held_out)
        asked = {row.prompt for row in demonstrations} | {row.prompt for row in groups}
        gone = [*(datasets.texts(files) if files else ()), *filter(is_held_out, asked)]
        apart = split_seeds(
            demonstrations, groups, gone, settings.ift_share, seed, settings.disjoint
        )
        demonstrations, groups = apart.demonstrations, apart.groups
        overlap.update(apart.dropped)
    shown = _draw(demonstrations, settings.ift_rows, seed)
    ranked = _draw(groups, settings.eft_groups, seed)
    _check_left(shown, ranked, settings, overlap)
    metrics: dict[str, JsonValue] = {
        "ift": {
            "read": ift.read,
            "dropped": _dropped(ift.dropped, len(ift.rows), len(demonstrations), len(shown)),
            "rows": len(shown),
        },
        "overlap": dict(overlap),
    }
    if settings.eft is not None:
        answers = [_answers(rows) for rows in (eft.rows, groups, ranked)]
        metrics["eft"] = {
            "read": eft.read,
            "dropped": _dropped(eft.dropped, *answers),
            "answers": answers[-1],
            "groups": len(ranked),
        }
    return Human(shown, ranked, metrics)


def _dropped(loading: Mapping[str, int], loaded: int, apart: int, drawn: int) -> JsonValue:
    """Say what was left out while loading, for overlap, and because enough were drawn."""
    counts = Counter(loading)
    counts["overlap"] += loaded - apart
    counts["not_drawn"] += apart - drawn
    return dict(+counts)


def _made(source: str | Sequence[str], wanted: int | None) -> int | None:
    """Say how many rows to make, of a source that is generated; files are read whole."""
    names = [source] if isinstance(source, str) else source
    return wanted if all(name.startswith(datasets.MICROWORLD) for name in names) else None


def _draw(rows: tuple[Row, ...], wanted: int | None, seed: int) -> tuple[Row, ...]:
    if wanted is None or wanted >= len(rows):
        return rows
    return tuple(Random(seed).sample(rows, wanted))


def _answers(groups: Iterable[RankedGroup]) -> int:
    return sum(len(group.responses) for group in groups)


def _check_left(
    shown: Sequence[Demonstration],
    ranked: Sequence[RankedGroup],
    settings: Seeds,
    overlap: Mapping[str, int],
) -> None:
    for option, source, rows in (("ift", settings.ift, shown), ("eft", settings.eft, ranked)):
        if source is not None and not rows:
            causes = ", ".join(f"{reason} {count}" for reason, count in overlap.items())
            raise DataError(
                f"nothing of seeds.{option} = {source!r} is left to train on ({causes}); name more "
                "or other sources, or hold out less"
            )


def annotations(groups: Sequence[RankedGroup]) -> Verdicts:
    """Take the verdicts that the data itself has.

    Raises:
        DataError: an answer has none.
    """
    given: dict[str, tuple[str, Outcome]] = {}
    for group in groups:
        for index, response in enumerate(group.responses):
            if response.verdict is None:
                raise DataError(
                    f"answer {index} of EFT group {group.id} has no verdict, which "
                    'seeds.annotator = "data" needs; use "sft", so that the SFT baseline writes it'
                )
            given[f"{group.id}/{index}"] = response.verdict, read_points(response.verdict)
    return given


def annotate(judge: Judge, groups: Sequence[RankedGroup], log: RowLog) -> Verdicts:
    """Have a model write the verdicts; of several samples the first readable one counts."""
    rows = {
        f"{group.id}/{index}": {"instruction": group.prompt, "response": response.text}
        for group in groups
        for index, response in enumerate(group.responses)
    }
    ask(judge, rows.items(), log)
    written: dict[str, tuple[str, Outcome]] = {}
    for key in rows:
        samples = read(key, log)
        readable = (sample for sample in samples if isinstance(sample.outcome, Score))
        best = next(readable, samples[0])
        written[key] = best.text, best.outcome
    return written


def accept(
    groups: Sequence[RankedGroup],
    given: Verdicts,
    most_common_share: float,
    seed: int,
) -> Accepted:
    """Keep the judgements whose order agrees with the human ranking, and thin the commonest score.

    A group is kept whole or not at all: with an unreadable verdict, or with two that contradict
    the ranks, it goes. Equal scores contradict nothing.
    """
    dropped: Counter[str] = Counter()
    unreadable: Counter[str] = Counter()
    kept: list[Judgement] = []
    for group in groups:
        outcomes = [given[f"{group.id}/{index}"] for index in range(len(group.responses))]
        failed = [o.reason for _, o in outcomes if isinstance(o, Failure)]
        scores = [o.value for _, o in outcomes if isinstance(o, Score)]
        unreadable.update(failed)
        if failed:
            dropped["unreadable"] += 1
        elif not _agrees([response.rank for response in group.responses], scores):
            dropped["contradicts_ranking"] += 1
        else:
            kept += [
                Judgement(group.prompt, response.text, text, score)
                for response, (text, _), score in zip(
                    group.responses, outcomes, scores, strict=True
                )
            ]
    thinned = thin(kept, most_common_share, seed)
    metrics: dict[str, JsonValue] = {
        "groups": len(groups),
        "groups_kept": len(groups) - dropped.total(),
        "groups_dropped": dict(dropped),
        "unreadable": dict(unreadable),
        "accepted": len(kept),
        "thinned": len(kept) - len(thinned),
        "rows": len(thinned),
        "score_histogram": _histogram(kept),
        "score_histogram_thinned": _histogram(thinned),
    }
    return Accepted(tuple(thinned), dict(dropped), metrics)


def without_reasons(rows: Iterable[Judgement]) -> tuple[Judgement, ...]:
    """Leave of every verdict its points, for a judge who will be asked for no more."""
    return tuple(replace(row, verdict=points_line(row.score)) for row in rows)


def _agrees(ranks: Sequence[int], scores: Sequence[float]) -> bool:
    """Tell whether no pair of scores contradicts the ranks (0 best); ties contradict nothing."""
    return all(
        (rank - other) * (score - another) <= 0
        for (rank, score), (other, another) in combinations(zip(ranks, scores, strict=True), 2)
    )


def thin(rows: Sequence[Judgement], share: float, seed: int) -> list[Judgement]:
    """Drop rows of the most common score, by chance, until it has at most this share."""
    counts = Counter(row.score for row in rows)
    if not counts:
        return []
    commonest, count = counts.most_common(1)[0]
    others = len(rows) - count
    allowed = count if share == 1 or not others else int(share * others / (1 - share))
    places = [place for place, row in enumerate(rows) if row.score == commonest]
    Random(f"thin {seed}").shuffle(places)
    gone = set(places[allowed:])
    return [row for place, row in enumerate(rows) if place not in gone]


def _histogram(rows: Iterable[Judgement]) -> dict[str, JsonValue]:
    counts = Counter(row.score for row in rows)
    return {f"{score:g}": counts[score] for score in sorted(counts)}
