"""The verdicts on the axes and on the whole run, each outcome by its own rule."""

from dataclasses import replace

import pytest

from harness.statistics.intervals import Estimate
from reports.changes import Change, changes
from reports.verdicts import ABILITY, INSTRUCTIONS, JUDGING, Axis, answer, axes, outcome, verdicts

BETTER, WORSE = (0.2, 0.4), (-0.4, -0.2)
UNCLEAR, NO_INTERVAL = (-0.1, 0.1), (None, None)


def change(low, high, n=300, corrected=0.001) -> Change:
    estimate = Estimate(0.0, low, high, n)
    return Change("x", "M3", "M1", "score", estimate, 0, corrected, corrected)


@pytest.mark.parametrize(
    ("intervals", "shows"),
    [
        ([BETTER, UNCLEAR], "improved"),
        ([WORSE, NO_INTERVAL], "got worse"),
        ([BETTER, WORSE], "mixed"),
        ([UNCLEAR, NO_INTERVAL], "no clear change"),
        ([NO_INTERVAL], "too little to tell"),
        ([], "not measured"),
    ],
)
def test_an_axis_is_what_its_evaluations_show_together(intervals, shows):
    assert outcome(tuple(change(low, high) for low, high in intervals)) == shows


def test_what_correction_takes_away_is_no_clear_change():
    assert outcome((change(*BETTER, corrected=0.2),)) == "no clear change"


@pytest.mark.parametrize(
    ("instructions", "judging", "ability", "says"),
    [
        ("improved", "no clear change", "not measured", "worked"),
        ("improved", "got worse", "improved", "worked in part"),
        ("improved", "improved", "mixed", "worked in part"),
        ("mixed", "improved", "improved", "gave mixed results"),
        ("no clear change", "improved", "improved", "showed no clear effect"),
        ("got worse", "improved", "improved", "did not work"),
        ("too little to tell", "improved", "improved", "cannot be judged on so little"),
        ("not measured", "improved", "improved", "cannot be judged"),
    ],
)
def test_the_whole_run_is_judged_by_the_written_table(instructions, judging, ability, says):
    axis = {INSTRUCTIONS: instructions, JUDGING: judging, ABILITY: ability}
    assert answer(tuple(Axis(name, shown, ()) for name, shown in axis.items())) == says


def said(record) -> dict[str, str]:
    return dict(verdicts(record, changes(record)).items)


def test_a_whole_run_is_answered_in_a_line_and_then_axis_by_axis(whole_run):
    sentences = said(whole_run)
    assert sentences["Self-rewarding"] == (
        "worked, from M1 to M3: instruction following improved, judging rests on too little to "
        "tell, general ability was not measured."
    )
    assert sentences["Instruction following"].startswith(
        "improved from M1 to M3: Head to head, M2 over M1, better (+0.37 [+0.30, +0.44]), "
    )
    assert sentences["General ability"].startswith("not measured: nlp_benchmarks would")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("half_run", "of M0, SFT, M1, none has learned from its own judgements"),
        ("one_model", "no model has been trained and measured yet"),
        ("nothing_yet", "no model has been trained and measured yet"),
        ("not_measured", "none has learned"),
    ],
)
def test_a_run_without_a_measured_round_says_so_in_one_line(name, why, request):
    [(heading, text)] = said(request.getfixturevalue(name)).items()
    assert heading == "Self-rewarding"
    assert why in text


def test_axes_are_made_of_what_the_loop_changed(whole_run):
    first, judging, ability = axes(whole_run, changes(whole_run))
    assert [one.evaluation for one in first.changes] == ["head_to_head"] * 2 + ["examiner"]
    assert (judging.name, ability.outcome) == (JUDGING, "not measured")


@pytest.mark.parametrize(
    ("low", "held", "says"),
    [(-0.029, True, "general ability held"), (-0.031, False, "general ability shows no clear")],
)
def test_general_ability_held_where_a_loss_of_three_points_is_excluded(low, held, says, whole_run):
    changed = Change("nlp_benchmarks", "M3", "M1", "mean", Estimate(0, low, 0.03, 600), 0, 1, 1)
    assert Axis(ABILITY, "no clear change", (changed,)).held is held
    assert not Axis(JUDGING, "no clear change", (changed,)).held
    found = changes(whole_run)
    benchmarks = next(e for e in whole_run.stages[-1].evaluations if e.evaluation == "examiner")
    measured = benchmarks.model_copy(update={"evaluation": "nlp_benchmarks"})
    last = whole_run.stages[-1]
    stages = (
        *whole_run.stages[:-1],
        last.model_copy(update={"evaluations": (*last.evaluations, measured)}),
    )
    record = whole_run.model_copy(update={"stages": stages})
    with_benchmarks = replace(found, found=(*found.found, changed))
    assert says in dict(verdicts(record, with_benchmarks).items)["Self-rewarding"]


def test_models_that_were_made_elsewhere_are_a_series_that_no_method_made(whole_run):
    request = whole_run.request | {"trainer": {"name": "checkpoints"}}
    record = whole_run.model_copy(update={"request": request})
    [(name, said), *_] = verdicts(record, changes(record)).items
    assert name == "The series"
    assert said.startswith("shows, from M1 to M3: instruction following")
