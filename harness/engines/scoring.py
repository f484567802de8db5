"""How likely continuations are after their prompts, a batch at a time.

    prompt [2, 41, 3] and continuation [77, 1]
    -> read [2, 41, 3, 77], keep the last two positions' logits, look up 77 and 1 in them

The last token is only predicted, never read, and only as many positions are kept as the batch's
longest continuation has: the logits of a whole prompt are a hundred times its cache.
"""

from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from harness.engines.decoding import pad_left
from harness.engines.tokens import Pair
from harness.protocols import LogLikelihood

_LOGITS = 1 << 27
"""How many logits to hold at once: half a GiB in float32."""


def take_pairs(queue: deque[Pair], rows: int, tokens: int, vocabulary: int) -> list[Pair]:
    """Take the next batch off a queue that is sorted by length, longest first."""
    batch: list[Pair] = []
    kept = 0
    while queue and len(batch) < rows:
        longest = (batch or queue)[0].length
        kept = max(kept, len(queue[0].continuation))
        size = len(batch) + 1
        if batch and (size * longest > tokens or size * kept * vocabulary > _LOGITS):
            break
        batch.append(queue.popleft())
    return batch


@torch.inference_mode()
def score(model: PreTrainedModel, batch: Sequence[Pair], pad: int) -> list[LogLikelihood]:
    """Score every continuation of a batch with one forward pass."""
    ids, mask = pad_left(
        [(*pair.prompt, *pair.continuation)[:-1] for pair in batch], pad, model.device
    )
    kept = max(len(pair.continuation) for pair in batch)
    logits: Tensor = model(
        input_ids=ids,
        attention_mask=None if bool(mask.all()) else mask,
        position_ids=(mask.cumsum(-1) - 1).clamp_(min=0),
        use_cache=False,
        logits_to_keep=kept,
    ).logits.float()
    targets, is_target = pad_left([pair.continuation for pair in batch], pad, model.device)
    logprobs = logits.gather(-1, targets[..., None])[..., 0] - logits.logsumexp(-1)
    totals = (logprobs * is_target).sum(-1).tolist()
    greedy = ((logits.argmax(-1) == targets) | (is_target == 0)).all(-1).tolist()
    return [
        LogLikelihood(id=pair.id, logprob=total, tokens=len(pair.continuation), greedy=best)
        for pair, total, best in zip(batch, totals, greedy, strict=True)
    ]
