"""What was measured before corrects what is planned, part by part."""

import pytest

from harness.overview import OTHER
from harness.planning.evidence import Evidence, Timed, from_run, kind_of
from harness.records import (
    Cost,
    ModelRef,
    Plan,
    PlannedPart,
    PlannedStage,
    RunRecord,
    Stage,
    StageResult,
)


def train(iteration):
    return Stage(iteration=iteration, kind="train")


def evaluate(iteration):
    return Stage(iteration=iteration, kind="evaluate")


def test_parts_are_alike_whatever_the_model():
    assert kind_of("M1/mt_bench/mark") == "mt_bench/mark"
    assert kind_of("train M2") == kind_of("train SFT") == "train"
    assert kind_of(OTHER) == OTHER


def test_the_part_of_the_same_name_is_the_best_evidence():
    known = Evidence(
        timed=(
            Timed(train(2), "judge", "generate", 10.0, 20.0),
            Timed(train(3), "judge", "generate", 10.0, 30.0),
            Timed(train(3), "candidates", "generate", 10.0, 10.0),
        )
    )
    assert known.factor(train(2), "judge", "generate") == 2
    assert known.factor(train(4), "judge", "generate") == 3
    assert known.factor(evaluate(1), "M1/examiner", "generate") == 2  # all of the kind
    assert known.factor(evaluate(1), "M1/examiner", "score") is None


def test_the_first_training_says_little_of_the_later_ones():
    known = Evidence(
        timed=(
            Timed(train(1), "train M1", "train", 10.0, 50.0),
            Timed(train(2), "train M2", "train", 10.0, 20.0),
        )
    )
    assert known.factor(train(3), "train M3", "train") == 2
    assert known.factor(train(1), "train SFT", "train") == 5


def test_a_pilot_of_m0_stands_for_the_later_models():
    known = Evidence(timed=(Timed(evaluate(0), "M0/examiner", "generate", 1.0, 4.0),))
    assert known.factor(evaluate(3), "M3/examiner", "generate") == 4


def test_parts_without_a_model_take_what_they_took():
    timed = (Timed(train(2), "prompt map", "idle", 0.0, 1.5),)
    assert Evidence(timed=timed, alike=True).seconds(train(3), "prompt map") == 1.5
    assert Evidence(timed=timed).seconds(train(3), "prompt map") is None
    assert Evidence(alike=True).seconds(train(3), "prompt map") is None


def test_a_run_is_evidence_by_what_it_took_and_should_have_taken():
    stage = train(2)
    model = ModelRef(name="M2", location="m2")
    cost = Cost(seconds=6.0, rows=12, new_tokens=120)
    record = RunRecord(
        request={},
        environment={},
        stages=(StageResult(stage=stage, model=model, costs={"judge": cost}),),
    )
    part = PlannedPart(kind="generate", modelled=2.0)
    plan = Plan(request={}, hardware="", stages=(PlannedStage(stage=stage, parts={"judge": part}),))
    known = from_run(record, plan, "runs/a")
    assert known.factor(stage, "judge", "generate") == pytest.approx(3)
    assert known.cost(train(3), "judge").new_tokens == 120
    assert known.cost(train(3), "eft") is None
