"""Does the loop work on the embedded world? Five seeds, and the controls that must not work.

    python -m tests.benchmarks.microworld_checks --out runs/checks [--seeds 5] [--controls 1]

Prints Markdown: per seed the examiner's mean score of M1, M2, M3, the head-to-head against the
model before, the judge's agreement with the examiner on held-out pairs, unreadable verdicts, ties
and lengths; then the same for a random judge, for positives only, and what a run without EFT says.
Each run is a folder below --out and is continued like any other, so the command can be repeated.
"""

import argparse
import os
import tomllib
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

from harness.config import PRESETS, RunConfig
from harness.errors import CollapseError
from harness.microworld.examiner import examine
from harness.microworld.items import parse
from harness.records import EvalResult, RunRecord
from harness.run import run
from harness.store import Store

CONTROLS: Mapping[str, Mapping[str, Any]] = {
    "random judge": {"judge": "random"},
    "positives only": {"learn_from": "positives"},
    "no EFT": {"seeds": {"eft": None}},
}


def request(seed: int, changes: Mapping[str, Any]) -> RunConfig:
    """The micro preset with another seed and some of the trainer's options changed."""
    table = tomllib.loads((PRESETS / "micro.toml").read_text())
    table["seed"] = seed
    for name, value in changes.items():
        known = table["trainer"].get(name)
        table["trainer"][name] = known | value if isinstance(value, dict) else value
    table["trainer"]["seeds"] = {
        k: v for k, v in table["trainer"]["seeds"].items() if v is not None
    }
    return RunConfig.model_validate(table)


def results(record: RunRecord, evaluation: str) -> dict[str, EvalResult]:
    """By model."""
    found = [e for stage in record.stages for e in stage.evaluations]
    return {e.model: e for e in found if e.evaluation == evaluation}


def value(result: EvalResult, metric: str, against: str | None = None) -> float:
    """A metric's value; a missing one is an error here."""
    found = result.metric(metric, against)
    assert found is not None and found.value is not None, (result.model, metric)
    return found.value


def examiner_pairs(result: EvalResult) -> float:
    """Share of held-out pairs that the model orders as the exact examiner does, ties left out."""
    right = wrong = 0
    for item in result.items:
        details: Any = item.details
        question = parse(details["prompt"])
        assert question is not None
        scored = [
            (examine(question, response["text"]).score, response["score"])
            for response in details["responses"]
            if response["score"] is not None
        ]
        for (exact, given), (other, another) in combinations(scored, 2):
            order = (exact - other) * (given - another)
            right += order > 0
            wrong += order < 0
    return right / (right + wrong) if right + wrong else float("nan")


def rows(name: str, record: RunRecord) -> Iterator[str]:
    """The lines of one run, a line a model."""
    examined, compared = results(record, "examiner"), results(record, "head_to_head")
    judged = results(record, "judge_agreement")
    training = {s.model.name: s.metrics for s in record.stages if s.stage.kind == "train"}
    for model in ("SFT", "M1", "M2", "M3"):
        if model not in examined:
            continue
        before = {"SFT": "M0", "M1": "M0", "M2": "M1", "M3": "M2"}[model]
        if compared[model].metric("win", before) is None:
            before = "M0"  # positives: every model comes from M0
        game = "/".join(
            f"{value(compared[model], metric, before):.2f}" for metric in ("win", "tie", "loss")
        )
        pairs: Any = training.get(model, {}).get("pairs", {})
        ties = f"{pairs['tie_rate']:.2f}" if pairs else ""
        agreement = judged[model].metric("pairwise_accuracy")
        human = f"{agreement.value:.2f}" if agreement and agreement.value is not None else "-"
        yield (
            f"| {name} | {model} | {value(examined[model], 'score'):.2f} | {game} v {before} "
            f"| {examiner_pairs(judged[model]):.3f} | {human} "
            f"| {value(judged[model], 'failure_rate'):.3f} | {ties} "
            f"| {pairs['pairs'] if pairs else ''} "
            f"| {value(examined[model], 'length_tokens'):.1f} |"
        )


def main() -> None:
    """Run what is owed and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--controls", type=int, default=1, help="seeds per control")
    args = parser.parse_args()
    print(
        "| run | model | examiner | win/tie/loss | judge v examiner | judge v human "
        "| unreadable | ties | pairs | tokens |\n|" + " --- |" * 10
    )
    for seed in range(args.seeds):
        record = run(request(seed, {}), Store(args.out / f"seed-{seed}"))
        print("\n".join(rows(f"seed {seed}", record)), flush=True)
    for name, changes in CONTROLS.items():
        for seed in range(args.controls):
            store = Store(args.out / f"{name.replace(' ', '-')}-{seed}")
            try:
                record = run(request(seed, changes), store)
            except CollapseError as error:
                print(f"\n{name}, seed {seed}: stopped: {error}\n", flush=True)
                continue
            print("\n".join(rows(f"{name}, seed {seed}", record)), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
