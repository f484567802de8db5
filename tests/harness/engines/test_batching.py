from collections import deque

from harness.engines.batching import Row, put_back, queue_up, take
from harness.protocols import Request, Sampling


def row(id: str, length: int, room: int = 10, start: int = 0) -> Row:
    prompt = tuple(range(start, start + length))
    return Row(Request(id, prompt, Sampling(max_tokens=room)), 0, prompt, room)


def ids(rows) -> list[str]:
    return [row.request.id for row in rows]


def test_long_prompts_go_first_and_equal_prompts_together() -> None:
    rows = [row("a", 3), row("b", 9), row("c", 3, start=5), row("d", 3), row("e", 12)]
    assert ids(queue_up(rows)) == ["e", "b", "a", "d", "c"]


def test_batches_keep_within_rows_and_tokens() -> None:
    queue = queue_up([row("a", 40), row("b", 39), row("c", 12), row("d", 11)])
    assert ids(take(queue, rows=9, tokens=100)) == ["a", "b"]
    assert ids(take(queue, rows=1, tokens=100)) == ["c"]
    assert ids(take(queue, rows=9, tokens=100)) == ["d"]


def test_the_longest_completion_counts() -> None:
    queue = deque([row("a", 5, room=10), row("b", 4, room=90)])
    assert ids(take(queue, rows=9, tokens=100)) == ["a"]


def test_a_row_over_the_limit_goes_alone() -> None:
    queue = deque([row("a", 500), row("b", 2)])
    assert ids(take(queue, rows=9, tokens=100)) == ["a"]


def test_unfinished_rows_go_back_to_be_begun_again() -> None:
    batch = [row("a", 3), row("b", 3), row("c", 3)]
    for each in batch:
        each.token_ids.append(1)
        each.logprobs.append(-1.0)
    batch[1].finish_reason = "stop"
    queue = deque([row("d", 2)])
    put_back(queue, batch)
    assert ids(queue) == ["a", "c", "d"]
    assert [each.token_ids for each in batch] == [[], [1], []]
    assert [each.logprobs for each in batch] == [[], [-1.0], []]
