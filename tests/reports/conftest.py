"""Runs to report on: a whole one, and what can be missing from one."""

from typing import Any

import pytest

from harness.records import (
    Cost,
    EvalResult,
    Failure,
    ItemResult,
    Metric,
    ModelRef,
    RunRecord,
    Score,
    Stage,
    StageResult,
)

HOSTILE = (
    "<script>alert(1)</script> ![x](http://evil.example/a.png) @everyone | ``` \n"
    "# heading\n```\n</code></pre>\x1b[2J\u202egnp.exe \x00 **bold** $x$ " + "A" * 5000
)
CATEGORIES = ("math", "stem", "writing")
SCORES = {"M0": 2, "SFT": 3, "M1": 3, "M2": 4, "M3": 4}
AGREEMENT = {"M0": 0.521, "SFT": 0.544, "M1": 0.890, "M2": 0.887, "M3": 0.889}
NET_WINS = {
    ("M1", "M0"): (0.55, 0.35, 0.10),
    ("M1", "SFT"): (0.31, 0.39, 0.30),
    ("M2", "M1"): (0.45, 0.47, 0.08),
    ("M2", "SFT"): (0.50, 0.40, 0.10),
    ("M3", "M2"): (0.12, 0.78, 0.10),
    ("M3", "SFT"): (0.60, 0.30, 0.10),
}
REQUEST: dict[str, Any] = {
    "model": {"name": "M0", "location": "microworld"},
    "iterations": 3,
    "seed": 7,
    "engine": {"name": "transformers"},
    "trainer": {"name": "self_rewarding"},
    "judge": {
        "engine": {"name": "examiner"},
        "model": {"name": "examiner (exact)", "location": "examiner"},
    },
    "evaluations": [{"name": "examiner"}, {"name": "judge_agreement"}, {"name": "head_to_head"}],
}
ENVIRONMENT: dict[str, Any] = {
    "harness": "0.1.0",
    "python": "3.11.7",
    "cores": 2,
    "threads": "2",
    "gpus": [],
    "packages": {"torch": "2.13.0", "transformers": "5.1.0", "trl": "1.16.0"},
    "command": "harness run --iterations 3",
}


