"""What was planned stands beside what a run took."""

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
from harness.store import Store
from reports import planned
from reports.figures import DASH
from reports.page import PLANNED, overview
from reports.what_ran import what_ran

FIRST, SECOND = Stage(iteration=0, kind="evaluate"), Stage(iteration=1, kind="train")
MODEL = ModelRef(location="microworld")
COSTS = {
    "M0/examiner": Cost(seconds=2.0, rows=30, new_tokens=300),
    "M0/examiner/mark": Cost(seconds=1.0, rows=30),
    "loading and other": Cost(seconds=0.5),
}
PARTS = {
    "M0/examiner": PlannedPart(kind="generate", rows=30, new_tokens=240, seconds=1.0),
    "M0/examiner/mark": PlannedPart(rows=30, seconds=1.0),
    "M0/mt_bench": PlannedPart(kind="generate", rows=8, new_tokens=80, seconds=0.5),
}
PLAN = Plan(
    request={"iterations": 1},
    hardware="CPU",
    stages=(
        PlannedStage(stage=FIRST, parts=PARTS),
        PlannedStage(stage=SECOND, parts={"train M1": PlannedPart(kind="train", tokens=9)}),
    ),
)


def record(plan=PLAN, finished=True):
    result = StageResult(stage=FIRST, model=MODEL, costs=COSTS, finished=finished)
    return RunRecord(request={"iterations": 1}, environment={}, stages=(result,), plan=plan)


def cells(table, label):
    return next(row.cells for row in table.rows if row.label == label)


def test_parts_are_compared_one_by_one():
    [table] = planned.parts(record())
    assert cells(table, "· M0/examiner") == ("1.0 s", "2.0 s", "2.00", "240", "300", "30", "30")
    assert cells(table, "· M0/mt_bench")[:3] == ("0.5 s", DASH, "")
    assert cells(table, "· loading and other")[:3] == (DASH, "0.5 s", "")
    assert cells(table, "00-evaluate")[:3] == ("2.5 s", "3.5 s", "1.40")
    assert "Planned for CPU" in table.note


def test_only_stages_that_have_finished_are_compared():
    assert [row.label for row in next(planned.stages(record())).rows] == [
        "00-evaluate",
        "so far",
    ]
    assert list(planned.stages(record(finished=False))) == []


def test_an_unknown_time_is_unknown():
    parts = PARTS | {"M0/examiner/mark": PlannedPart(rows=30)}
    plan = PLAN.model_copy(update={"stages": (PlannedStage(stage=FIRST, parts=parts),)})
    [table] = planned.parts(record(plan))
    assert cells(table, "· M0/examiner/mark")[:3] == ("unknown", "1.0 s", "")
    assert cells(table, "00-evaluate")[:3] == ("unknown", "3.5 s", "")


def test_a_run_without_a_plan_says_nothing_of_one():
    assert list(planned.parts(record(None))) == []
    assert PLANNED not in [section.title for section in overview(record(None))]
    assert PLANNED in [section.title for section in overview(record())]


def test_what_ran_says_what_was_planned():
    known = PLAN.model_copy(update={"stages": PLAN.stages[:1]})
    times = dict(what_ran(record(known)).items)["Time"]
    assert times == "3.5 s (planned: 2.5 s), 300 tokens written"
    assert "planned" not in dict(what_ran(record()).items)["Time"]  # a part is unknown


def test_a_plan_belongs_to_its_request(tmp_path):
    request = {"iterations": 1, "seed": 0, "reports": []}
    store = Store(tmp_path / "run")
    assert store.keep_plan(PLAN.model_copy(update={"request": request}))
    assert store.plan() is not None
    with store.begin(request | {"iterations": 3}, {}):  # a plan's folder is free for its run
        pass
    assert store.record().plan.hardware == "CPU"
    assert not store.keep_plan(PLAN)  # a run keeps the plan that it began with
    other = Store(tmp_path / "other")
    assert other.keep_plan(PLAN.model_copy(update={"request": request}))
    with other.begin(request | {"seed": 1}, {}):
        pass
    assert other.record().plan is None


def test_a_damaged_plan_is_named_and_the_run_is_read(tmp_path):
    store = Store(tmp_path / "run")
    store.keep_plan(PLAN)
    with store.begin({"iterations": 1}, {}):
        (tmp_path / "run" / "plan.json").write_text("{")
    found = store.record()
    assert found.plan is None
    assert "plan.json" in found.unreadable[0]
