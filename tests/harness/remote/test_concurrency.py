from harness.remote.concurrency import Concurrency


def fill(room, now=0.0):
    """Begin as many calls as there is room for."""
    while room.wait(now) == 0:
        room.begin()
    return room.in_flight


def throttle(room, began, now, pause=0.0):
    room.failed(began, now, pause, throttled=True)


def test_begins_with_the_most_and_waits_for_one_to_end():
    room = Concurrency(4)
    assert fill(room) == 4
    assert room.wait(0.0) is None
    room.end()
    assert room.wait(0.0) == 0


def test_is_halved_once_for_all_that_were_under_way():
    room = Concurrency(32)
    for _ in range(20):
        throttle(room, began=1.0, now=2.0)
    assert room.limit == 16
    throttle(room, began=2.5, now=3.0)
    assert room.limit == 8


def test_never_falls_below_one():
    room = Concurrency(2)
    for second in range(10):
        throttle(room, began=second, now=second)
    assert room.limit == 1
    assert room.wait(100.0) == 0


def test_a_round_of_answers_makes_room_for_one_more_up_to_the_most():
    room = Concurrency(6)
    throttle(room, began=0, now=0)
    assert int(room.limit) == 3
    for _ in range(4):
        room.answered()
    assert int(room.limit) == 4
    for _ in range(100):
        room.answered()
    assert room.limit == 6


def test_the_second_throttled_call_in_a_row_makes_all_others_pause():
    room = Concurrency(8)
    throttle(room, began=0, now=10.0, pause=5)
    assert room.wait(10.0) == 0
    room.answered()
    throttle(room, began=0, now=10.0, pause=5)
    assert room.wait(10.0) == 0
    throttle(room, began=0, now=10.0, pause=5)
    assert room.wait(12.0) == 3
    assert room.wait(15.0) == 0


def test_other_failures_make_all_others_pause_once_there_are_too_many_and_halve_nothing():
    room = Concurrency(8)
    for _ in range(8):
        room.failed(began=0, now=1.0, pause=2, throttled=False)
    assert room.wait(1.0) == 0
    room.failed(began=0, now=1.0, pause=2, throttled=False)
    assert room.wait(1.0) == 2
    assert room.limit == 8
