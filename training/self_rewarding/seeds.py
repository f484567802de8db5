"""What M1 learns from: human demonstrations (IFT), and judgements of ranked answers (EFT).

    IFT   "What does the cow eat?"  -> "The cow eats grass."
    EFT   rubric with question and answer -> "on topic, gives an answer, right, ... Score: 4"

A group of judgements is kept only where its order agrees with the human ranking, and the most
common score is thinned (section 2.2 of the paper).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from random import Random

from pydantic import JsonValue
from transformers import AutoTokenizer

from harness import datasets
from harness.checkpoints import chat_text, locate
from harness.errors import DataError
from harness.examples import Demonstration, RankedGroup
from harness.judge import Judge, Rubric, read_points
from harness.overlap import split_seeds
from harness.protocols import Message, RowLog
from harness.records import Failure, ModelRef, Outcome, Score
from harness.verdicts import ask, read
from training.self_rewarding.settings import Seeds
from training.sft import Example


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


def load(settings: Seeds, seed: int) -> Human:
    """Read the seed data, without what is held out and, where asked, without overlap."""
    ift = datasets.demonstrations(settings.ift, settings.ift_rows, seed)
    metrics: dict[str, JsonValue] = {
        "ift_read": ift.read,
        "ift_dropped": dict(ift.dropped),
    }
    demonstrations, groups = ift.rows, tuple[RankedGroup, ...]()
    if settings.eft is not None:
        eft = datasets.ranked_groups(settings.eft, settings.eft_groups, seed)
        groups = eft.rows
        metrics |= {"eft_answers_read": eft.read, "eft_answers_dropped": dict(eft.dropped)}
    if settings.disjoint:
        held_out = datasets.texts(settings.held_out) if settings.held_out else []
        apart = split_seeds(demonstrations, groups, held_out, seed=seed)
        demonstrations, groups = apart.demonstrations, apart.groups
        metrics["overlap_dropped"] = dict(apart.dropped)
    metrics |= {"ift_rows": len(demonstrations), "eft_groups": len(groups)}
    return Human(demonstrations, groups, metrics)


def annotations(group_rows: Sequence[RankedGroup]) -> dict[str, tuple[str, Outcome]]:
    """Take the judgements that the data itself has, by `<group id>/<index>`.

    Raises:
        DataError: an answer has none.
    """
    given: dict[str, tuple[str, Outcome]] = {}
    for group in group_rows:
        for index, response in enumerate(group.responses):
            if response.verdict is None:
                raise DataError(
                    f"answer {index} of EFT group {group.id} has no verdict, which "
                    'seeds.annotator = "data" needs; use "sft", so that the SFT baseline writes it'
                )
            given[f"{group.id}/{index}"] = response.verdict, read_points(response.verdict)
    return given


def annotate(
    judge: Judge, groups: Sequence[RankedGroup], log: RowLog
) -> dict[str, tuple[str, Outcome]]:
    """Have a model write the judgements; of several samples the first readable one counts."""
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
    given: Mapping[str, tuple[str, Outcome]],
    most_common_share: float,
    seed: int,
) -> tuple[list[Judgement], dict[str, JsonValue]]:
    """Keep the judgements whose order agrees with the human ranking, and thin the commonest score.

    Returns:
        The judgements to learn from, and what became of the rest: groups in = kept + dropped.
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
    return thinned, {
        "groups": len(groups),
        "groups_dropped": dict(dropped),
        "unreadable": dict(unreadable),
        "accepted": len(kept),
        "thinned": len(kept) - len(thinned),
        "rows": len(thinned),
        "score_histogram": _histogram(kept),
        "score_histogram_thinned": _histogram(thinned),
    }


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


class Tokenizer:
    """Turns rows into the very tokens that a model will see when it is asked, and shall answer."""

    def __init__(self, model: ModelRef) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(locate(model), revision=model.revision)
        self._end = self._tokenizer.eos_token_id
        if self._end is None:
            raise DataError(
                f"the tokenizer of {model.location} has no end token; set `eos_token` in its "
                "tokenizer_config.json"
            )

    def demonstrations(self, rows: Iterable[Demonstration]) -> list[Example]:
        """Tokenize demonstrations."""
        return [self._example(row.prompt, row.response) for row in rows]

    def judgements(self, rows: Iterable[Judgement], rubric: Rubric) -> list[Example]:
        """Tokenize judgements, each after the rubric's prompt."""
        return [
            self._example(
                rubric.fill({"instruction": row.prompt, "response": row.response}), row.verdict
            )
            for row in rows
        ]

    def _example(self, prompt: str, response: str) -> Example:
        asked = (Message("user", prompt),)
        before = chat_text(self._tokenizer, asked, add_generation_prompt=True)
        whole = chat_text(
            self._tokenizer, (*asked, Message("assistant", response)), add_generation_prompt=False
        )
        # What the template writes after the prompt; where it rewrites the prompt, only the answer.
        after = whole[len(before) :] if whole.startswith(before) else response
        ids = self._ids(after)
        # Nothing after the end token is ever sampled, e.g. the line break of some templates.
        ids = ids[: ids.index(self._end)] if self._end in ids else ids
        return Example(tuple(self._ids(before)), (*ids, self._end))

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids
