import pytest

from harness.protocols import NamedRun
from reports.comparison.levels import names, quantities
from reports.comparison.settings import settings
from reports.comparison.steps import steps
from reports.comparison.tables import level_tables, step_tables


def tables(runs):
    found = settings(runs)
    return {table.title: table for table in level_tables(quantities(found), found, names(found))}


def test_a_level_is_the_mean_over_seeds_with_its_spread(seeds):
    found = settings(seeds)
    [score] = [one for one in quantities(found) if one.metric == "score"]
    level = score.level(found[0], "M2")
    # 2.6 + 0.2, and the shift of 0, 0.1 and 0.2 on 54 of 40 items' worth
    assert level.value == pytest.approx(2.8 + 0.1 * 54 / 40)
    assert level.deviation == pytest.approx(0.1 * 54 / 40)
    assert level.n == 3


def test_models_stand_in_the_order_of_the_longest_run(make, seeds):
    cut = make(7)
    [first, *_] = cut.stages
    begun = first.model_copy(update={"model": first.model.model_copy(update={"name": "M1"})})
    short = NamedRun("short", cut.model_copy(update={"stages": (first, begun)}))
    assert names(settings([short, *seeds])) == ("M0", "SFT", "M1", "M2", "M3")


def test_the_paper_stands_below_the_runs_and_says_where_it_is_from(seeds):
    table = tables(seeds)["Judge agreement, pair accuracy, ties left out"]
    assert [row.label for row in table.rows] == [
        "seed0 (3 seeds)",
        "· s.d. over seeds",
        "Yuan et al. (2024)",
    ]
    assert table.rows[-1].cells[2].value == 0.787
    assert "Table 4" in table.note
    assert table.rows[0].cells[0] == "no score"


def test_net_wins_are_over_the_round_before(seeds):
    table = tables(seeds)["Head to head, net win over the round before"]
    assert table.rows[0].cells[:2] == ("\N{EN DASH}", "\N{EN DASH}")
    assert table.rows[0].cells[3].value == pytest.approx(21 / 40)
    assert table.rows[-1].cells[3].value == 0.438


def test_one_run_has_its_own_interval(make):
    table = tables([NamedRun("a", make(0)), NamedRun("b", make(0, options={"rubric": "x"}))])
    row = table["Examiner, score"].rows[0]
    assert (row.cells[4].low, row.cells[4].high) == pytest.approx((3.1, 3.3))


def test_judges_never_share_a_table(make):
    one = NamedRun("a", make(0, judge="gpt-6-sol"))
    other = NamedRun("b", make(0, protocol="p2", judge="gpt-6-luna", options={"rubric": "x"}))
    found = [title for title in tables([one, other]) if title.startswith("Examiner, score")]
    assert found == [
        "Examiner, score, protocol p1, judged by gpt-6-sol",
        "Examiner, score, protocol p2, judged by gpt-6-luna",
    ]


def test_a_run_that_is_not_finished_counts_as_fewer_seeds(seeds):
    half = NamedRun(
        "half", seeds[1].record.model_copy(update={"stages": seeds[1].record.stages[:5]})
    )
    table = tables([seeds[0], half, seeds[2]])["Examiner, score"]
    assert "seed0 (3 seeds): M3 was measured in 2 of 3 seeds." in table.note


def test_steps_are_within_each_run(seeds):
    found = settings(seeds)
    [table] = step_tables(list(steps(quantities(found), found, names(found))))
    score, higher = table.rows[:2]
    assert table.columns == ("SFT - M0", "M1 - SFT", "M2 - M1", "M3 - M2")
    assert score.label == "Examiner, score"
    assert score.cells[2].value == pytest.approx(0.5 + 0.1 * 54 / 40)
    assert score.cells[2].tone == "better"
    assert higher.cells[2] == "3 of 3"


def test_what_is_equal_is_not_higher(make):
    still = settings([NamedRun(f"seed{k}", make(k)) for k in range(2)])
    steps_of = [s for s in steps(quantities(still), still, names(still)) if s.later == "M1"]
    equal = [step for step in steps_of if set(step.changes.values()) == {0.0}]
    assert equal
    assert all(step.higher == 0 for step in equal)


def test_a_single_run_has_no_steps_over_seeds(make):
    found = settings([NamedRun("a", make(0)), NamedRun("b", make(0, options={"rubric": "x"}))])
    assert not list(steps(quantities(found), found, names(found)))
