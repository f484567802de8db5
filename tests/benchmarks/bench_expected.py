"""What each way of having points costs the self-rewarding loop, and what it is worth there.

    python -m tests.benchmarks.bench_expected [--out runs/expected] [--iterations 2] [--seed 0]

Runs the micro preset three times, with verdicts sampled three times each (the paper), with the
expected points of one sampled verdict, and with one token a verdict, for which M1 is taught the
points alone. Every model is measured by the exact examiner, and as a judge on held-out human
rankings, asked as it is asked in its loop. Prints Markdown, a line a model:

    tokens, s          of judging the answers that it learnt from: tokens an answer, seconds in all
    ties, pairs        among the prompts that it learnt from
    pairs right        of these pairs, which the exact examiner has in the same order; ties apart
    agreement          of its own judgements, with held-out human rankings, ties half right
    examiner           mean points of its answers

Each run is a folder below --out and is continued like any other.
"""

import argparse
import os
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness import verdicts
from harness.config import PRESETS, RunConfig
from harness.data.examples import PromptRow
from harness.microworld.examiner import examine
from harness.microworld.items import parse
from harness.records import RunRecord
from harness.rows import RowLog
from harness.run import run
from harness.store import Store
from tests.benchmarks.microworld_checks import results, value
from training.self_rewarding import judging
from training.self_rewarding.pairs import Candidate, Pair, choose_pairs

WAYS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any], str]] = {
    "sampled, n = 3": ({}, {"samples": 3}, ""),
    "expected, n = 1": ({"read": "expected", "n": 1}, {"samples": 1}, "expected/"),
    "one_token": ({"read": "one_token", "n": 1}, {"read": "one_token"}, ""),
}
"""By name: options of the trainer's `judging`, options of `judge_agreement`, and what its metric
that goes with them is called."""


def request(way: str, iterations: int, seed: int) -> RunConfig:
    """The micro preset, judging in another way and measured by two evaluations."""
    judge, agreement, _ = WAYS[way]
    table = tomllib.loads((PRESETS / "micro.toml").read_text())
    table |= {"iterations": iterations, "seed": seed}
    table["trainer"]["judging"] |= judge
    table["evaluations"] = [{"name": "examiner"}, {"name": "judge_agreement", **agreement}]
    return RunConfig.model_validate(table)


def pairs(stage: Path) -> tuple[Pair, ...]:
    """Read back which pairs a training stage learnt from."""
    with (
        RowLog(stage / "prompts.jsonl") as asked,
        RowLog(stage / "candidates.jsonl") as written,
        RowLog(stage / "verdicts.jsonl") as judged,
    ):
        prompts = [PromptRow(id, text) for id, text in asked.items()]
        candidates = {
            f"{row.id}/{k}": Candidate.model_validate(one)
            for row in prompts
            for k, one in enumerate(written[row.id])
        }
        same = judging.distinct(candidates)
        given = {
            key: tuple(one.outcome for one in verdicts.read(same[key], judged))
            if key in same
            else ()
            for key in candidates
        }
    return choose_pairs(judging.by_prompt(prompts, candidates, given)).pairs


def right(found: tuple[Pair, ...]) -> float:
    """Of pairs that the exact examiner does not call a tie, the share that it orders alike."""
    better = worse = 0
    for pair in found:
        question = parse(pair.prompt)
        if question is None:  # what models ask need not be of the micro-world
            continue
        chosen = examine(question, pair.chosen.text).score
        rejected = examine(question, pair.rejected.text).score
        better += chosen > rejected
        worse += chosen < rejected
    return better / (better + worse)


def lines(way: str, record: RunRecord, folder: Path) -> Iterator[str]:
    """The lines of one run, a line a model."""
    agreement, examined = results(record, "judge_agreement"), results(record, "examiner")
    metric = f"{WAYS[way][2]}pairwise_accuracy_half"
    n = WAYS[way][0].get("n", 3)
    for stage in record.stages:
        if stage.stage.kind != "train":
            continue
        name, loop = stage.model.name, "| | | | | "
        if "judge" in stage.costs:
            cost, made = stage.costs["judge"], stage.metrics
            found: Any = made["pairs"]
            learnt = pairs(folder / "stages" / f"{stage.stage.iteration:02d}-train")
            loop = (
                f"| {cost.new_tokens * n / cost.rows:.1f} | {cost.seconds:.1f} "
                f"| {found['tie_rate']:.3f} | {found['pairs']} | {right(learnt):.3f} "
            )
        yield (
            f"| {way} | {name} {loop}| {value(agreement[name], metric):.3f} "
            f"| {value(examined[name], 'score'):.2f} |"
        )


def main() -> None:
    """Run what is owed and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--iterations", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as aside:
        print(
            "| points | model | tokens | s | ties | pairs | pairs right | agreement "
            "| examiner |\n|" + " --- |" * 9
        )
        for way in WAYS:
            folder = (args.out or Path(aside)) / way.replace(" ", "").replace(",", "-")
            record = run(request(way, args.iterations, args.seed), Store(folder))
            print("\n".join(lines(way, record, folder)), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
