import json
import time

from harness.overview import Position, rows_left
from harness.progress import ProgressFile, Tracker
from harness.records import Cost, PartUnderWay, Stage
from harness.run import stages
from harness.store import Store

STAGE = Stage(iteration=0, kind="evaluate")


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def position(**more):
    return Position(plan=stages(1), done=(), stage=STAGE, **more)


def test_a_tracker_knows_where_the_run_is():
    clock = Clock()
    tracker = Tracker(clock)
    assert tracker.under_way() is None
    tracker.stage(position(parts=("M0/a", "M0/b"), costs={"M0/a": Cost(seconds=3)}))
    tracker.part("M0/a", beside=False)
    clock.now += 5
    tracker.rows("M0/a", 2, 8, Cost(rows=2, new_tokens=40))
    told = tracker.under_way()
    assert told.part == PartUnderWay(
        name="M0/a", began=100, since=100, done=2, total=8, cost=Cost(rows=2, new_tokens=40)
    )
    assert told.to_come == ("M0/b",)
    assert told.earlier == {"M0/a": Cost(seconds=3)}
    tracker.part_done("M0/a", Cost(seconds=5))
    assert tracker.under_way().part is None
    assert tracker.under_way().ended == {"M0/a": Cost(seconds=5)}


def test_the_first_thing_a_part_tells_may_be_of_an_earlier_attempt():
    tracker = Tracker()
    tracker.stage(position())
    tracker.part("train", beside=False)
    tracker.rows("train", 300, 400, Cost())
    tracker.rows("train", 301, 400, Cost())
    assert tracker.parts_under_way()[-1].earlier == 300
    tracker.part("judge", beside=False)
    tracker.rows("judge", 4, 400, Cost(rows=4))
    assert tracker.parts_under_way()[-1].earlier == 0


def test_steps_after_a_reference_pass_have_a_rate_of_their_own():
    clock = Clock()
    tracker = Tracker(clock)
    tracker.stage(position())
    tracker.part("train", beside=False)
    tracker.rows("train", 16, 300, Cost())
    tracker.rows("train", 300, 300, Cost())
    clock.now += 30
    tracker.rows("train", 1, 34, Cost())
    clock.now += 10
    tracker.rows("train", 6, 34, Cost())
    assert rows_left(tracker.parts_under_way()[-1], clock.now) == 56


def test_nothing_done_yet_says_nothing_of_an_earlier_attempt():
    tracker = Tracker()
    tracker.stage(position())
    tracker.part("prompts", beside=False)
    tracker.rows("prompts", 0, 300, Cost())
    tracker.rows("prompts", 120, 300, Cost())
    assert tracker.parts_under_way()[-1].earlier == 120


def test_other_processes_are_told_at_most_once_a_second(tmp_path):
    clock, store = Clock(), Store(tmp_path)
    file = ProgressFile(store, clock)
    path = tmp_path / "progress.json"
    file.stage(position())
    file.part("M0/a", beside=False)
    file.rows("M0/a", 1, 8, Cost(rows=1))
    assert json.loads(path.read_text())["part"]["done"] == 0
    clock.now += 1
    file.rows("M0/a", 2, 8, Cost(rows=2))
    file.rows("M0/a", 3, 8, Cost(rows=3))
    assert json.loads(path.read_text())["part"]["done"] == 2


def test_a_file_that_cannot_be_written_costs_nothing(tmp_path):
    file = ProgressFile(Store(tmp_path / "gone"))
    file.stage(position())
    file.part("M0/a", beside=False)
    assert not (tmp_path / "gone").exists()


def test_only_the_process_that_holds_the_run_is_believed(tmp_path):
    store = Store(tmp_path)
    with store.begin({"iterations": 0}, {}):
        assert store.progress() is None
        file = ProgressFile(store)
        file.stage(position())
        assert store.progress().stage == STAGE
        told = store.progress().model_copy(update={"process": "1"})
        store.note_progress(told)
        assert store.progress() is None
        file.part("M0/a", beside=False)
        (tmp_path / "progress.json").write_text('{"half":')
        assert store.progress() is None
        file.part_done("M0/a", Cost())
        file.part("M0/b", beside=False)
        assert store.progress().part.name == "M0/b"
    assert store.progress() is None  # nobody works there
    store.note_progress(None)
    assert not (tmp_path / "progress.json").exists()


def test_telling_a_row_costs_microseconds(tmp_path):
    file = ProgressFile(Store(tmp_path))
    file.stage(position())
    file.part("judge", beside=False)
    cost, begun = Cost(rows=1), time.perf_counter()
    for row in range(20_000):
        file.rows("judge", row, 20_000, cost)
    assert (time.perf_counter() - begun) / 20_000 < 20e-6
