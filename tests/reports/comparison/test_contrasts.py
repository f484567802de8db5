import pytest

from harness.protocols import NamedRun
from reports.comparison.contrasts import contrasts
from reports.comparison.settings import settings

OTHER = {"learn_from": "positives"}


def found(*runs, model="M2", evaluation="examiner"):
    every = contrasts(settings(runs))
    return [one for one in every if (one.model, one.evaluation) == (model, evaluation)]


def test_settings_are_paired_by_seed_and_item(seeds, positives):
    [one] = found(*seeds, *positives)
    assert (one.metric, one.seeds, one.asked) == ("score", ("0", "1", "2"), 40)
    # shifts of -0.5, -0.38, -0.26 against 0, 0.1, 0.2
    assert one.estimate.value == pytest.approx(-0.48 * 54 / 40)
    assert one.estimate.high < 0
    assert one.estimate.n == 40, "an item counts once however many seeds there are"
    assert one.over_seeds.n == 3
    assert one.over_seeds.value == pytest.approx(one.estimate.value)
    assert one.evidence == "worse"
    assert one.corrected >= one.p


def test_only_the_seeds_that_both_have_are_compared(seeds, positives):
    [one] = found(*seeds, positives[1])
    assert one.seeds == ("1",)
    assert one.estimate.value == pytest.approx(-0.48 * 54 / 40)
    assert one.over_seeds.n == 0


def test_of_either_setting_seeds_that_the_other_lacks_are_left_out(seeds, positives):
    [one] = found(seeds[0], *positives)
    assert one.seeds == ("0",)
    assert one.estimate.value == pytest.approx(-0.5 * 54 / 40)


def test_without_a_seed_in_common_all_are(make, seeds):
    [one] = found(*seeds, NamedRun("x", make(7, shift=0.3, options=OTHER)))
    assert one.seeds == ()
    assert one.estimate.value == pytest.approx(0.2 * 54 / 40)


def test_other_protocols_are_not_compared(make):
    first = NamedRun("a", make(0))
    [one] = found(first, NamedRun("b", make(0, protocol="p2", options=OTHER)))
    assert (one.estimate.value, one.p, one.refused) == (None, None, "measured by another protocol")


def test_other_judges_are_named(make):
    first = NamedRun("a", make(0, judge="sol"))
    [one] = found(first, NamedRun("b", make(0, protocol="p2", judge="luna", options=OTHER)))
    assert one.refused == "judged by luna, not by sol"


def test_other_items_are_not_compared(make):
    first = NamedRun("a", make(0))
    [one] = found(first, NamedRun("b", make(0, items="z", options=OTHER)))
    assert one.refused == "no items in common"


def test_a_model_that_only_one_has_is_not_there(make, seeds):
    other = make(0, options=OTHER)
    half = NamedRun("half", other.model_copy(update={"stages": other.stages[:5]}))
    assert found(*seeds, half, model="M2")
    assert not found(*seeds, half, model="M3")


def test_a_model_that_both_settings_share_is_not_tested(seeds, positives):
    [same] = found(*seeds, *positives, model="M0")
    assert (same.estimate.value, same.p, same.corrected) == (0, None, None)
