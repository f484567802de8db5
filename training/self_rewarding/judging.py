"""Candidates, and the model's own verdicts on them, in the row logs as soon as they are there.

    candidates.jsonl   "p17"      the answers to a prompt: [{"text": ..., "token_ids": [...]}, ...]
    verdicts.jsonl     "p17/2"    the verdicts on the third of them

Identical answers to a prompt are judged once and share their verdicts.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from random import Random

from pydantic import JsonValue

from harness import verdicts
from harness.data.examples import PromptRow
from harness.judge import Judge
from harness.protocols import LoadedModel, Request, RowLog, Sampling, user
from harness.records import Failure, Outcome, Score
from training.self_rewarding.pairs import Candidate, Judged


def write_candidates(
    model: LoadedModel,
    prompts: Sequence[PromptRow],
    sampling: Sampling,
    log: RowLog,
    ready: Callable[[Mapping[str, Candidate]], None] = lambda candidates: None,
) -> dict[str, Candidate]:
    """Answer every prompt `sampling.n` times; return the candidates by `<prompt id>/<index>`.

    Args:
        model: Who answers.
        prompts: What is answered.
        sampling: How, and how often.
        log: Where candidates are kept; those it has are not written again.
        ready: Is told the candidates of every prompt as soon as all of them are there.
    """
    for row in prompts:
        if row.id in log:
            ready(_candidates(row.id, log))
    owed = [Request(row.id, user(row.prompt), sampling) for row in prompts if row.id not in log]
    unfinished: dict[str, dict[int, Candidate]] = defaultdict(dict)
    for done in model.generate(owed):
        samples = unfinished[done.id]
        samples[done.index] = Candidate(
            text=done.text,
            token_ids=done.token_ids,
            prompt_ids=done.prompt_ids,
            ended=done.finish_reason == "stop",
            failure=done.failure,
        )
        if len(samples) == sampling.n:
            in_order = [samples[index] for index in sorted(samples)]
            log.append(done.id, [one.model_dump(mode="json") for one in in_order])
            del unfinished[done.id]
            ready(_candidates(done.id, log))
    return {key: one for row in prompts for key, one in _candidates(row.id, log).items()}


def _candidates(prompt: str, log: RowLog) -> dict[str, Candidate]:
    return {f"{prompt}/{k}": Candidate.model_validate(one) for k, one in enumerate(log[prompt])}


def judge_candidates(
    judge: Judge,
    prompts: Sequence[PromptRow],
    candidates: Mapping[str, Candidate],
    log: RowLog,
) -> dict[str, tuple[Outcome, ...]]:
    """Judge every candidate `judge.sampling.n` times, identical texts of a prompt only once.

    Returns:
        The verdicts by candidate; one that failed or was cut off has none.
    """
    text = {row.id: row.prompt for row in prompts}
    same = distinct(candidates)
    rows = {
        key: {"instruction": text[key.rpartition("/")[0]], "response": candidates[key].text}
        for key in dict.fromkeys(same.values())
    }
    verdicts.ask(judge, rows.items(), log)
    given = {key: tuple(r.outcome for r in verdicts.read(key, log)) for key in rows}
    return {key: given[same[key]] if key in same else () for key in candidates}


def judge_as_written(
    judge: Judge,
    prompts: Sequence[PromptRow],
    batches: Iterable[Sequence[Mapping[str, Candidate]]],
    log: RowLog,
) -> dict[str, tuple[Outcome, ...]]:
    """Judge candidates while others are still being written.

    Args:
        judge: Who judges.
        prompts: What they answer.
        batches: The candidates of prompts that have all of theirs, as many as are ready at once: a
            prompt's are judged together, since their judge prompts begin alike.
        log: Where verdicts are kept.

    Returns:
        What `judge_candidates` does, in the order of the batches.
    """
    given: dict[str, tuple[Outcome, ...]] = {}
    for batch in batches:
        candidates = dict(chain.from_iterable(one.items() for one in batch))
        given |= judge_candidates(judge, prompts, candidates, log)
    return given


def judge_by_chance(
    candidates: Mapping[str, Candidate], n: int, seed: int
) -> dict[str, tuple[Outcome, ...]]:
    """Give points from 0 to 5 by chance, the same for identical texts: a control."""
    same = distinct(candidates)
    given: dict[str, tuple[Outcome, ...]] = {}
    for key in dict.fromkeys(same.values()):
        rng = Random(f"{seed} {key}")
        given[key] = tuple(Score(value=float(rng.randint(0, 5))) for _ in range(n))
    return {key: given[same[key]] if key in same else () for key in candidates}


def by_prompt(
    prompts: Sequence[PromptRow],
    candidates: Mapping[str, Candidate],
    given: Mapping[str, tuple[Outcome, ...]],
) -> list[tuple[str, list[Judged]]]:
    """Gather each prompt's judged candidates."""
    groups: dict[str, list[Judged]] = defaultdict(list)
    for key, candidate in candidates.items():
        groups[key.rpartition("/")[0]].append(Judged(candidate, given[key]))
    return [(row.prompt, groups[row.id]) for row in prompts]


def distinct(candidates: Mapping[str, Candidate]) -> dict[str, str]:
    """Map every candidate that ended to the first with the same prompt and text."""
    first: dict[tuple[str, str], str] = {}
    same: dict[str, str] = {}
    for key, candidate in candidates.items():
        if candidate.ended:
            prompt = key.rpartition("/")[0]
            same[key] = first.setdefault((prompt, candidate.text), key)
    return same


def candidate_metrics(candidates: Mapping[str, Candidate]) -> dict[str, JsonValue]:
    """Count what came back: asked = ended + truncated + failed."""
    made = list(candidates.values())
    same = distinct(candidates)
    failed = Counter(c.failure.reason for c in made if c.failure)
    lengths = [len(c.token_ids) for c in made if c.failure is None]
    return {
        "asked": len(made),
        "ended": sum(c.ended for c in made),
        "truncated": sum(not c.ended and c.failure is None for c in made),
        "failed": dict(failed),
        "identical_to_another": len(same) - len(set(same.values())),
        "mean_tokens": sum(lengths) / len(lengths) if lengths else None,
    }


def asked(
    candidates: Mapping[str, Candidate], given: Mapping[str, tuple[Outcome, ...]]
) -> list[Outcome]:
    """List the verdicts that were asked for, those shared by identical texts once."""
    keys = dict.fromkeys(distinct(candidates).values())
    return [outcome for key in keys for outcome in given[key]]


def verdict_metrics(
    candidates: Mapping[str, Candidate], given: Mapping[str, tuple[Outcome, ...]]
) -> dict[str, JsonValue]:
    """Count the verdicts that were asked for, and how the scores spread: asked = read + failed."""
    outcomes = asked(candidates, given)
    # To one decimal: of expected scores hardly two are the same.
    points = Counter(round(one.value, 1) for one in outcomes if isinstance(one, Score))
    means = Counter(
        round(judged.score, 1)
        for judged in (Judged(candidates[key], verdicts) for key, verdicts in given.items())
        if judged.score is not None
    )
    return {
        "asked": len(outcomes),
        "read": points.total(),
        "failed": dict(failures(outcomes)),
        "failure_rate": 1 - points.total() / len(outcomes) if outcomes else None,
        "score_histogram": {f"{value:g}": points[value] for value in sorted(points)},
        "mean_score_histogram": {f"{value:g}": means[value] for value in sorted(means)},
    }


def failures(outcomes: Iterable[Outcome]) -> Counter[str]:
    """Count failures by cause."""
    return Counter(o.reason for o in outcomes if isinstance(o, Failure))
