"""A model over replicas that die, hang, come late, differ and fail: every row comes back once."""

import logging
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.engines import spreading
from harness.engines.scripted import LoadedScript, Scripted
from harness.engines.spreading import ReplicaLost, Spread
from harness.errors import DataError, HarnessError
from harness.protocols import Concurrent, Continuation, Request, Sampling, user
from harness.records import ModelRef

SCRIPT = Scripted.Config(default=("Yes.", "No.", "Perhaps."))
SAMPLING = Sampling(n=3, temperature=0.7, max_tokens=8, seed=1)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(spreading, "_BACKOFF", 0.001)


class Fake(LoadedScript):
    """A script that lists its requests, or streams them, and does what a test says at each row."""

    def __init__(self, streams=False, at_row=lambda id: None, width=4):
        super().__init__(ModelRef(location="any"), SCRIPT, None)
        self.streams, self.at_row, self.width = streams, at_row, width
        self.asked = Counter()
        self.turns = []

    def generate(self, requests):
        yield from self._answer(requests, super().generate)

    def loglikelihood(self, requests):
        yield from self._answer(requests, super().loglikelihood)

    def _answer(self, requests, answer):
        given = iter(requests) if self.streams else iter(list(requests))
        running, turn = [], []
        self.turns.append(turn)
        while True:
            while len(running) < self.width and (row := next(given, None)) is not None:
                assert all(row.id != other.id for other in running)
                running.append(row)
                turn.append(row.id)
                self.asked[row.id] += 1
            if not running:
                return
            row = running.pop(0)
            results = list(answer([row]))
            yield from results[:-1]
            self.at_row(row.id)  # with all but the last of its completions handed out
            yield results[-1]


def replica(fake):
    @contextmanager
    def opened():
        yield fake

    return opened


def requests(count, sampling=SAMPLING):
    return [Request(f"row-{i}", user("Hello" * (i % 7)), sampling) for i in range(count)]


def alone(rows):
    return {(c.id, c.index): c for c in Fake().generate(rows)}


def by_row(completions):
    found = list(completions)
    assert len({(c.id, c.index) for c in found}) == len(found)
    return {(c.id, c.index): c for c in found}


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_rows_come_back_once_and_as_from_one(streams, count):
    fakes = [Fake(streams) for _ in range(count)]
    rows = requests(40)
    scored = [Continuation(f"c-{i}", "Hello", "Yes." * (i % 3 + 1)) for i in range(30)]
    with Spread([replica(fake) for fake in fakes], window=24) as model:
        assert by_row(model.generate(rows)) == alone(rows)
        assert list(model.generate([])) == []
        scores = {score.id: score for score in model.loglikelihood(scored)}
        assert scores == {score.id: score for score in Fake().loglikelihood(scored)}
        assert model.count_tokens("abc") == 3
        assert isinstance(model, Concurrent)
        assert (model.ref, model.context) == (fakes[0].ref, fakes[0].context)
    asked = sum((fake.asked for fake in fakes), Counter())
    assert set(asked.values()) == {1}
    assert len(asked) == 70


