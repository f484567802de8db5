"""A rehearsal counts what a run will ask of its judge."""

import pytest

from harness import plugins
from harness.config import Choice
from harness.forecast import forecast, lineage
from harness.protocols import Workload
from harness.records import ModelRef

JUDGE = ModelRef(name="judge", location="gpt-6-sol")


def expected(iterations, *choices):
    built = [plugins.build(plugins.EVALUATIONS, Choice.model_validate(c)) for c in choices]
    return forecast(built, lineage(ModelRef(location="microworld"), iterations), JUDGE)


def test_a_line_of_models_has_one_baseline():
    models = lineage(ModelRef(location="microworld"), 2)
    assert [(m.name, m.parent) for m in models] == [
        ("M0", None),
        ("SFT", "M0"),
        ("M1", "M0"),
        ("M2", "M1"),
    ]


def test_the_calls_are_those_of_the_run():
    games = {"name": "head_to_head", "limit": 5, "judge_max_tokens": 100}
    examiner = {"name": "examiner", "limit": 3}
    alone = {"name": "judge_agreement", "limit": 2}
    found = expected(2, games, examiner, alone)
    # SFT against M0; M1 against M0 and SFT; M2 against M1 and SFT; in both orders.
    assert found["head_to_head"].calls == 5 * 2 * 5
    assert found["head_to_head"].output_tokens == 5 * 2 * 5 * 100
    assert found["examiner"].calls == 3 * 4
    assert "judge_agreement" not in found  # the model judges itself


def test_an_external_judge_is_asked_once_for_all_models():
    both = {"name": "judge_agreement", "limit": 2, "samples": 3, "judges": ["self", "external"]}
    assert expected(2, both) == expected(0, both)


def test_longer_answers_cost_more():
    long, short = (
        expected(0, {"name": "examiner", "limit": 3, "max_tokens": tokens})["examiner"]
        for tokens in (400, 40)
    )
    assert long.calls == short.calls
    assert long.input_tokens - short.input_tokens == pytest.approx(3 * 180, rel=0.05)


def test_workloads_add_up():
    assert Workload(1, 20, 300) + Workload(2, 30, 400) == Workload(3, 50, 700)
