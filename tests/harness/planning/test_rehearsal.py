"""A rehearsal goes through the run's own stages, and counts what models would be asked."""

import pytest

from harness.config import RunConfig, validate
from harness.errors import DataError
from harness.planned import Length, PlannedTraining
from harness.planning.bid import Bid
from harness.planning.rehearsal import Absent, rehearse
from harness.planning.tokens import counter
from harness.protocols import Completion
from harness.records import ModelRef, Stage

REQUEST = {
    "model": {"location": "microworld"},
    "iterations": 2,
    "judge": {"engine": "examiner", "model": {"name": "examiner", "location": "examiner"}},
    "evaluations": [
        {"name": "examiner", "limit": 6},
        {"name": "head_to_head", "limit": 4},
        {"name": "judge_agreement", "limit": 3, "judges": ["self"]},
    ],
    "trainer": {
        "name": "self_rewarding",
        "rubric": "microworld",
        "seeds": {"ift": "microworld:ift", "ift_rows": 40},
        "sft": {"learning_rate": 1e-3},
        "dpo": {"learning_rate": 1e-5},
    },
}


def ref(name, parent):
    return ModelRef(name=name, location="none", parent=parent)


TRAININGS = [
    PlannedTraining((ref("SFT", "M0"), ref("M1", "M0")), (), {"IFT": ["Why?"]}, "float32", 9.0),
    PlannedTraining((ref("M2", "M1"),), (), {"AIFT(M1)": ["How?"]}, "float32", 9.0),
]


def gone_through(lengths=lambda asked: Length(7.0), **changed):
    bid = Bid.build(validate(RunConfig, REQUEST | changed, "request"))
    count = counter(ModelRef(location="microworld"))
    return rehearse(bid.bench, TRAININGS, count, lengths)


def test_parts_and_rows_are_the_runs():
    found = gone_through()
    first = found[Stage(iteration=1, kind="evaluate")]
    assert {"SFT/examiner", "SFT/examiner/mark", "M1/head_to_head", "M1/judge_agreement"} <= set(
        first
    )
    assert first["M1/examiner"].cost.rows == 6
    # M1 meets M0 and SFT on four prompts, in both orders.
    assert first["M1/head_to_head/mark"].cost.rows == 2 * 4 * 2
    trained = found[Stage(iteration=2, kind="train")]
    assert "prompt map" in trained


def test_completions_are_as_long_as_expected_on_average():
    found = gone_through(lambda asked: Length(7.25 if asked.part == "M2/examiner" else 3.0))
    part = found[Stage(iteration=2, kind="evaluate")]["M2/examiner"]
    [work] = part.asked
    assert (work.kind, work.model.name, work.rows) == ("generate", "M2", 6)
    assert work.new_tokens == part.cost.new_tokens == int(6 * 7.25)
    assert work.prompt_tokens == part.cost.prompt_tokens > 0


def test_what_another_evaluation_asked_is_not_asked_again():
    found = gone_through()[Stage(iteration=0, kind="evaluate")]
    assert found["M0/head_to_head"].cost.rows == 4
    assert found["M0/head_to_head"].asked == ()


def test_verdicts_are_told_from_answers():
    asked = []

    def lengths(one):
        asked.append((one.part.partition("/")[2], one.verdict))
        return Length(5.0)

    gone_through(lengths)
    assert ("examiner", False) in asked
    assert ("judge_agreement", True) in asked
    assert ("examiner", True) not in asked


def test_data_that_turn_out_to_be_missing_are_named():
    class Missing:
        needs_judge = False

        def answer(self, model, log):
            raise DataError("no such file")

    bid = Bid.build(validate(RunConfig, REQUEST | {"iterations": 0}, "request"))
    built = bid.bench.evaluations[0]
    broken = type(built)("knowledge", Missing(), built.options)
    bench = type(bid.bench)(**{**vars(bid.bench), "evaluations": (built, broken)})
    with pytest.raises(Absent, match="no such file") as caught:
        rehearse(bench, [], counter(ModelRef(location="microworld")), lambda asked: Length(1.0))
    assert caught.value.evaluation == "knowledge"


class Sampled:
    """Answers the first request with one token, and the second with three."""

    def generate(self, asked, requests):
        for request, size in zip(requests, (1, 3), strict=False):
            yield Completion(request.id, 0, "Yes.", (1,), (2,) * size)

    def score(self, asked, requests):
        yield from ()


def test_what_was_really_answered_tells_how_long_answers_are():
    request = REQUEST | {"iterations": 0, "evaluations": [{"name": "examiner", "limit": 6}]}
    bench = Bid.build(validate(RunConfig, request, "request")).bench
    count = counter(ModelRef(location="microworld"))
    found = rehearse(bench, (), count, lambda asked: Length(9.0), Sampled())
    [work] = found[Stage(iteration=0, kind="evaluate")]["M0/examiner"].asked
    assert (work.rows, work.new_tokens, work.tail) == (6, 12, 1.5)
    found = rehearse(bench, (), count, lambda asked: Length(9.0))
    [work] = found[Stage(iteration=0, kind="evaluate")]["M0/examiner"].asked
    assert (work.rows, work.new_tokens, work.tail) == (6, 54, None)
