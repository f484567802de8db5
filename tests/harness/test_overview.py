import pytest

from harness.overview import OTHER, Left, Overview, stage_elapsed
from harness.records import Cost, ModelRef, PartUnderWay, Stage, StageResult, UnderWay
from harness.run import stages


def seconds(**parts):
    return {name.replace("_", " "): Cost(seconds=value) for name, value in parts.items()}


def measured(iteration, *names, **parts):
    """A finished evaluation stage; `parts` are the seconds of each model's parts."""
    models = [ModelRef(name=name, location="l") for name in names]
    costs = {f"{name}/{part}": Cost(seconds=s) for name in names for part, s in parts.items()}
    return StageResult(
        stage=Stage(iteration=iteration, kind="evaluate"),
        model=models[-1],
        comparators=tuple(models[:-1]),
        costs=costs | {OTHER: Cost(seconds=2)},
    )


def trained(iteration, *names, **parts):
    models = [ModelRef(name=name, location="l") for name in names]
    return StageResult(
        stage=Stage(iteration=iteration, kind="train"),
        model=models[-1],
        comparators=tuple(models[:-1]),
        costs=seconds(**parts),
    )


def under_way(iteration, kind, part=None, **more):
    stage = Stage(iteration=iteration, kind=kind)
    return UnderWay(process="1", stage=stage, began=1000, part=part, **more)


FIRST = measured(0, "M0", examiner=10, mark=1)
SEEDS = trained(1, "SFT", "M1", train_SFT=20, train_M1=40)
SECOND = measured(1, "SFT", "M1", examiner=30, mark=2)
ROUND = trained(2, "M2", prompts=5, judge=7, train_M2=9)
THIRD = measured(2, "M2", examiner=12, mark=1)


def test_of_a_run_that_has_just_begun_nothing_is_known():
    view = Overview(stages(3), (), under_way(0, "evaluate", PartUnderWay(name="M0/x", began=1000)))
    assert view.left(1010) == Left(0, whole=False)
    assert view.elapsed(1010) == 10


def test_a_part_under_way_is_estimated_from_its_own_rate():
    part = PartUnderWay(name="M0/x", began=1000, done=25, total=100)
    assert Overview(stages(0), (), under_way(0, "evaluate", part)).left(1010) == Left(30, True)


def test_the_first_rows_of_many_are_nothing_to_go_by():
    part = PartUnderWay(name="M0/x", began=1000, done=1, total=100)
    assert Overview(stages(0), (), under_way(0, "evaluate", part)).left(1010) == Left(0, False)


def test_rows_that_an_earlier_attempt_left_do_not_count_for_the_rate():
    part = PartUnderWay(name="train", began=1000, done=310, total=400, earlier=300)
    assert Overview(stages(0), (), under_way(0, "evaluate", part)).left(1010) == Left(90, True)


def test_a_part_without_a_rate_takes_as_long_as_one_of_its_kind_did():
    part = PartUnderWay(name="M2/examiner", began=1000)
    now = under_way(2, "evaluate", part, to_come=("M2/mark",))
    assert Overview(stages(2), (FIRST, SEEDS, SECOND, ROUND), now).left(1010) == Left(20 + 2, True)


def test_parts_of_the_stage_itself_tell_most_of_those_that_are_like_them():
    part = PartUnderWay(name="M1/examiner", began=1000)
    ended = {"SFT/examiner": Cost(seconds=15)}
    earlier = {"SFT/examiner": Cost(seconds=10)}
    now = under_way(1, "evaluate", part, ended=ended, earlier=earlier)
    assert Overview(stages(1), (FIRST, SEEDS), now).left(1010) == Left(15, True)
    assert stage_elapsed(now, 1010) == 20


def test_a_stage_to_come_takes_as_long_as_the_last_of_its_kind():
    everything = Overview(stages(3), (FIRST, SEEDS, SECOND, ROUND, THIRD))
    assert everything.left(0) == Left(21 + 15, True)  # 03-train as 02-train, 03-evaluate as 02
    assert everything.estimate(Stage(iteration=3, kind="train")) == 21


def test_every_model_that_training_made_is_measured():
    assert Overview(stages(1), (FIRST, SEEDS)).left(0) == Left(2 * 11 + 2, True)


def test_the_first_training_says_nothing_of_the_later_ones():
    left = Overview(stages(2), (FIRST, SEEDS, SECOND)).left(0)
    assert left == Left(32 + 2, whole=False)  # 02-evaluate alone


def test_whether_there_will_be_baselines_is_not_known_before_the_first_training():
    left = Overview(stages(1), (FIRST,)).left(0)
    assert left == Left(13, whole=False)


def test_a_round_has_the_parts_of_the_round_before():
    part = PartUnderWay(name="judge", began=1000)
    now = under_way(3, "train", part, ended={"prompts": Cost(seconds=3)})
    view = Overview(stages(3), (FIRST, SEEDS, SECOND, ROUND, THIRD), now)
    assert view.parts_to_come(now) == ["train"]
    assert view.left(1001) == Left(6 + 9 + 15, True)


@pytest.mark.parametrize("iterations", [0, 3])
def test_a_finished_run_has_nothing_left(iterations):
    done = (FIRST, SEEDS, SECOND, ROUND, THIRD, trained(3, "M3"), measured(3, "M3"))
    assert Overview(stages(iterations), done).left(0) == Left(0, True)


def test_a_stage_that_was_left_is_still_to_be_done_whole():
    left = under_way(2, "evaluate", earlier={"M2/examiner": Cost(seconds=4)})
    view = Overview(stages(2), (FIRST, SEEDS, SECOND, ROUND), left, working=False)
    assert view.left(1000) == Left(34, True)
    assert view.elapsed(1000) == 13 + 60 + 66 + 21 + 4


def test_what_is_marked_beside_may_yet_be_waited_for():
    part = PartUnderWay(name="M2/examiner", began=1000, done=25, total=100)
    marks = PartUnderWay(name="SFT/examiner/mark", began=1000)
    now = under_way(2, "evaluate", part, beside=(marks,))
    done = (FIRST, SEEDS, SECOND, ROUND)
    assert Overview(stages(2), done, now).left(1010) == Left(30, whole=False)
    alone = under_way(2, "evaluate", part)
    assert Overview(stages(2), done, alone).left(1010) == Left(30, whole=True)
    aside = {"M0/examiner/mark": Cost(beside=60)}
    marked = FIRST.model_copy(update={"costs": FIRST.costs | aside})
    assert Overview(stages(2), (marked, *done[1:]), alone).left(1010) == Left(30, whole=False)
    answered = SECOND.model_copy(update={"finished": False})
    view = Overview(stages(2), (FIRST, SEEDS, answered, ROUND), alone)
    assert view.left(1010) == Left(30, whole=False)
    assert view.elapsed(1010) == 13 + 60 + 66 + 21 + 10
