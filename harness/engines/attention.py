"""Grouped-query attention that does not copy keys and values for every query head.

    8 query heads, 4 of keys; cache [16, 4, 1500, 32], with padding
    transformers' `sdpa`    repeats it to [16, 8, 1500, 32] for every token, then attends
    `GROUPED`               attends in 1/4 of the time, to exactly the same numbers

Where there is a mask, transformers repeats because CUDA's kernels want it so; on a CPU PyTorch
does without. Whatever is not that case is left to transformers.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

GROUPED = "sdpa_grouped"
"""The name to give as `attn_implementation`."""


def _grouped(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attend; shapes and options are those of transformers' attention functions."""
    groups = getattr(module, "num_key_value_groups", 1)
    special = any(options.get(name) is not None for name in ("cache", "position_bias"))
    if groups == 1 or attention_mask is None or query.device.type != "cpu" or special:
        found: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, **options
        )
        return found
    attended = scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=attention_mask,
        dropout_p=dropout,
        scale=scaling,
        enable_gqa=True,
    )
    return attended.transpose(1, 2).contiguous(), None


AttentionInterface.register(GROUPED, _grouped)
AttentionMaskInterface.register(GROUPED, sdpa_mask)
