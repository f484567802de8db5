"""Runs small enough to compare in a moment: forty items, whose scores seed and setting shift."""

from typing import Any

import pytest

from harness.protocols import NamedRun
from harness.records import (
    EvalResult,
    ItemResult,
    Metric,
    ModelRef,
    RunRecord,
    Score,
    Stage,
    StageResult,
)

LEVELS = {"M0": 1.0, "SFT": 2.0, "M1": 2.1, "M2": 2.6, "M3": 3.0}
REQUEST: dict[str, Any] = {
    "model": {"name": "M0", "location": "microworld", "revision": None},
    "iterations": 3,
    "seed": 0,
    "trainer": {
        "name": "self_rewarding",
        "rubric": "five_points",
        "learn_from": "preferences",
        "seeds": {"eft": "microworld:eft"},
        "guards": {"on_collapse": "stop"},
    },
    "evaluations": [{"name": "examiner"}, {"name": "head_to_head"}, {"name": "judge_agreement"}],
    "reports": [{"name": "markdown"}],
    "contents": {},
}


def examined(
    model: str, shift: float, protocol: str = "p1", judge: str = "", items: str = "w"
) -> EvalResult:
    """Marks of forty answers; the shift moves M2 and M3 alone, every third item twice as much."""
    moved = shift if model in ("M2", "M3") else 0.0
    scores = [LEVELS[model] + 0.1 * (k % 5) + moved * (1 + (k % 3 == 0)) for k in range(40)]
    found = tuple(
        ItemResult(id=f"{items}{k}", answer="", outcome=Score(value=score))
        for k, score in enumerate(scores)
    )
    mean = sum(scores) / len(scores)
    return EvalResult(
        evaluation="examiner",
        model=model,
        protocol=protocol,
        judge=judge,
        description="forty prompts, judged by the examiner",
        metrics=(
            Metric(name="score", value=mean, low=mean - 0.1, high=mean + 0.1, n=40),
            Metric(name="length_tokens", value=12.0, n=40),
        ),
        items=found,
    )


def played(model: str, wins: int, protocol: str = "g1") -> EvalResult:
    """Forty games against SFT, so many won and the others drawn, and against the one before."""
    before = {"M1": "M0", "M2": "M1", "M3": "M2"}.get(model)
    games = tuple(
        ItemResult(
            id=f"g{k}", answer="", against="SFT", outcome=Score(value=0.5 + 0.5 * (k < wins))
        )
        for k in range(40)
    )
    net = wins / 40
    opponents = [name for name in (before, "SFT") if name and model not in ("M0", "SFT")]
    return EvalResult(
        evaluation="head_to_head",
        model=model,
        protocol=protocol,
        metrics=tuple(
            Metric(name="net_win", value=net, low=net - 0.1, high=net + 0.1, n=40, against=other)
            for other in opponents
        ),
        items=games if opponents else (),
    )


def agreed(model: str, right: int, protocol: str = "a1") -> EvalResult:
    """Forty instructions, so many of them judged as people did; M0 cannot be read."""
    readable = model != "M0"
    return EvalResult(
        evaluation="judge_agreement",
        model=model,
        protocol=protocol,
        metrics=(
            Metric(
                name="pairwise_accuracy",
                value=right / 40 if readable else None,
                n=40 if readable else 0,
                failed=0 if readable else 40,
            ),
        ),
        items=tuple(
            ItemResult(id=f"i{k}", answer="", outcome=Score(value=float(k < right)))
            for k in range(40 if readable else 0)
        ),
    )


def ref(name: str) -> ModelRef:
    return ModelRef(name=name, location="microworld")


def record(
    seed: int = 0,
    shift: float = 0.0,
    wins: int = 20,
    right: int = 30,
    pairs: int = 200,
    options: dict[str, Any] | None = None,
    **how: Any,
) -> RunRecord:
    """A whole run; `options` lie over the trainer's, `how` goes to the examiner's results."""
    trainer = {**REQUEST["trainer"], **(options or {})}
    stages: list[StageResult] = []
    for iteration in range(4):
        names = {0: ["M0"], 1: ["SFT", "M1"]}.get(iteration, [f"M{iteration}"])
        if iteration:
            metrics: dict[str, Any] = {"pairs": {"prompts": 300, "pairs": pairs}}
            stages.append(
                StageResult(
                    stage=Stage(iteration=iteration, kind="train"),
                    model=ref(names[-1]),
                    comparators=tuple(map(ref, names[:-1])),
                    metrics=metrics if iteration > 1 else {},
                )
            )
        stages.append(
            StageResult(
                stage=Stage(iteration=iteration, kind="evaluate"),
                model=ref(names[-1]),
                comparators=tuple(map(ref, names[:-1])),
                evaluations=tuple(
                    result
                    for name in names
                    for result in (
                        examined(name, shift, **how),
                        played(name, wins),
                        agreed(name, right),
                    )
                ),
            )
        )
    return RunRecord(
        request={**REQUEST, "seed": seed, "trainer": trainer},
        environment={"harness": "0.1.0"},
        stages=tuple(stages),
    )


@pytest.fixture(scope="session")
def make():
    """The maker of records."""
    return record


@pytest.fixture(scope="session")
def seeds() -> tuple[NamedRun, ...]:
    """Three seeds of one setting."""
    return tuple(NamedRun(f"seed{k}", record(k, shift=0.1 * k, wins=20 + k)) for k in range(3))


@pytest.fixture(scope="session")
def positives() -> tuple[NamedRun, ...]:
    """Three seeds of another, that learned from positives and does worse."""
    options = {"learn_from": "positives"}
    return tuple(
        NamedRun(f"positives{k}", record(k, -0.5 + 0.12 * k, wins=8 + 2 * k, options=options))
        for k in range(3)
    )
