"""What prompts begin with is found where it is long enough, and read into the cache once."""

import pytest
import torch
from transformers import DynamicCache

from harness.engines.caching import new_cache
from harness.engines.prefill import BEGINNING, prefill, shared
from tests.harness.engines import tiny
from tests.harness.engines.test_scoring import sliding

LONG = tuple(5 + i % 80 for i in range(BEGINNING))


def test_prompts_share_what_is_long_enough_and_something_is_left_of_each() -> None:
    cache = new_cache(tiny.llama(102).config)
    assert shared([(*LONG, 7), (*LONG, 8), (*LONG, 8, 9)], cache) == LONG
    assert shared([(*LONG, 7), (*LONG, 7, 8)], cache) == LONG
    assert shared([LONG, (*LONG, 7)], cache) == (), "one token less is too short"
    assert shared([(*LONG, 7), (8, *LONG)], cache) == ()
    assert shared([(*LONG, 7)], cache) == ()
    windowed = DynamicCache(config=sliding().config)
    assert shared([(*LONG, 7), (*LONG, 8)], windowed) == ()


@pytest.mark.parametrize("common", [(), LONG])
def test_logits_and_mask_are_the_same_however_prompts_are_read(common: tuple[int, ...]) -> None:
    model = tiny.llama(102, context=128)
    prompts = [(*LONG, *range(40, 41 + 3 * i)) for i in range(3)]
    with torch.inference_mode():
        logits, mask = prefill(model, new_cache(model.config), prompts, common, pad=0)
        alone = [model(torch.tensor([prompt])).logits[0, -1] for prompt in prompts]
    assert mask.sum(-1).tolist() == [len(prompt) for prompt in prompts]
    torch.testing.assert_close(logits, torch.stack(alone), atol=1e-4, rtol=1e-4)
