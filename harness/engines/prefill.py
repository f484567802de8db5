"""Read prompts into a key-value cache, and what they all begin with only once.

    a rubric of 300 tokens, then a question and an answer of 40; 64 prompts
    one by one     340 tokens each                  21,760 in all
    `prefill`      300 once, then 40 for each        2,860 in all

Judge prompts begin with their rubric, benchmarks with the examples that they show before every
question. What is shared stands in the cache before the padding: [shared | padding | rest].
"""

from collections.abc import Sequence
from itertools import takewhile

import numpy
import torch
from torch import Tensor
from transformers import Cache, PreTrainedModel

Ids = tuple[int, ...]

BEGINNING = 64
"""From so many tokens on, what prompts begin with is worth a reading of its own."""


def pad_left(sequences: Sequence[Ids], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Stack sequences that end together: ids and mask, each [sequences, longest]."""
    longest = max(map(len, sequences))
    ids = numpy.full((len(sequences), longest), pad, dtype=numpy.int64)
    mask = numpy.zeros_like(ids)
    for i, sequence in enumerate(sequences):
        ids[i, longest - len(sequence) :] = sequence
        mask[i, longest - len(sequence) :] = 1
    return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)


def shared(prompts: Sequence[Ids], cache: Cache) -> Ids:
    """Find what several prompts begin with, where it is worth a reading of its own."""
    if any(cache.is_sliding):  # a sliding window would count the padding as tokens
        return ()
    first, last = min(prompts), max(prompts)  # what these two share, all share
    pairs = zip(first[:-1], last, strict=False)  # something is left of every prompt
    common = first[: sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))]
    return common if len(prompts) > 1 and len(common) >= BEGINNING else ()


def prefill(
    model: PreTrainedModel, cache: Cache, prompts: Sequence[Ids], common: Ids, pad: int
) -> tuple[Tensor, Tensor]:
    """Read prompts into an empty cache.

    Args:
        model: The model, in evaluation mode.
        cache: Empty; it grows.
        prompts: No two of them the same.
        common: What they are known to share (`shared`).
        pad: A token id to pad with.

    Returns:
        The logits after each, [prompts, vocabulary], and what of the cache is no padding,
        [prompts, read], as a mask of 0 and 1.
    """
    mask = torch.ones(1, 0, dtype=torch.long, device=model.device)
    if common:
        ids, is_token = pad_left([common], pad, model.device)
        read(model, cache, mask, ids, is_token, 1)
        cache.batch_repeat_interleave(len(prompts))
        mask = is_token
    mask = mask.expand(len(prompts), -1)
    ids, is_token = pad_left([prompt[len(common) :] for prompt in prompts], pad, model.device)
    logits = read(model, cache, mask, ids, is_token, 1)
    return logits[:, -1], torch.cat([mask, is_token], dim=1)


def read(
    model: PreTrainedModel, cache: Cache, mask: Tensor, ids: Tensor, is_token: Tensor, keep: int
) -> Tensor:
    """Read ids into the cache; return the logits of the last `keep`, or of all for 0, in float32.

    Args:
        model: The model, in evaluation mode.
        cache: What was read before; it grows.
        mask: [rows, read before], 0 on padding.
        ids: [rows, new].
        is_token: [rows, new], 0 on padding.
        keep: For how many of the last positions logits are computed.
    """
    whole = torch.cat([mask, is_token], dim=1)
    positions = (whole.cumsum(-1) - 1).clamp_(min=0)[:, -ids.shape[1] :]
    logits: Tensor = model(
        input_ids=ids,
        attention_mask=None if bool(whole.all()) else whole,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=keep,
    ).logits
    return logits.float()
