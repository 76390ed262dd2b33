"""Attention over a prefix tree on a GPU: one Triton program a chunk, over its whole path."""

from __future__ import annotations

import numpy as np
import torch

from evalc.contract.packs import Ids
from evalc.exec.kernels.launch import Chunks, attend_tree
from evalc.exec.layout.paths import PathStore
from evalc.exec.layout.tiles import Tile


class TreeAttention:
    """One pass through the layers of a model, as `exec.attention.TileAttention`.

    Segments are not cut here: a query's keys are taken in blocks from position 0 to the end of its
    chunk of positions, straight from their slots, so its sum is a function of its position.
    """

    def __init__(self, store: PathStore, chunks: Chunks, size: int) -> None:
        self.store, self.chunks, self.size, self.layer = store, chunks, size, 0

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        """The next layer: query [1, H, T, D], key and value [1, K, T, D] -> [1, T, H, D]."""
        layer, self.layer = self.layer, self.layer + 1
        self.store.write(layer, key[0], value[0])
        states = (self.store.keys[layer], self.store.values[layer])
        return attend_tree(query[0], states, self.chunks, self.size, scaling)[None]


def columns_of(tile: Tile) -> tuple[Ids, Ids, Ids, Ids]:
    """Rows, slots, offsets and lengths of the chunks of a tile, as `launch.Chunks` names them."""
    if tile.prefixes:
        raise ValueError("segments that are cut are attended by `TileAttention`")
    places = np.arange(len(tile.chunk_rows))
    rows = np.where(tile.own_at[tile.chunk_rows] == places, tile.chunk_rows, -1)
    counts = [chunk.count for chunk in tile.chunks]
    lengths = np.repeat([chunk.length for chunk in tile.chunks], counts)
    return rows, tile.chunk_keys, np.cumsum(lengths) - lengths, lengths
