import threading

import pytest

from harness.beside import Beside, Halt, Halted


def collect(into, meanwhile=lambda: None):
    def work(batches):
        for batch in batches:
            meanwhile()
            into.append(batch)

    return work


def test_all_that_is_ready_is_taken_at_once_in_order():
    taken, first, put = [], threading.Event(), threading.Event()

    def meanwhile():
        first.set()
        assert put.wait(60)

    with Beside(collect(taken, meanwhile)) as beside:
        beside.put(1)
        assert first.wait(60)
        for one in (2, 3, 4):
            beside.put(one)
        put.set()
    assert taken == [[1], [2, 3, 4]]


def test_nothing_to_do_begins_no_thread():
    with Beside(collect([])) as beside:
        beside.wait()
        assert not [thread for thread in threading.enumerate() if thread.name == "beside"]


def test_what_was_put_can_be_waited_for_and_more_be_put_after():
    taken = []
    with Beside(collect(taken)) as beside:
        beside.put(1)
        beside.wait()
        assert taken == [[1]]
        beside.put(2)
    assert taken == [[1], [2]]


def test_an_error_there_is_raised_here_once_and_takes_no_more():
    def work(batches):
        next(batches)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken") as raised, Beside(work) as beside:
        beside.put(1)
        with pytest.raises(ValueError, match="broken"):
            beside.wait()
        beside.put(2)
    assert raised.value.__context__ is None


def test_an_error_here_ends_the_thread_at_its_next_check():
    halt, seen = Halt(), []

    def work(batches):
        for _ in batches:
            try:
                while True:
                    halt.check()
            except Halted as error:
                seen.append(error)
                raise

    with pytest.raises(KeyError, match="here"), Beside(work, halt) as beside:
        beside.put(1)
        raise KeyError("here")
    assert len(seen) == 1
    halt.check()  # which is nobody else's business


def test_one_thread_that_breaks_wakes_who_waits_for_another():
    halt, never = Halt(), threading.Event()

    def breaks(batches):
        next(batches)
        raise ValueError("broken")

    with (
        pytest.raises(ValueError, match="broken"),
        Beside(collect([], lambda: never.wait(60)), halt) as slow,
        Beside(breaks, halt) as broken,
    ):
        slow.put(1)
        broken.put(1)
        try:
            slow.wait()
        finally:
            never.set()


def test_waiting_is_told():
    told = []

    class Waiting:
        def __enter__(self):
            told.append("waits")

        def __exit__(self, *_):
            told.append("goes on")

    with Beside(collect([]), waiting=Waiting) as beside:
        beside.put(1)
        beside.wait()
        told.append("puts")
        beside.put(2)
    assert told == ["waits", "goes on", "puts", "waits", "goes on"]