@settings(max_examples=60)
@given(
    deaths=st.lists(st.integers(0, 25), max_size=6),
    replicas=st.integers(1, 3),
    streams=st.booleans(),
    window=st.integers(1, 20),
    n=st.integers(1, 4),
)
def test_whatever_dies_every_row_comes_back_once(deaths, replicas, streams, window, n):
    """Deaths happen at the given rows, counted over all replicas."""
    counted, lock = Counter(), threading.Lock()

    def at_row(id):
        with lock:
            counted["rows"] += 1
            if counted["rows"] in deaths:
                counted["died"] += 1
                raise ReplicaLost("as the test wants", blameless=True)

    rows = requests(20, replace(SAMPLING, n=n))
    fakes = [Fake(streams, at_row) for _ in range(replicas)]
    with Spread([replica(fake) for fake in fakes], window) as model:
        assert by_row(model.generate(rows)) == alone(rows)
    died = counted["died"]
    assert died == len(set(deaths) & set(range(1, counted["rows"] + 1)))
    # A death costs no more than what was given and not finished.
    again = sum(sum(fake.asked.values()) for fake in fakes) - len(rows)
    assert again <= died * max(1, window // n)


def test_what_was_finished_is_not_asked_again():
    dead = []

    def at_row(id):
        if id == "row-5" and not dead:
            dead.append(id)
            raise ReplicaLost("killed")

    fake = Fake(at_row=at_row, width=1)
    rows = [Request(f"row-{i}", "Hello", SAMPLING) for i in range(12)]
    with Spread([replica(fake)], window=36) as model:
        assert by_row(model.generate(rows)) == alone(rows)
    assert dead
    assert {id for id, times in fake.asked.items() if times > 1} == {"row-5"}


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("replicas", [1, 2])
def test_a_row_that_always_kills_fails_alone(streams, replicas):
    killed = Counter()

    def at_row(id):
        if id in ("row-7", "row-31"):
            killed[id] += 1
            raise ReplicaLost("shot")

    fakes = [Fake(streams, at_row, width=100) for _ in range(replicas)]
    rows = requests(60)
    with Spread([replica(fake) for fake in fakes], window=48) as model:
        found = by_row(model.generate(rows))
    fatal = {id for (id, _), c in found.items() if c.failure is not None}
    assert fatal == {"row-7", "row-31"}
    assert {key: c for key, c in found.items() if key[0] not in fatal} == {
        key: c for key, c in alone(rows).items() if key[0] not in fatal
    }
    failures = [c.failure for c in found.values() if c.failure]
    assert len(failures) == 6
    assert {failure.reason for failure in failures} == {"replica_lost"}
    assert "shot" in failures[0].detail
    assert max(killed.values()) <= 3


def test_a_fatal_continuation_fails_alone():
    def at_row(id):
        if id == "2":
            raise ReplicaLost("shot")

    rows = [Continuation(str(i), "Hello", "Yes.") for i in range(5)]
    with Spread([replica(Fake(at_row=at_row))], window=8) as model:
        scores = {score.id: score.failure for score in model.loglikelihood(rows)}
    assert {id: failure and failure.reason for id, failure in scores.items()} == {
        id: "replica_lost" if id == "2" else None for id in "01234"
    }


def test_replicas_that_only_die_end_the_call_with_the_reason():
    def at_row(id):
        raise ReplicaLost("no power")

    fakes = [replica(Fake(at_row=at_row)) for _ in range(2)]
    with Spread(fakes, window=8) as model, pytest.raises(HarnessError, match=r"no power.*kept"):
        list(model.generate(requests(50)))


def test_a_replica_that_cannot_be_opened_again_is_given_up(caplog):
    opened = []

    @contextmanager
    def once():
        opened.append(1)
        if len(opened) > 1:
            raise ReplicaLost("nothing there")
        yield dying

    def at_row(id):
        raise ReplicaLost("gone", blameless=True)

    dying = Fake(at_row=at_row)
    rows = requests(20)
    with caplog.at_level(logging.WARNING), Spread([once], window=6) as model:
        with pytest.raises(HarnessError, match=r"no replica .* nothing there"):
            list(model.generate(rows))
        with pytest.raises(HarnessError, match="no replica"):
            list(model.generate(rows))
    assert len(opened) == 1 + spreading._ATTEMPTS
    with Spread([once, replica(Fake())], window=6) as model:
        assert by_row(model.generate(rows)) == alone(rows)


def test_what_is_wrong_with_the_model_is_said_at_once():
    @contextmanager
    def wrong():
        raise DataError("no model there")
        yield

    never = threading.Event()

    @contextmanager
    def pending():
        never.wait()
        raise ReplicaLost("closed")
        yield

    with pytest.raises(DataError, match="no model there"), Spread([wrong, pending], 4, never):
        pass
    assert never.is_set()


def test_a_replica_that_comes_late_is_given_work():
    room, working = threading.Event(), threading.Event()

    def first(id):
        if not working.is_set():
            room.set()
            assert working.wait(20)

    @contextmanager
    def late():
        assert room.wait(20)
        yield Fake(at_row=lambda id: working.set())

    rows = requests(20)
    with Spread([replica(Fake(at_row=first, width=1)), late], window=6) as model:
        assert by_row(model.generate(rows)) == alone(rows)
    assert working.is_set()


def test_a_replica_with_other_weights_is_not_asked(caplog):
    other = Fake()
    other.ref = other.ref.model_copy(update={"fingerprint": "another"})
    ready = threading.Event()

    @contextmanager
    def second():
        assert ready.wait(20)
        yield other

    rows = requests(20)
    with (
        caplog.at_level(logging.WARNING),
        Spread([replica(Fake()), second], window=6) as model,
    ):
        ready.set()
        while not caplog.text:
            time.sleep(0.001)
        assert by_row(model.generate(rows)) == alone(rows)
    assert "must hold the same on all machines" in caplog.text
    assert not other.asked


def test_errors_of_an_engine_are_the_callers_and_cost_no_replica():
    def at_row(id):
        if id == "row-3":
            raise DataError("a bad row")

    fake = Fake(at_row=at_row)
    with Spread([replica(fake)], window=6) as model:
        with pytest.raises(DataError, match="a bad row"):
            list(model.generate(requests(20)))
        assert by_row(model.generate(requests(3))) == alone(requests(3))


def test_an_engine_that_leaves_rows_out_is_found_out():
    class Forgetful(Fake):
        def generate(self, requests):
            return iter([c for c in super().generate(requests) if c.id != "row-2"])

    with Spread([replica(Forgetful())], 9) as model, pytest.raises(RuntimeError, match="1 rows"):
        list(model.generate(requests(5)))


def test_an_engine_that_makes_rows_up_is_found_out():
    class Inventive(Fake):
        def generate(self, requests):
            for made in super().generate(requests):
                yield replace(made, id="mine")

    with Spread([replica(Inventive())], 9) as model, pytest.raises(RuntimeError, match="'mine'"):
        list(model.generate(requests(5)))


@pytest.mark.parametrize("streams", [False, True])
def test_leaving_early_cancels_what_has_not_begun(streams):
    fake = Fake(streams, width=1)
    rows = [Request(f"row-{i}", "Hello", SAMPLING) for i in range(400)]
    with Spread([replica(fake)], window=3) as model:
        stream = model.generate(rows)
        assert next(stream).id.startswith("row-")
        stream.close()
        others = [replace(row, id=f"other-{row.id}") for row in rows[:5]]
        assert by_row(model.generate(others)) == alone(others)
        seen = sum(id.startswith("row-") for id in fake.asked)
    assert seen < 300


def test_closing_while_rows_are_under_way():
    begun = threading.Event()

    def at_row(id):
        begun.set()
        time.sleep(0.001)

    with Spread([replica(Fake(at_row=at_row))], window=30) as model:
        stream = model.generate(requests(1000))
        next(stream)
    assert begun.is_set()
    with pytest.raises(RuntimeError, match="is closed"):
        list(stream)
    with pytest.raises(RuntimeError, match="is closed"):
        list(model.generate(requests(1)))
    with pytest.raises(RuntimeError, match="is closed"):
        model.count_tokens("abc")


def test_a_thread_that_waits_hears_that_the_model_is_closed():
    begun, go_on = threading.Event(), threading.Event()
    heard = []

    def at_row(id):
        begun.set()
        assert go_on.wait(20)

    def ask():
        with pytest.raises(RuntimeError, match="is closed"):
            list(model.generate(requests(2)))
        heard.append(True)
        go_on.set()

    with Spread([replica(Fake(at_row=at_row))], window=30) as model:
        reader = threading.Thread(target=ask)
        reader.start()
        assert begun.wait(20)
    reader.join()
    assert heard


@pytest.mark.parametrize("streams", [False, True])
def test_several_threads_hear_their_own_rows_even_under_the_same_ids(streams):
    fakes = [Fake(streams) for _ in range(2)]
    heard = {}
    with Spread([replica(fake) for fake in fakes], window=9) as model:

        def ask(seed):
            rows = requests(25, replace(SAMPLING, seed=seed))
            heard[seed] = by_row(model.generate(rows)) == alone(rows)

        threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert heard == dict.fromkeys(range(4), True)
    assert sum(sum(fake.asked.values()) for fake in fakes) == 100


def test_a_streaming_replica_stays_full_and_a_listing_one_gets_chunks():
    one = Sampling(n=1)
    rows = [Request(f"row-{i}", "Hello", one) for i in range(40)]
    streaming, listing = Fake(streams=True, width=8), Fake(width=8)
    with Spread([replica(streaming)], window=8) as model:
        list(model.generate(rows))
    assert [len(turn) for turn in streaming.turns] == [40]
    with Spread([replica(listing)], window=16) as model:
        list(model.generate(rows))
    assert [len(turn) for turn in listing.turns] == [16, 16, 8]


def test_long_prompts_come_first_and_alike_ones_together():
    prompts = ["aaaa", "bb", "cccc", "aaaa", "dddddd", (1, 2), user("bb")]
    rows = [Request(str(i), prompt, Sampling(n=1)) for i, prompt in enumerate(prompts)]
    fake = Fake()
    with Spread([replica(fake)], window=100) as model:
        list(model.generate(rows))
    assert fake.turns == [["5", "4", "0", "3", "2", "1", "6"]]


def test_a_streaming_replica_is_given_the_rows_of_a_call_that_comes_later():
    """The first call's last row waits for a row that was asked while it was under way."""
    begun, second = threading.Event(), threading.Event()

    def at_row(id):
        if id == "short":
            begun.set()
            assert second.wait(20)
        if id == "long":
            assert fake.asked["late"], "it is on its way with the long row"

    fake = Fake(streams=True, at_row=at_row, width=2)
    with Spread([replica(fake)], window=8) as model:
        asked = [Request(id, "Hello", Sampling()) for id in ("short", "long")]
        heard = []
        reader = threading.Thread(target=lambda: heard.extend(model.generate(asked)))
        reader.start()
        assert begun.wait(20)
        late = model.generate([Request("late", "Hi", Sampling())])
        later = threading.Thread(target=lambda: heard.extend(late))
        later.start()
        while not model._backlog.waits:
            time.sleep(0.001)
        second.set()
        reader.join()
        later.join()
    assert sorted(c.id for c in heard) == ["late", "long", "short"]
    assert fake.turns == [["short", "long", "late"]]
