import pytest

from harness.records import EvalResult, Failure, ItemResult, Metric, Overlap, RunRecord, Score
from reports.cautions import cautions


def result(evaluation: str = "examiner", model: str = "M0", n: int = 200, **metrics) -> EvalResult:
    return EvalResult(
        evaluation=evaluation,
        model=model,
        protocol="p",
        metrics=tuple(Metric(name=name, value=value, n=n) for name, value in metrics.items()),
    )


def run(whole_run: RunRecord, *found: EvalResult) -> RunRecord:
    """The whole run with these results only, by model."""
    stages = [
        stage.model_copy(
            update={
                "metrics": {},
                "evaluations": tuple(
                    one
                    for one in found
                    if stage.stage.kind == "evaluate"
                    and one.model in [m.name for m in (*stage.comparators, stage.model)]
                ),
            }
        )
        for stage in whole_run.stages
    ]
    return whole_run.model_copy(update={"stages": tuple(stages)})


def items(n: int, truncated: int = 0, failed: int = 0) -> tuple[ItemResult, ...]:
    return tuple(
        ItemResult(
            id=str(k),
            answer="",
            outcome=Failure(reason="no_score") if k < failed else Score(value=1),
            details={"truncated": k < truncated},
        )
        for k in range(n)
    )


def test_a_sound_run_has_none(whole_run):
    sound = [
        result(model="M1", score=3, length_tokens=12),
        result(model="M2", score=4, length_tokens=17),
        result(
            "judge_agreement", model="M2", pairwise_accuracy=0.6, tie_rate=0.5, failure_rate=0.1
        ),
    ]
    assert cautions(run(whole_run, *sound)) == ()


@pytest.mark.parametrize(
    ("metrics", "says"),
    [
        ({"failure_rate": 0.11}, "M0 / examiner: 11% of the verdicts could not be read."),
        ({"tie_rate": 0.51}, "M0 / examiner: 51% ties"),
        ({"pairwise_accuracy": 0.59}, "as a judge it agrees with 59% of the human orders"),
        ({"score": None}, "M0 / examiner: nothing could be scored."),
    ],
)
def test_a_metric_beyond_its_threshold_is_said(metrics, says, whole_run):
    [caution] = cautions(run(whole_run, result(**metrics)))
    assert says in caution


def test_a_model_without_opponents_did_not_fail(whole_run):
    assert cautions(run(whole_run, result("head_to_head"))) == ()


def test_few_items_are_said(whole_run):
    [caution] = cautions(run(whole_run, result(score=3, n=99)))
    assert "rests on 99 items or fewer" in caution


def test_answers_that_grew_are_said_with_the_model_they_grew_from(whole_run):
    found = [result(model="M1", length_tokens=10), result(model="M2", length_tokens=15.1)]
    [caution] = cautions(run(whole_run, *found))
    assert caution.startswith("M2 / examiner: answers are 1.5 times as long as M1's")


def test_different_protocols_are_said(whole_run):
    other = result(model="M2", score=4).model_copy(update={"protocol": "q"})
    [caution] = cautions(run(whole_run, result(model="M1", score=3), other))
    assert "measured by 2 different protocols" in caution


def test_cut_off_texts_are_said(whole_run):
    cut = result(score=3).model_copy(update={"items": items(100, truncated=6)})
    [caution] = cautions(run(whole_run, cut))
    assert "6% of the items hold a text that was cut off" in caution


def test_failures_are_said_by_cause(whole_run):
    failing = result(score=3).model_copy(update={"items": items(100, failed=11)})
    [caution] = cautions(run(whole_run, failing))
    assert "11% of the items could not be scored (11 no_score)" in caution


def test_the_trainers_warnings_come_first_each_once(whole_run):
    first, second, *_ = cautions(whole_run)
    assert first == "02-train: M1 does not end its answers: 2 of 1200"
    assert second.startswith("03-train: ")


def test_questions_that_training_has_seen_are_a_warning(whole_run):
    seen = Overlap(questions=805, prompts=4830, exact=("a", "b"), near=("c",))
    last = whole_run.stages[-1].model_copy(
        update={"overlap": {"alpaca_eval": seen, "examiner": Overlap(questions=3, prompts=9)}}
    )
    found = cautions(whole_run.model_copy(update={"stages": (*whole_run.stages[:-1], last)}))
    about = [line for line in found if "training has seen" in line]
    assert about == [
        "alpaca_eval: training has seen 2 of its 805 questions, and 1 nearly word for word."
    ]
