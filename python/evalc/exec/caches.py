"""Key-value caches of full-attention models: one growing path, and rows on top of it."""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

from evalc.exec.packs import Ids, shared_length

GRANULE = 256


class BufferLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values [B, heads, length, width] at the front of a roomier buffer.

    Appending writes in place instead of copying the whole cache at every token.
    """

    def __init__(self, room: int = GRANULE) -> None:
        super().__init__()
        self.room = room
        self.length = 0
        self.buffers: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append [B, heads, S, width]; returns views of all keys and values so far."""
        end = self.length + key_states.shape[-2]
        keys, values = self._reserve(key_states, value_states, end)
        keys[:, :, self.length : end] = key_states
        values[:, :, self.length : end] = value_states
        self.length = end
        self.is_initialized = True
        return keys[:, :, :end], values[:, :, :end]

    def _reserve(
        self, keys: torch.Tensor, values: torch.Tensor, end: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        held = self.buffers
        if held is not None and held[0].shape[-2] >= end:
            return held
        room = max(self.room, end if held is None else max(end, held[0].shape[-2] * 2))
        fresh = [part.new_empty(*part.shape[:-2], room, part.shape[-1]) for part in (keys, values)]
        if held is not None:
            for old, new in zip(held, fresh, strict=True):
                new[:, :, : self.length] = old[:, :, : self.length]
        self.buffers = (fresh[0], fresh[1])
        return self.buffers

    def get_seq_length(self) -> int:
        return self.length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.length + query_length, 0

    def parts(self, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Views of the first `length` keys and values."""
        if self.buffers is None:
            raise ValueError("the cache is empty")
        keys, values = self.buffers
        return keys[:, :, :length], values[:, :, :length]


class PrefixLayer(DynamicLayer):  # type: ignore[misc]
    """One forward pass of B rows on a prefix of batch 1; the rows' own states are not kept."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.prefix = (keys, values)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Prefix and new states of each row, [B, heads, P + S, width]."""
        count = key_states.shape[0]
        keys, values = (part.expand(count, -1, -1, -1) for part in self.prefix)
        return torch.cat([keys, key_states], dim=-2), torch.cat([values, value_states], dim=-2)

    def get_seq_length(self) -> int:
        return int(self.prefix[0].shape[-2])

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0


class Spine:
    """The key-value states of one path of ids, batch 1, reused from pack to pack.

    Holds at most one path, so its memory is bounded by the model's longest input.
    """

    def __init__(self, layers: int) -> None:
        self.layers = [BufferLayer() for _ in range(layers)]
        self.ids: Ids | None = None

    @property
    def depth(self) -> int:
        """The number of ids whose states are held."""
        return 0 if self.ids is None else len(self.ids)

    def common(self, ids: Ids) -> int:
        """How many leading ids of `ids` are held."""
        return 0 if self.ids is None else shared_length(self.ids, ids)

    def truncate(self, depth: int) -> None:
        """Forget all but the first `depth` ids."""
        if self.ids is not None:
            self.ids = self.ids[:depth]
        for layer in self.layers:
            layer.length = min(layer.length, depth)

    def forget(self) -> None:
        """Give the memory back."""
        self.layers = [BufferLayer() for _ in self.layers]
        self.ids = None

    def growing(self) -> Cache:
        """A cache whose forward pass extends this path."""
        return Cache(layers=list(self.layers))

    def branching(self, depth: int) -> Cache | None:
        """A cache for rows of one forward pass on the first `depth` ids; None at depth 0."""
        if depth == 0:
            return None
        return Cache(layers=[PrefixLayer(*layer.parts(depth)) for layer in self.layers])

    def copied(self, depth: int, rows: int, room: int) -> Cache:
        """A growing cache of `rows` rows that begin with the first `depth` ids.

        It holds `room` more ids before it has to grow.
        """
        layers = []
        for held in self.layers:
            layer = BufferLayer(depth + room)
            if depth:
                keys, values = (part.expand(rows, -1, -1, -1) for part in held.parts(depth))
                layer.update(keys, values)
            layers.append(layer)
        return Cache(layers=layers)
