"""How likely continuations are after their prompts, a batch at a time.

    prompt [2, 41, 3] with the continuations [77, 1] and [9]
    read [2, 41, 3] once           -> look up 77 and 9 in its last logits
    read [77] on the prompt's cache -> look up 1

A prompt is read once for all of its continuations, and what many prompts begin with (the examples
that are shown before every question, say) once for all of them. The last token is only predicted,
never read, and only logits that are looked up are computed: those of a whole prompt are a hundred
times its cache.
"""

import copy
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from harness.engines.prefill import BEGINNING, pad_left, prefill, read, shared
from harness.engines.tokens import Ids, Pair
from harness.protocols import LogLikelihood

_LOGITS = 1 << 27
"""How many logits to hold at once: half a GiB in float32."""
CPU_TOKENS = 1 << 14
"""The most tokens in a batch on a CPU, whose caches larger ones leave."""

_FAMILY = 4
"""So many different prompts with one beginning are worth batches of their own."""
_SPREAD = 1.25
"""How many times as long as the shortest the longest continuation read with it may be."""


def queues(pairs: Iterable[Pair]) -> list[deque[Pair]]:
    """Sort pairs into queues that share no batch: prompts that begin alike, and all others.

    Within a queue the longest prompt comes first, so that a batch which does not fit in memory is
    met at once, and pairs with the same prompt stand side by side.
    """
    alike: dict[Ids, dict[Ids, list[Pair]]] = {}
    for pair in pairs:
        beginning = pair.prompt[:BEGINNING] if len(pair.prompt) > BEGINNING else ()
        alike.setdefault(beginning, {}).setdefault(pair.prompt, []).append(pair)
    others: dict[Ids, list[Pair]] = {}
    families = []
    for beginning, prompts in alike.items():
        if beginning and len(prompts) >= _FAMILY:
            families.append(prompts)
        else:
            others.update(prompts)
    return [
        deque(pair for prompt in sorted(prompts, key=len, reverse=True) for pair in prompts[prompt])
        for prompts in (others, *families)
    ]


def take_pairs(queue: deque[Pair], rows: int, tokens: int, vocabulary: int) -> list[Pair]:
    """Take the next batch off a queue: at least one pair, then as many as the limits allow."""
    batch: list[Pair] = []
    longest = kept = 0
    while queue and len(batch) < rows:
        longest = max(longest, queue[0].length)
        kept = max(kept, len(queue[0].continuation))
        size = len(batch) + 1
        if batch and (size * longest > tokens or size * kept * vocabulary > _LOGITS):
            break
        batch.append(queue.popleft())
    return batch


@torch.inference_mode()
def score(model: PreTrainedModel, batch: Sequence[Pair], pad: int) -> list[LogLikelihood]:
    """Score every continuation of a batch."""
    prompts = list(dict.fromkeys(pair.prompt for pair in batch))
    cache = DynamicCache(config=model.config)
    common = shared(prompts, cache)
    if len(prompts) == len(batch) and not common:
        return _score_whole(model, batch, pad)
    logits, mask = prefill(model, cache, prompts, common, pad)
    first = logits.log_softmax(-1)
    best = first.argmax(-1)

    places = {prompt: place for place, prompt in enumerate(prompts)}
    rows = torch.tensor([places[pair.prompt] for pair in batch], device=model.device)
    tokens = torch.tensor([pair.continuation[0] for pair in batch], device=model.device)
    totals = first[rows, tokens].tolist()
    greedy = (best[rows] == tokens).tolist()
    for part in _of_like_length(batch, model.config.vocab_size):
        chosen = rows[part]
        ids, is_token = _pad_right([batch[i].continuation for i in part], pad, model.device)
        logits = read(
            model, _selected(cache, chosen), mask[chosen], ids[:, :-1], is_token[:, 1:], 0
        )
        for i, total, is_best in zip(
            part, *_look_up(logits, ids[:, 1:], is_token[:, 1:]), strict=True
        ):
            totals[i] += total
            greedy[i] = greedy[i] and is_best
    return _results(batch, totals, greedy)


def _score_whole(model: PreTrainedModel, batch: Sequence[Pair], pad: int) -> list[LogLikelihood]:
    """Score continuations of which no two share a prompt, each read with its own at once."""
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
    return _results(batch, *_look_up(logits, targets, is_target))


def _of_like_length(batch: Sequence[Pair], vocabulary: int) -> Iterator[list[int]]:
    """Part the continuations of two tokens or more, so that little is read as padding."""
    part: list[int] = []
    for i in sorted(range(len(batch)), key=lambda i: len(batch[i].continuation)):
        length = len(batch[i].continuation)
        if length == 1:
            continue
        spread = part and length > _SPREAD * len(batch[part[0]].continuation)
        if part and (spread or (len(part) + 1) * length * vocabulary > _LOGITS):
            yield part
            part = []
        part.append(i)
    if part:
        yield part


def _selected(cache: DynamicCache, rows: Tensor) -> DynamicCache:
    """Copy rows of a cache, which stays as it is."""
    chosen = copy.copy(cache)
    chosen.layers = [copy.copy(layer) for layer in cache.layers]
    chosen.batch_select_indices(rows)
    return chosen


def _look_up(logits: Tensor, targets: Tensor, is_target: Tensor) -> tuple[list[float], list[bool]]:
    """Sum the targets' log-probabilities by row, and say which rows are greedy."""
    logprobs = logits.gather(-1, targets[..., None])[..., 0] - logits.logsumexp(-1)
    greedy = (logits.argmax(-1) == targets) | (is_target == 0)
    return (logprobs * is_target).double().sum(-1).tolist(), greedy.all(-1).tolist()


def _pad_right(sequences: Sequence[Ids], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Stack sequences that begin together: ids and mask, each [sequences, longest]."""
    ids, mask = pad_left([sequence[::-1] for sequence in sequences], pad, device)
    return ids.flip(-1), mask.flip(-1)


def _results(
    batch: Sequence[Pair], totals: Sequence[float], greedy: Sequence[bool]
) -> list[LogLikelihood]:
    return [
        LogLikelihood(id=pair.id, logprob=total, tokens=len(pair.continuation), greedy=best)
        for pair, total, best in zip(batch, totals, greedy, strict=True)
    ]
