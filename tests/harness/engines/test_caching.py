import torch
from transformers import DynamicCache, Qwen2Config
from transformers.cache_utils import DynamicSlidingWindowLayer

from harness.engines.caching import new_cache
from tests.harness.engines import tiny

CONFIG = tiny.llama(102, layers=1).config


def fill(cache, *lengths, rows=2):
    """Add tokens in steps; return what was read back at each."""
    torch.manual_seed(0)
    found = []
    for length in lengths:
        new = torch.rand(rows, 4, length, 8)
        found.append([kept.clone() for kept in cache.update(new, new + 1, 0)])
    return found


def same(one, other):
    return all(
        torch.equal(a, b)
        for x, y in zip(one, other, strict=True)
        for a, b in zip(x, y, strict=True)
    )


def test_it_holds_what_transformers_own_holds() -> None:
    steps = (5, 1, 1, 140, 1, 3)
    found, expected = new_cache(CONFIG), DynamicCache(config=CONFIG)
    assert same(fill(found, *steps), fill(expected, *steps))
    assert found.get_seq_length() == sum(steps)
    for cache in (found, expected):
        cache.batch_select_indices(torch.tensor([1, 0, 1]))
    assert same(fill(found, 1, 1, rows=3), fill(expected, 1, 1, rows=3))
    for cache in (found, expected):
        cache.batch_repeat_interleave(2)
    assert same(fill(found, 1, 1, rows=6), fill(expected, 1, 1, rows=6))


def test_new_tokens_move_nothing_while_there_is_room() -> None:
    cache = new_cache(CONFIG)
    fill(cache, 50)
    places = set()
    for _ in range(200):
        fill(cache, 1)
        places.add(cache.layers[0].keys.data_ptr())
    assert len(places) == 2
    assert cache.layers[0].keys.shape == (2, 4, 250, 8)


def test_sliding_windows_stay_as_they_are() -> None:
    config = Qwen2Config(
        num_hidden_layers=2, use_sliding_window=True, sliding_window=8, max_window_layers=1
    )
    full, sliding = new_cache(config).layers
    assert isinstance(sliding, DynamicSlidingWindowLayer)
    assert type(full).__name__ == "_RoomyLayer"
