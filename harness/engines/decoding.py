"""The decoding loop: one batch of rows through a Hugging Face model, with a key-value cache.

    prefill     every distinct prompt once, what all share only once    [prompts, longest]
    fan out     the cache and the last logits, once for each row        [rows, ...]
    step        sample a token a row; finished rows come out at once
    compact     finished rows leave the batch, and the step gets cheaper

Prompts are most of the tokens where answers are short, and `generate(num_return_sequences=n)`
computes each of them n times; it also carries every row on until the longest has finished.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor
from transformers import Cache, PreTrainedModel

from harness.engines.batching import Row
from harness.engines.caching import new_cache
from harness.engines.finishing import diverged
from harness.engines.prefill import prefill, shared
from harness.engines.sampling import noise, sample

Ids = tuple[int, ...]

_DEAD_SHARE = 8  # a finished row costs a step about eight times what moving a live one costs


@dataclass
class _Batch:
    """The rows that are still in the model's batch, and the tensors they own."""

    rows: list[Row]
    cache: Cache
    mask: Tensor | None
    """[rows, prompt + room], 0 on padding; None where nothing is padded."""
    positions: Tensor
    """[rows], that of the next token."""
    temperature: Tensor
    top_p: Tensor
    noise: Tensor
    """[rows, room]."""

    @torch.inference_mode()
    def select(self, indices: Tensor) -> None:
        """Keep only these rows, in this order."""
        self.rows = [self.rows[i] for i in indices.tolist()]
        self.cache.batch_select_indices(indices)
        self.mask = None if self.mask is None else self.mask[indices]
        self.positions = self.positions[indices]
        self.temperature = self.temperature[indices]
        self.top_p = self.top_p[indices]
        self.noise = self.noise[indices]


def decode(
    model: PreTrainedModel, rows: Sequence[Row], pad: int, ended: Callable[[Row], bool]
) -> Iterator[Row]:
    """Complete rows, yielding each as it finishes.

    Args:
        model: The model, in evaluation mode.
        rows: The batch; their `token_ids`, `logprobs`, `likeliest` and `finish_reason` are
            filled in.
        pad: A token id to pad with.
        ended: Whether the last token of a row ends it.

    Raises:
        DataError: the model's outputs are not numbers.
    """
    batch, logits, width = _prefill(model, rows, pad)
    wants_logprobs = any(row.request.sampling.logprobs for row in rows)
    most = max(row.request.sampling.top_logprobs for row in rows)
    for step in range(max(row.room for row in rows)):
        chosen = _choose(batch, logits, step)
        logprobs = _logprobs(logits, chosen) if wants_logprobs else None
        likeliest = _likeliest(logits, most) if most else None
        live = []
        for i, (row, token) in enumerate(zip(batch.rows, chosen.tolist(), strict=True)):
            if row.finish_reason is not None:
                continue
            row.token_ids.append(token)
            if logprobs is not None:
                row.logprobs.append(logprobs[i])
            if likeliest is not None:
                row.likeliest.append(likeliest[i][: row.request.sampling.top_logprobs])
            if ended(row):
                row.finish_reason = "stop"
            elif len(row.token_ids) == row.room:
                row.finish_reason = "length"
            if row.finish_reason is None:
                live.append(i)
            else:
                yield row
        if not live:
            return
        if (len(batch.rows) - len(live)) * _DEAD_SHARE > len(live):
            kept = torch.tensor(live, device=chosen.device)
            batch.select(kept)
            chosen = chosen[kept]
        logits = _step(model, batch, chosen, width + step + 1)


@torch.inference_mode()
def _prefill(model: PreTrainedModel, rows: Sequence[Row], pad: int) -> tuple[_Batch, Tensor, int]:
    """Read every distinct prompt once; return the batch, its logits and its padded width."""
    distinct = dict.fromkeys(row.prompt_ids for row in rows)
    prompts = {prompt_ids: i for i, prompt_ids in enumerate(distinct)}
    device = model.device
    cache = new_cache(model.config)
    logits, mask = prefill(model, cache, list(prompts), shared(list(prompts), cache), pad)
    width = mask.shape[1]
    padded = not bool(mask.all())
    if not bool(logits.isfinite().all()):
        raise diverged(str(model.name_or_path))
    room = max(row.room for row in rows)
    draws = numpy.zeros((len(rows), room), dtype=numpy.float32)
    for i, row in enumerate(rows):
        sampling = row.request.sampling
        if sampling.temperature > 0:
            draws[i, : row.room] = noise(sampling.seed, row.request.id, row.index, row.room)
    batch = _Batch(
        rows=list(rows),
        cache=cache,
        mask=torch.nn.functional.pad(mask, (0, room), value=1) if padded else None,
        positions=mask.sum(-1),
        temperature=torch.tensor([r.request.sampling.temperature for r in rows], device=device),
        top_p=torch.tensor([r.request.sampling.top_p for r in rows], device=device),
        noise=torch.from_numpy(draws).to(device),
    )
    if len(prompts) < len(rows):
        fan_out = torch.tensor([prompts[row.prompt_ids] for row in rows], device=device)
        cache.batch_select_indices(fan_out)
        batch.mask = None if batch.mask is None else batch.mask[fan_out]
        batch.positions = batch.positions[fan_out]
        logits = logits[fan_out]
    return batch, logits, width


@torch.inference_mode()
def _choose(batch: _Batch, logits: Tensor, step: int) -> Tensor:
    return sample(logits, batch.temperature, batch.top_p, batch.noise[:, step])


@torch.inference_mode()
def _logprobs(logits: Tensor, chosen: Tensor) -> list[float]:
    found = logits.gather(-1, chosen[:, None])[:, 0] - logits.logsumexp(-1)
    return [float(value) for value in found.tolist()]


@torch.inference_mode()
def _likeliest(logits: Tensor, count: int) -> list[list[tuple[int, float]]]:
    """List each row's likeliest tokens with their log-probabilities, best first."""
    values, ids = logits.topk(min(count, logits.shape[-1]), -1)
    found = (values - logits.logsumexp(-1, keepdim=True)).tolist()
    return [list(zip(*row, strict=True)) for row in zip(ids.tolist(), found, strict=True)]


@torch.inference_mode()
def _step(model: PreTrainedModel, batch: _Batch, tokens: Tensor, seen: int) -> Tensor:
    """Read one more token a row; return the next logits, [rows, vocabulary]."""
    mask = None if batch.mask is None else batch.mask[:, :seen]
    output = model(
        input_ids=tokens[:, None],
        attention_mask=mask,
        position_ids=batch.positions[:, None],
        past_key_values=batch.cache,
        use_cache=True,
        logits_to_keep=1,
    )
    logits: Tensor = output.logits[:, -1].float()
    # A finished row may stay for a few steps; learned positions end with the context.
    last = model.config.max_position_embeddings - 1
    batch.positions = (batch.positions + 1).clamp_(max=last)
    return logits
