import pytest

from harness.protocols import NamedRun
from reports.comparison.ablations import ablations
from reports.comparison.settings import settings


def claims(*runs):
    return ablations(settings(runs))


def test_pairs_beat_positives_where_seeds_agree(seeds, positives):
    pairs, eft, rubric = claims(*seeds, *positives)
    assert pairs.text.endswith(": seed0 (3 seeds) against positives0 (3 seeds)")
    assert pairs.paper.value == pytest.approx(0.348 + 0.01)
    assert pairs.measured.estimate.value == pytest.approx(11 / 40)
    assert pairs.verdict == "holds"
    assert (eft.verdict, rubric.verdict) == ("not run", "not run")
    assert eft.why == "no two settings differ in that alone"


def test_the_order_of_the_settings_does_not_matter(seeds, positives):
    assert claims(*positives, *seeds)[0].verdict == "holds"


def test_positives_that_do_better_are_against_the_claim(make):
    better = NamedRun("b", make(0, wins=35, options={"learn_from": "positives"}))
    assert claims(NamedRun("a", make(0)), better)[0].verdict == "does not hold"


def test_settings_that_differ_in_more_say_nothing(make):
    both = {"learn_from": "positives", "rubric": "buckets"}
    [pairs, _, rubric] = claims(NamedRun("a", make(0)), NamedRun("b", make(0, options=both)))
    assert {pairs.why, rubric.why} == {"no two settings differ in that alone"}


def test_without_eft_fewer_prompts_yield_a_pair(make):
    without = make(0, pairs=40, options={"seeds": {"ift": "x"}})
    whole = make(0, options={"seeds": {"ift": "x", "eft": "y", "eft_groups": 9}})
    _, eft, _ = claims(NamedRun("whole", whole), NamedRun("without", without))
    assert eft.paper.value == pytest.approx(3964 / 541)
    assert eft.measured.estimate.value == pytest.approx(5.0)
    assert eft.verdict == "holds"


def test_a_run_without_eft_that_a_guard_stopped_says_so(make):
    options = {"seeds": {"ift": "x"}}
    stopped = make(0, options=options)
    stopped = stopped.model_copy(
        update={"stages": stopped.stages[:3], "stopped": "M1 cannot judge"}
    )
    whole = make(0, options={"seeds": {"ift": "x", "eft": "y"}})
    _, eft, _ = claims(NamedRun("whole", whole), NamedRun("without", stopped))
    assert eft.why == "without stopped before its M2"


def judging_by(record, rubric: str):
    asked = [
        {**choice, "rubric": rubric} if choice["name"] == "judge_agreement" else choice
        for choice in record.request["evaluations"]
    ]
    return record.model_copy(update={"request": {**record.request, "evaluations": asked}})


def test_rubrics_are_compared_though_their_protocols_differ(make):
    additive = judging_by(make(0, right=32), "five_points")
    buckets = judging_by(make(0, right=12), "buckets")
    *_, rubric = claims(NamedRun("a", additive), NamedRun("b", buckets))
    assert rubric.measured.estimate.value == pytest.approx(0.5)
    assert rubric.verdict == "holds"
