"""Draw one token a row: temperature and top-p, exactly, without sorting the vocabulary.

    logits            [3.0, 1.0, 2.9, -4.0]
    probabilities     [.49, .07, .44,  .00]      at temperature 1
    nucleus, p = .9   tokens 0, 2                the smallest set that reaches .9
    noise .60         .60 * .93 = .56 > .49, so the draw is token 2

A nucleus (Holtzman et al. 2020, arXiv 1904.09751) is a prefix of the tokens in descending order of
probability. Among the k best tokens it is found exactly where their share of the whole
probability reaches p; only the rows where it does not are drawn again from more tokens. The
random number is the caller's, one for every token, so a row draws the same tokens in any batch.
"""

import hashlib

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

_CANDIDATES = (16, 128)  # a trained model's nucleus is mostly within the first few tokens


def noise(seed: int, id: str, index: int, count: int) -> NDArray[numpy.float32]:
    """Draw a row's random numbers, uniform in [0, 1), one for each token it may sample.

    They depend on the arguments alone and never on the count: the t-th number is that of the
    t-th token (Philox, a counter-based generator: Salmon et al. 2011).
    """
    key = hashlib.blake2b(f"{seed}\0{index}\0{id}".encode(), digest_size=16).digest()
    generator = numpy.random.Generator(numpy.random.Philox(key=int.from_bytes(key, "little")))
    return generator.random(count, dtype=numpy.float32)


def sample(logits: Tensor, temperature: Tensor, top_p: Tensor, noise: Tensor) -> Tensor:
    """Draw one token a row.

    Args:
        logits: [rows, vocabulary], float32.
        temperature: [rows]; 0 takes the most probable token.
        top_p: [rows]; the probability that the nucleus reaches, 1 for no truncation.
        noise: [rows], uniform in [0, 1).

    Returns:
        [rows], token ids.
    """
    greedy = temperature == 0
    if greedy.all():
        return logits.argmax(-1)
    scaled = logits / torch.where(greedy, 1.0, temperature)[:, None]
    total = scaled.logsumexp(-1)
    drawn, exact = _draw(scaled, total, top_p, noise, _CANDIDATES[0])
    for candidates in (*_CANDIDATES[1:], scaled.shape[-1]):
        if exact.all():
            break
        again = (~exact).nonzero()[:, 0]
        drawn[again], exact[again] = _draw(
            scaled[again], total[again], top_p[again], noise[again], candidates
        )
    return torch.where(greedy, logits.argmax(-1), drawn) if greedy.any() else drawn


def _draw(
    scaled: Tensor, total: Tensor, top_p: Tensor, noise: Tensor, candidates: int
) -> tuple[Tensor, Tensor]:
    """Draw from the best candidates; say for which rows that is the draw from all tokens."""
    whole = candidates >= scaled.shape[-1]
    values, ids = _best(scaled, scaled.shape[-1] if whole else candidates)
    probabilities = (values - total[:, None]).exp()
    reached = probabilities.cumsum(-1)
    size = (reached - probabilities < top_p[:, None]).sum(-1).clamp_(min=1)
    last = (size - 1)[:, None]
    full = top_p >= 1
    nucleus = torch.where(full, 1.0, reached.gather(-1, last)[:, 0])
    target = noise * nucleus
    position = (reached <= target[:, None]).sum(-1, keepdim=True).minimum(last)
    drawn = ids.gather(-1, position)[:, 0]
    if whole:
        return drawn, torch.ones_like(full)
    end = reached[:, -1]
    # Which of several tokens with the last value got in is arbitrary, so none may be drawn here.
    certain = values.gather(-1, position)[:, 0] > values[:, -1]
    return drawn, torch.where(full, target < end, end >= top_p) & certain


def _best(scaled: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the best tokens in descending order, equals in ascending order of their ids."""
    if count == scaled.shape[-1]:
        values, ids = scaled.sort(dim=-1, descending=True, stable=True)
        return values, ids
    values, ids = scaled.topk(count, -1)
    if (values[:, 1:] == values[:, :-1]).any():
        ids, order = ids.sort(-1)
        values, by_value = values.gather(-1, order).sort(dim=-1, descending=True, stable=True)
        ids = ids.gather(-1, by_value)
    return values, ids
