"""Decode slots: rows of different lengths that take their next token together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache

from evalc.exec.caches import GRANULE, BufferLayer


class Slots:
    """Key-value states of B rows of a full-attention model.

    Row b holds its first `packed[b]` ids in columns 0.. and what it decoded since the last `join`
    in columns `base`..; the columns between are a hole that its mask leaves out.
    """

    def __init__(self, layers: int, device: torch.device) -> None:
        self.layers = [BufferLayer() for _ in range(layers)]
        self.device = device
        self.packed = torch.zeros(0, dtype=torch.long, device=device)
        self.base = 0

    @property
    def count(self) -> int:
        """The number of rows."""
        return len(self.packed)

    @property
    def columns(self) -> int:
        """Columns in use, holes included."""
        return self.layers[0].length if self.layers else 0

    def options(self) -> dict[str, Any]:
        """What a forward pass of one new id per row needs beside the ids [B, 1]."""
        width = self.columns + 1
        column = torch.arange(width, device=self.device)
        seen = (column < self.packed[:, None]) | (column >= self.base)
        lengths = self.packed + (self.columns - self.base)
        return {
            "past_key_values": Cache(layers=list(self.layers)),
            "position_ids": lengths[:, None],
            "attention_mask": None if bool(seen.all()) else seen.long(),
        }

    def drop(self, row: int) -> None:
        """Remove a row; the last row takes its place."""
        last = self.count - 1
        for layer in self.layers:
            if layer.buffers is None:
                continue
            for part in layer.buffers:
                part[row, :, : layer.length] = part[last, :, : layer.length]
            keys, values = layer.buffers
            layer.buffers = (keys[:last], values[:last])
        self.packed[row] = self.packed[last]
        self.packed = self.packed[:last]

    def rewind(self, columns: int) -> None:
        """Forget what a failed pass appended after the first `columns` columns."""
        for layer in self.layers:
            layer.length = min(layer.length, columns)

    def join(self, joined: Cache, lengths: Sequence[int]) -> None:
        """Append the rows of another cache; holes close as every row moves to the first columns.

        `joined` has `BufferLayer`s whose row r holds `lengths[r]` ids in its first columns.
        Nothing changes when memory runs out on the way.
        """
        grown = self.packed + (self.columns - self.base)
        fresh = torch.as_tensor(list(lengths), dtype=torch.long, device=self.device)
        packed = torch.cat([grown, fresh])
        width = int(packed.max())
        source = self._columns_of(width)
        self.layers = [
            _merged(layer, other, source, width)
            for layer, other in zip(self.layers, joined.layers, strict=True)
        ]
        self.packed, self.base = packed, width

    def _columns_of(self, width: int) -> torch.Tensor:
        """For each row and new column, the column that its id comes from: long[B, width]."""
        column = torch.arange(width, device=self.device).expand(self.count, -1)
        packed = self.packed[:, None]
        moved = torch.where(column < packed, column, self.base + column - packed)
        return moved.clamp(max=max(self.columns - 1, 0))


def _merged(
    layer: BufferLayer, other: BufferLayer, source: torch.Tensor, width: int
) -> BufferLayer:
    """The rows of `layer`, gathered, above those of `other`, cut or padded to `width`."""
    count = len(source)
    old = layer.parts(layer.length) if count else None
    new = other.parts(min(other.length, width))
    buffers = []
    for kind, sample in enumerate(new):
        fresh, heads, held, size = sample.shape
        buffer = sample.new_zeros(count + fresh, heads, width + GRANULE, size)
        if old is not None:
            index = source[:, None, :, None].expand(-1, heads, -1, size)
            buffer[:count, :, :width] = old[kind].gather(2, index)
        buffer[count:, :, :held] = sample
        buffers.append(buffer)
    result = BufferLayer(width + GRANULE)
    result.buffers = (buffers[0], buffers[1])
    result.length = width
    result.is_initialized = True
    return result
