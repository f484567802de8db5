"""A plan on the console."""

from io import StringIO

from rich.console import Console

from harness.planning import show
from harness.records import MemoryNeed, Plan, PlannedPart, PlannedStage, Stage

TRAIN = PlannedStage(
    stage=Stage(iteration=2, kind="train"),
    parts={
        "judge": PlannedPart(
            kind="generate", model="M1", rows=300, seconds=60.0, modelled=60.0, basis="cost model"
        ),
        "train M2": PlannedPart(kind="train", seconds=40.0, modelled=40.0, basis="cost model"),
    },
)
NEED = MemoryNeed(what="serving M0", place="machine", parts={"weights": 2 * 10**9}, available=10**9)


def plan(*stages, **changed):
    return Plan(request={}, hardware="CPU", stages=stages or (TRAIN,), **changed)


def printed(table):
    text = StringIO()
    Console(file=text, width=120).print(table)
    return text.getvalue()


def test_parts_stand_below_their_stage():
    lines = printed(show.parts(plan())).splitlines()
    assert lines[1].split()[:2] == ["02-train", "1"]
    assert lines[2].split() == ["·", "judge", "M1", "300", "1", "min", "00", "s", "60%"]


def test_what_all_times_rest_on_is_said_once():
    assert printed(show.parts(plan())).count("cost model") == 1
    parts = {**TRAIN.parts, "eft": PlannedPart(seconds=5.0, basis="pilot")}
    both = printed(show.parts(plan(TRAIN.model_copy(update={"parts": parts}))))
    assert "rests on" in both
    assert both.count("cost model") == 2


def test_memory_says_whose_it_is():
    assert "a machine" in printed(show.memory(plan(memory=(NEED,))))
    assert "takes 2.0 GB of the machine's memory, which has 1.0 GB" in next(
        show.headlines(plan(memory=(NEED,)))
    )
    of_gpus = NEED.model_copy(update={"place": "gpu", "gpus": 8})
    assert "each of 8 GPUs" in printed(show.memory(plan(memory=(of_gpus,))))


def test_a_narrow_terminal_has_names_and_times():
    text = StringIO()
    Console(file=text, width=60).print(show.parts(plan(), narrow=True))
    lines = [line.split() for line in text.getvalue().splitlines()]
    assert lines[2] == ["·", "judge", "1", "min", "00", "s", "60%"]
