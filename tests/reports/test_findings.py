import pytest

from harness.records import Metric
from reports.evidence import evidence
from reports.findings import findings


def said(record) -> dict[str, str]:
    return dict(findings(record).items)


@pytest.mark.parametrize(
    ("low", "high", "n", "shows"),
    [
        (0.01, 0.2, 250, "better"),
        (-0.2, -0.01, 250, "worse"),
        (-0.1, 0.2, 250, "no clear change"),
        (0.0, 0.2, 250, "no clear change"),
        (-0.2, 0.0, 250, "no clear change"),
        (-0.04, -0.0002, 250, "no clear change"),  # printed as [-0.040, 0.000]
        (1.0, 1.0, 19, "too few items"),
        (None, None, 250, "no interval"),
    ],
)
def test_only_an_interval_without_0_over_enough_items_is_a_change(low, high, n, shows):
    assert evidence(low, high, n) == shows


def test_a_handful_of_items_decides_nothing(small_run):
    sentence = said(small_run)["Instruction following"]
    assert sentence.startswith("M1 and M0 not told apart on so few items (+1.00)")


def test_each_axis_is_one_sentence_about_a_whole_run(whole_run):
    sentences = said(whole_run)
    assert "M2 better than M1 (+1.00 [" in sentences["Instruction following"]
    assert "Examiner score (of 5): M0 2.18, SFT 3.18" in sentences["Instruction following"]
    assert sentences["Judging"].startswith("M3 and M1 not told apart, too few items differ (")
    assert "M0 0.52, SFT 0.54, M1 0.89" in sentences["Judging"]
    assert sentences["Model against model"] == (
        "M1 better than M0 (+0.45 [+0.38, +0.52]), M2 better than M1 (+0.37 [+0.30, +0.44]), "
        "M3 no clear change from M2 (+0.02 [-0.05, +0.09]). The figures are net wins."
    )


def test_a_model_that_got_worse_is_called_worse(whole_run):
    last = whole_run.stages[-1]
    lost = Metric(name="net_win", value=-0.3, low=-0.4, high=-0.2, n=250, against="M2")
    results = tuple(
        r.model_copy(update={"metrics": (lost,)}) if r.evaluation == "head_to_head" else r
        for r in last.evaluations
    )
    stages = (*whole_run.stages[:-1], last.model_copy(update={"evaluations": results}))
    changed = whole_run.model_copy(update={"stages": stages})
    assert "M3 worse than M2 (-0.30 [-0.40, -0.20])" in said(changed)["Model against model"]


def test_of_two_models_the_judging_of_both_is_compared(half_run):
    assert said(half_run)["Judging"].startswith("M1 better than M0 (+0.35 [")


def test_one_model_gives_levels_and_no_comparison(one_model):
    sentences = said(one_model)
    assert sentences["Instruction following"] == "Examiner score (of 5): M0 2.18."
    assert sentences["Judging"] == "Agreement with human pairs (ties left out): M0 0.52."
    assert sentences["Model against model"] == "no models were compared."


def test_the_last_judge_is_compared_with_the_first_that_was_taught(whole_run):
    """Also where M0 could not judge at all, and so has no scores to be left out."""
    stages = []
    for stage in whole_run.stages:
        kept = tuple(
            e.model_copy(update={"items": (), "metrics": ()})
            if (e.model, e.evaluation) == ("M0", "judge_agreement")
            else e
            for e in stage.evaluations
        )
        stages.append(stage.model_copy(update={"evaluations": kept}))
    mute = whole_run.model_copy(update={"stages": tuple(stages)})
    assert said(mute)["Judging"].startswith("M3 and M1 not told apart")
