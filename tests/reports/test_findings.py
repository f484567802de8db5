import pytest

from harness.records import Metric
from reports.changes import changes
from reports.evidence import evidence
from reports.findings import findings


def said(record) -> dict[str, str]:
    return dict(findings(record, changes(record)).items)


@pytest.mark.parametrize(
    ("low", "high", "n", "p", "shows"),
    [
        (0.01, 0.2, 250, None, "better"),
        (0.01, 0.2, 250, 0.049, "better"),
        (0.01, 0.2, 250, 0.05, "not after correction"),
        (-0.2, -0.01, 250, 0.001, "worse"),
        (-0.1, 0.2, 250, 0.001, "no clear change"),
        (0.0, 0.2, 250, None, "no clear change"),
        (-0.2, 0.0, 250, None, "no clear change"),
        (-0.04, -0.0002, 250, None, "no clear change"),  # printed as [-0.040, 0.000]
        (1.0, 1.0, 19, 0.001, "too few items"),
        (None, None, 250, 0.3, "no interval"),
    ],
)
def test_only_an_interval_without_0_that_chance_does_not_explain_is_a_change(
    low, high, n, p, shows
):
    assert evidence(low, high, n, p) == shows


def test_a_handful_of_items_decides_nothing(small_run):
    sentence = said(small_run)["Examiner"]
    assert sentence.startswith("M1 and M0 not told apart on so few items (+1.00)")


def test_each_evaluation_is_one_sentence_about_a_whole_run(whole_run):
    sentences = said(whole_run)
    assert "M2 better than M1 (+1.00 [" in sentences["Examiner"]
    assert "Score (of 5): M0 2.18, SFT 3.18" in sentences["Examiner"]
    assert "M3 and M2 not told apart, too few items differ (" in sentences["Judge"]
    assert "M0 0.52, SFT 0.54, M1 0.89" in sentences["Judge"]
    assert sentences["Head to head"] == (
        "M1 no clear change from SFT (+0.010 [-0.060, +0.080]; a change under 0.070 would not "
        "show), M2 better than M1 (+0.37 [+0.30, +0.44]), M3 no clear change from M2 (+0.020 "
        "[-0.050, +0.090]; a change under 0.070 would not show). The figures are net wins."
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
    assert "M3 worse than M2 (-0.30 [-0.40, -0.20])" in said(changed)["Head to head"]


def test_one_model_gives_levels_and_no_comparison(one_model):
    sentences = said(one_model)
    assert sentences["Examiner"] == "Score (of 5): M0 2.18."
    assert sentences["Judge"] == "Agreement with human pairs (ties left out): M0 0.52."
    assert sentences["Head to head"] == "no models were compared."


def test_a_model_that_cannot_judge_is_compared_with_none(whole_run):
    stages = []
    for stage in whole_run.stages:
        kept = tuple(
            e.model_copy(update={"items": (), "metrics": ()})
            if (e.model, e.evaluation) == ("SFT", "judge_agreement")
            else e
            for e in stage.evaluations
        )
        stages.append(stage.model_copy(update={"evaluations": kept}))
    mute = whole_run.model_copy(update={"stages": tuple(stages)})
    assert "SFT" not in said(mute)["Judge"]
    assert said(mute)["Judge"].startswith("M2 ")
