"""Which rows replicas are given, without any replica."""

from math import isqrt
from statistics import mean

import pytest

from harness.engines.backlog import LOSSES, Backlog
from harness.protocols import Completion, Continuation, Request, Sampling
from harness.records import Failure

SUSPECT = Failure(reason="replica_lost")


def chunk(backlog, replicas=1):
    """Begin a turn and draw all that it is given at once, as an engine does that lists."""
    turn = backlog.turn()
    if turn is not None:
        while backlog.draw(turn, replicas) is not None:
            pass
    return turn


def rows(count, n=1):
    return [Request(str(i), "Hello", Sampling(n=n)) for i in range(count)]


def answer(backlog, turn):
    for row in list(turn.rows.values()):
        for index in range(row.weight):
            backlog.finish(turn, Completion(row.asked.id, index, "Yes."))


@pytest.mark.parametrize(("n", "window", "replicas", "first"), [(1, 16, 2, 16), (4, 16, 2, 4)])
def test_chunks_are_a_window_and_shrink_towards_the_end(n, window, replicas, first):
    backlog = Backlog(window)
    backlog.call(Request, rows(60 // n, n), 1)
    busy = chunk(backlog, replicas=replicas)
    sizes = [len(busy.rows)]
    while turn := chunk(backlog, replicas=replicas):
        sizes.append(len(turn.rows))
        answer(backlog, turn)
    assert sizes[0] == first
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == 60 // n
    assert sizes[-1] < first


def test_what_replicas_take_in_one_go_is_equally_long_on_the_whole():
    backlog = Backlog(100)
    lengths = [30, 10, 60, 20, 50, 40, 80, 70]
    asked = [Request(str(i), "x" * length, Sampling()) for i, length in enumerate(lengths)]
    backlog.call(Request, asked, 2)
    hands = [[len(row.asked.prompt) for row in chunk(backlog, 2).rows.values()] for _ in range(2)]
    assert hands == [[80, 60, 40, 20], [70, 50, 30, 10]]


def test_each_round_is_dealt_by_itself():
    backlog = Backlog(50)
    asked = [Request(str(i), "x" * (i % 211 + 1), Sampling()) for i in range(1000)]
    backlog.call(Request, asked, 2)
    turns = []
    for _ in range(10):
        pair = [chunk(backlog, 2), chunk(backlog, 2)]
        turns += [mean(len(row.asked.prompt) for row in turn.rows.values()) for turn in pair]
        for turn in pair:
            answer(backlog, turn)
    assert turns == sorted(turns, reverse=True)  # the longest come first
    assert all(one - other < 12 for one, other in zip(turns[::2], turns[1::2], strict=True))


def test_rows_with_the_same_prompt_stay_side_by_side():
    backlog = Backlog(100)
    asked = [Continuation(str(i), "AB"[i % 2], "Yes.") for i in range(8)]
    backlog.call(Continuation, asked, 2)
    assert [list(chunk(backlog, 2).rows) for _ in range(2)] == [
        ["0", "2", "4", "6"],
        ["1", "3", "5", "7"],
    ]


def test_what_fits_no_window_is_given_alone():
    backlog = Backlog(2)
    backlog.call(Request, rows(2, n=5), 1)
    assert len(chunk(backlog).rows) == 1


def test_calls_are_served_in_order_and_kinds_are_not_mixed():
    backlog = Backlog(100)
    backlog.call(Request, [Request("a", "Hello", Sampling())], 1)
    backlog.call(Continuation, [Continuation("b", "Hello", "Yes.")], 1)
    backlog.call(Request, [Request("c", "Hello", Sampling())], 1)
    turns = [list(chunk(backlog).rows) for _ in range(3)]
    assert turns == [["a"], ["b"], ["c"]]
    assert backlog.turn() is None


def test_an_id_is_not_given_to_a_replica_that_has_it_already():
    backlog = Backlog(100)
    backlog.call(Request, rows(1), 1)
    backlog.call(Request, [*rows(1), Request("other", "Hello", Sampling())], 1)
    turn = chunk(backlog)
    assert list(turn.rows) == ["0"]
    answer(backlog, turn)
    assert backlog.draw(turn, 1).id == "0"
    assert [backlog.draw(turn, 1).id, backlog.draw(turn, 1)] == ["other", None]


def test_suspects_are_asked_in_smaller_and_smaller_company_and_then_given_up():
    backlog = Backlog(64)
    call = backlog.call(Request, rows(64), 1)
    sizes = []
    for _ in range(LOSSES):
        turn = chunk(backlog)
        assert "0" in turn.rows
        sizes.append(len(turn.rows))
        backlog.put_back(turn, SUSPECT)
        assert turn.over and backlog.draw(turn, 1) is None
    assert sizes == [64, isqrt(64), 1]
    [failed] = call.results.get_nowait()
    assert (failed.id, failed.failure) == ("0", SUSPECT)
    assert call.unfinished == 63
    # Those that were lost with it twice are asked alone, one by one; then the others, by eights.
    assert [len(chunk(backlog).rows) for _ in range(9)] == [1] * 7 + [8] * 2


def test_suspects_share_a_turn_with_nobody_else():
    backlog = Backlog(9)
    backlog.call(Request, rows(20), 1)
    lost, busy = chunk(backlog), chunk(backlog)
    backlog.put_back(lost, SUSPECT)
    answer(backlog, busy)
    assert backlog.draw(busy, 1) is None
    suspects = chunk(backlog)
    assert len(suspects.rows) == 3
    answer(backlog, suspects)
    assert len(chunk(backlog).rows) == 3


def test_a_turn_goes_on_when_there_are_rows_again():
    backlog = Backlog(2)
    backlog.call(Request, rows(3), 1)
    turn = chunk(backlog)
    assert len(turn.rows) == 2
    backlog.finish(turn, Completion("0", 0, "Yes."))
    assert backlog.draw(turn, 1).id == "2"
    answer(backlog, turn)
    assert backlog.draw(turn, 1) is None
    backlog.call(Request, [Request("later", "Hello", Sampling())], 1)
    assert backlog.draw(turn, 1).id == "later"


def test_rows_of_a_node_that_went_away_are_no_suspects():
    backlog = Backlog(8)
    call = backlog.call(Request, rows(8), 1)
    for _ in range(10):
        turn = chunk(backlog)
        assert len(turn.rows) == 8
        backlog.put_back(turn, None)
    assert call.results.empty()


def test_completions_of_a_lost_row_are_not_handed_out_twice():
    backlog = Backlog(8)
    call = backlog.call(Request, rows(1, n=3), 1)
    turn = chunk(backlog)
    backlog.finish(turn, Completion("0", 0, "lost"))
    backlog.put_back(turn, SUSPECT)
    answer(backlog, chunk(backlog))
    assert [c.text for c in call.results.get_nowait()] == ["Yes."] * 3
    assert call.results.empty() and not backlog.calls


def test_a_call_that_is_dropped_leaves_nothing_to_give():
    backlog = Backlog(4)
    call = backlog.call(Request, rows(20), 1)
    turn = chunk(backlog)
    backlog.drop(call)
    assert backlog.turn() is None
    assert not backlog.finish(turn, Completion("0", 0, "Yes."))
