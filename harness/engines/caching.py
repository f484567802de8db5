"""A key-value cache with room to grow, so that a new token does not copy all before it.

    prompt of 1500 tokens, 256 new ones, one at a time
    transformers' `DynamicLayer`   copies 1500 tokens, then 1501, then 1502 ...
    `new_cache`                    copies them when 128 more have come

Sliding windows and other special layers stay transformers' own.
"""

from typing import Any

from torch import Tensor
from transformers import DynamicCache, PretrainedConfig
from transformers.cache_utils import DynamicLayer

_ROOM = 128
"""Tokens to make room for at a time."""


class _RoomyLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """One layer's keys and values: the first part of a longer buffer, [rows, heads, tokens, size].

    The buffer is the layer's own until rows are selected, which makes a copy without room.
    """

    _buffers: tuple[Tensor, Tensor] | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Add new tokens; return all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        begin = self.get_seq_length()
        end = begin + key_states.shape[-2]
        if self._buffers is None or end > self._buffers[0].shape[-2]:
            self._buffers = _with_room(self.keys, key_states), _with_room(self.values, value_states)
        keys, values = self._buffers
        keys[..., begin:end, :] = key_states
        values[..., begin:end, :] = value_states
        self.keys, self.values = keys[..., :end, :], values[..., :end, :]
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep only these rows."""
        super().batch_select_indices(indices)
        self._buffers = None

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every row."""
        super().batch_repeat_interleave(repeats)
        self._buffers = None


def _with_room(old: Tensor | None, new: Tensor) -> Tensor:
    """Copy what was there into a buffer that has room for what is new, and for more."""
    begin = 0 if old is None or not old.numel() else old.shape[-2]
    tokens = begin + new.shape[-2] + _ROOM
    buffer = new.new_empty((*new.shape[:-2], tokens, new.shape[-1]))
    if old is not None and begin:
        buffer[..., :begin, :] = old
    return buffer


def new_cache(config: PretrainedConfig) -> DynamicCache:
    """Make an empty cache for a model."""
    cache = DynamicCache(config=config)
    for i, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer:
            cache.layers[i] = _RoomyLayer()  # type: ignore[no-untyped-call]
    return cache
