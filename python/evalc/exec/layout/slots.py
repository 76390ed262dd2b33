"""Decode slots: rows of different lengths that take their next token together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from evalc.contract.packs import Ids
from evalc.exec.kernels.choice import Kernel
from evalc.exec.layout.paths import PathStore

SPAN = 512
"""Keys are attended in blocks of so many, counted from position 0; the last one is masked."""


class Rows(Protocol):
    """Rows that generate, counted densely, and what is held of them."""

    capacity: int

    def join(self, store: PathStore, paths: Sequence[Ids], inputs: Sequence[Ids]) -> None:
        """New rows for `inputs`, whose states lie in slots `paths` of `store`, by position."""

    def drop(self, number: int) -> None:
        """Remove a row; the last row takes its number."""


class Slots:
    """Key-value states of at most `capacity` rows, each by position in a buffer of its own.

    Buffers are [capacity, heads, room, width] for every layer. Row b holds `lengths[b]` ids, and
    zeros behind them.
    """

    def __init__(self, capacity: int, longest: int, kernel: Kernel) -> None:
        self.capacity = capacity
        self.room = -(-longest // SPAN) * SPAN
        self.kernel = kernel
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []
        self.lengths: Ids = np.zeros(0, dtype=np.int64)

    @property
    def count(self) -> int:
        """The number of rows."""
        return len(self.lengths)

    def join(self, store: PathStore, paths: Sequence[Ids], inputs: Sequence[Ids]) -> None:
        """New rows for `inputs`, whose states lie in slots `paths` of `store`, by position."""
        del inputs
        for slots in paths:
            self._join(store, slots)

    def _join(self, store: PathStore, slots: Ids) -> None:
        at = torch.from_numpy(slots).to(self.kernel.device)
        pairs = ((self.keys, store.keys), (self.values, store.values))
        for buffers, states in pairs:
            for layer, held in enumerate(states):
                if layer == len(buffers):
                    shape = (self.capacity, held.shape[0], self.room, held.shape[2])
                    buffers.append(held.new_empty(shape))
                row = buffers[layer][self.count]
                row[:, : len(slots)] = held.index_select(1, at)
                row[:, len(slots) :] = 0
        self.lengths = np.append(self.lengths, len(slots))

    def drop(self, number: int) -> None:
        """Remove a row; the last row takes its number."""
        row, last = number, self.count - 1
        if row != last:
            for buffers in (self.keys, self.values):
                for buffer in buffers:
                    buffer[row] = buffer[last]
            self.lengths[row] = self.lengths[last]
        self.lengths = self.lengths[:last]


class SlotAttention:
    """One decode step through the layers of a model: one new token for each row.

    A row is a batch element of its own, and its keys are taken in blocks from position 0, so its
    sums depend on its own length alone. `width` tokens pass through the model; those behind the
    rows are padding and attend to nothing.
    """

    def __init__(self, slots: Slots, width: int) -> None:
        device = slots.kernel.device
        self.slots, self.width, self.layer = slots, width, 0
        self.rows = torch.arange(slots.count, device=device)
        self.places = torch.from_numpy(slots.lengths).to(device)
        self.reach = (int(slots.lengths.max()) // SPAN + 1) * SPAN
        seen = torch.arange(self.reach, device=device) <= self.places[:, None]
        mask = torch.zeros(seen.shape, device=device).masked_fill(~seen, -torch.inf)
        self.mask = mask[:, None, None]

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        """The next layer: query [1, H, S, D], key and value [1, K, S, D] -> [1, S, H, D]."""
        layer, self.layer = self.layer, self.layer + 1
        slots, count = self.slots, self.slots.count
        keys, values = slots.keys[layer], slots.values[layer]
        for buffer, new in ((keys, key), (values, value)):
            buffer[self.rows, :, self.places] = new[0, :, :count].transpose(0, 1)
        heads, width = keys.shape[1], query.shape[-1]
        rows = query[0, :, :count].transpose(0, 1).reshape(count, heads, -1, width)
        mask = self.mask.expand(-1, -1, rows.shape[2], -1)
        near, these = keys[:count, :, : self.reach], values[:count, :, : self.reach]
        out, _ = slots.kernel(rows, near, these, scaling, mask)
        whole = out.new_zeros(1, self.width, query.shape[1], values.shape[-1])
        whole[0, :count] = out.reshape(count, query.shape[1], -1)
        return whole.to(query.dtype)


def positions_of(slots: Slots, width: int) -> Ids:
    """The depth of each row's new token, padded to `width`: int64[width]."""
    return np.concatenate([slots.lengths, np.zeros(width - slots.count, dtype=np.int64)])


def ids_of(last: Sequence[int], width: int) -> Ids:
    """The newest id of each row, padded to `width`: int64[width]."""
    return np.asarray([*last, *[0] * (width - len(last))], dtype=np.int64)