def examiner(model: str, n: int = 120, failed: int = 0, answer: str | None = None) -> EvalResult:
    """Marks of `n` answers, the first `failed` of them unreadable."""
    items = tuple(_item(model, k, k < failed, answer) for k in range(n))
    values = [item.outcome.value for item in items if isinstance(item.outcome, Score)]
    mean = sum(values) / len(values) if values else None
    length = {"M0": 11.9, "SFT": 12.4, "M1": 12.9, "M2": 13.8, "M3": 24.5}[model]
    parts = [
        Metric(name=f"score/{name}", value=mean, low=mean, high=mean, n=n // 3)
        for name in (CATEGORIES if mean is not None else ())
    ]
    return EvalResult(
        evaluation="examiner",
        model=model,
        protocol="5d0c1f0f6a1c8f0e",
        description=f"{n} prompts, judged by examiner (exact)",
        metrics=(
            Metric(
                name="score",
                value=mean,
                low=None if mean is None else mean - 0.14,
                high=None if mean is None else mean + 0.15,
                n=len(values),
                failed=failed,
            ),
            *parts,
            Metric(name="length_tokens", value=length, low=length - 0.5, high=length + 0.5, n=n),
        ),
        items=items,
    )


def _item(model: str, k: int, failed: bool, answer: str | None) -> ItemResult:
    points = min(5, SCORES[model] + (k % 3 == 0) - (k % 7 == 0))
    return ItemResult(
        id=f"w{k:03d}",
        answer=f"The dog barks {model}." if answer is None else answer,
        outcome=Failure(reason="no_score", detail="?") if failed else Score(value=points),
        category=CATEGORIES[k % 3],
        details={"prompt": f"What sound does animal {k} make?", "truncated": False},
    )


def judge_agreement(model: str) -> EvalResult:
    """Agreement with human rankings; the accuracy stands in for all tie policies."""
    value = AGREEMENT[model]
    names = ("", "_half", "_ties_wrong", "_ties_correct")
    low, high = value - 0.03, value + 0.03
    metrics = [
        Metric(name=f"pairwise_accuracy{s}", value=value, low=low, high=high, n=531) for s in names
    ]
    rho = 2 * value - 1
    return EvalResult(
        evaluation="judge_agreement",
        model=model,
        protocol="aa0c1f0f6a1c8f0e",
        description="541 ranked responses to 190 instructions, judged by the model itself",
        metrics=(
            *metrics,
            Metric(name="five_best", value=0.432, low=0.38, high=0.49, n=210),
            Metric(name="exact_match", value=0.143, low=0.1, high=0.2, n=190),
            Metric(name="spearman", value=rho, low=rho - 0.1, high=0.9, n=181, failed=9),
            Metric(name="tie_rate", value=0.12, low=0.1, high=0.14, n=531),
            Metric(name="failure_rate", value=0.004, low=0.0, high=0.01, n=1623),
        ),
        items=tuple(
            ItemResult(
                id=f"g{k}",
                answer="2 > 1",
                outcome=Score(value=float((k * 7) % 100 < 100 * value)),
            )
            for k in range(190)
        ),
    )


def head_to_head(model: str) -> EvalResult:
    """Games against the models before."""
    metrics = []
    for (one, other), (win, tie, loss) in NET_WINS.items():
        if one != model:
            continue
        shares = {"win": win, "tie": tie, "loss": loss, "net_win": win - loss}
        for name, value in (*shares.items(), ("position_consistency", 0.93)):
            metrics.append(
                Metric(
                    name=name,
                    value=value,
                    low=value - 0.07,
                    high=value + 0.07,
                    n=250,
                    against=other,
                )
            )
    return EvalResult(
        evaluation="head_to_head",
        model=model,
        protocol="bb0c1f0f6a1c8f0e",
        description="250 prompts, judged in both orders by examiner (exact)",
        metrics=tuple(metrics),
    )


def ref(name: str, parent: str | None = None) -> ModelRef:
    """A model of the run."""
    return ModelRef(name=name, location="microworld", parent=parent, fingerprint=f"fp-{name}")


def evaluate(iteration: int, names: list[str], **options: Any) -> StageResult:
    """The stage that measures these models."""
    return StageResult(
        stage=Stage(iteration=iteration, kind="evaluate"),
        model=ref(names[-1]),
        comparators=tuple(ref(name) for name in names[:-1]),
        evaluations=tuple(
            result
            for name in names
            for result in (examiner(name, **options), judge_agreement(name), head_to_head(name))
        ),
        costs={
            f"{name}/{part}": Cost(seconds=seconds, rows=250, prompt_tokens=9000, new_tokens=tokens)
            for name in names
            for part, seconds, tokens in (("examiner", 4.1, 3300), ("judge_agreement", 11.6, 21000))
        },
    )


def train(iteration: int, metrics: dict[str, Any]) -> StageResult:
    """The stage that makes M<iteration>."""
    return StageResult(
        stage=Stage(iteration=iteration, kind="train"),
        model=ref(f"M{iteration}", f"M{iteration - 1}"),
        comparators=(ref("SFT", "M0"),) if iteration == 1 else (),
        metrics=metrics,
        costs={"candidates": Cost(seconds=62.0, rows=1200, prompt_tokens=9, new_tokens=15000)},
    )


SEED_ROUND: dict[str, Any] = {
    "seeds": {"ift_rows": 3200, "eft_groups": 400, "dropped": {"too_long": 3}},
    "sft": {"rows_in": 3200, "rows_trained": 3197, "losses": [[1, 2.5], [50, 0.7], [100, 0.412]]},
    "training": {"rows_in": 4130, "final_loss": 0.21, "precision": "float32"},
}


def dpo_round(failures: dict[str, int]) -> dict[str, Any]:
    """What a self-rewarding round says of itself."""
    return {
        "candidates": {"asked": 1200, "ended": 1198, "truncated": 2, "failed": {}},
        "judgements": {
            "asked": 3600,
            "failed": failures,
            "score_histogram": {"0": 12, "1": 30, "2": 300, "3": 900, "4": 1800, "5": 500},
        },
        "pairs": {
            "prompts": 300,
            "pairs": 222,
            "without": {"tie": 70, "identical": 8},
            "score_cells": {f"{5 - k / 3:.3g}>{k / 4:.3g}": 40 - k for k in range(14)},
            "chosen_tokens": 14.234,
            "rejected_tokens": 13.1,
        },
        "training": {"pairs_in": 222, "losses": [[1, 0.6931], [40, 0.512]], "precision": "float32"},
        "warnings": ["M1 does not end its answers: 2 of 1200"],
    }


@pytest.fixture(scope="session")
def whole_run() -> RunRecord:
    """M0, SFT, M1, M2 and M3, everything measured."""
    return RunRecord(
        request=REQUEST,
        environment=ENVIRONMENT,
        stages=(
            evaluate(0, ["M0"]),
            train(1, SEED_ROUND),
            evaluate(1, ["SFT", "M1"]),
            train(2, dpo_round({})),
            evaluate(2, ["M2"], failed=30),
            train(3, dpo_round({"no_score": 5})),
            evaluate(3, ["M3"]),
        ),
    )


@pytest.fixture
def half_run(whole_run: RunRecord) -> RunRecord:
    """Interrupted while M2 was made."""
    return whole_run.model_copy(update={"stages": whole_run.stages[:3]})


@pytest.fixture
def nothing_yet(whole_run: RunRecord) -> RunRecord:
    """Interrupted in its first stage."""
    return whole_run.model_copy(update={"stages": ()})


@pytest.fixture
def one_model() -> RunRecord:
    """A benchmark of M0 alone: nothing was to be trained."""
    return RunRecord(
        request=REQUEST | {"iterations": 0, "judge": None},
        environment={},
        stages=(evaluate(0, ["M0"]),),
    )


@pytest.fixture
def not_measured() -> RunRecord:
    """A run without evaluations."""
    stage = StageResult(stage=Stage(iteration=0, kind="evaluate"), model=ref("M0"))
    return RunRecord(
        request=REQUEST | {"iterations": 1}, environment={}, stages=(stage, train(1, {}))
    )


@pytest.fixture
def all_failed() -> RunRecord:
    """A run in which not one answer could be scored."""
    result = StageResult(
        stage=Stage(iteration=0, kind="evaluate"),
        model=ref("M0"),
        evaluations=(examiner("M0", n=6, failed=6),),
    )
    return RunRecord(request=REQUEST | {"iterations": 0}, environment={}, stages=(result,))


@pytest.fixture
def hostile_run() -> RunRecord:
    """A run in which every text is an attack."""
    stage = evaluate(0, ["M0"], n=6, answer=HOSTILE)
    prompt = {"details": {"prompt": HOSTILE}, "category": HOSTILE}
    failed = {"outcome": Failure(reason=HOSTILE, detail=HOSTILE)}
    results = tuple(
        result.model_copy(
            update={
                "description": HOSTILE,
                "protocol": HOSTILE,
                "items": tuple(
                    item.model_copy(update=prompt | (failed if k else {}))
                    for k, item in enumerate(result.items)
                ),
            }
        )
        for result in stage.evaluations
    )
    metrics: dict[str, Any] = {
        HOSTILE: {HOSTILE: HOSTILE, "x": {HOSTILE: 1}},
        "warnings": [HOSTILE],
    }
    return RunRecord(
        request={"model": HOSTILE, "trainer": {"name": HOSTILE}, "iterations": 1},
        environment={HOSTILE: HOSTILE, "packages": {HOSTILE: HOSTILE}},
        stages=(stage.model_copy(update={"evaluations": results}), train(1, metrics)),
    )


@pytest.fixture
def small_run() -> RunRecord:
    """Two models and four items: small enough to read its whole report."""
    before = examiner("M0", n=4)
    after = examiner("M1", n=4, failed=1)
    measured = [
        StageResult(
            stage=Stage(iteration=iteration, kind="evaluate"),
            model=ref(result.model),
            evaluations=(result,),
            costs={f"{result.model}/examiner": Cost(seconds=2.5, rows=4, new_tokens=50)},
        )
        for iteration, result in enumerate((before, after))
    ]
    made = train(1, {"training": {"rows_in": 12, "losses": [[1, 2.0], [3, 0.5]]}})
    return RunRecord(
        request=REQUEST | {"iterations": 1},
        environment={"harness": "0.1.0", "python": "3.11.7"},
        stages=(measured[0], made.model_copy(update={"comparators": ()}), measured[1]),
    )
