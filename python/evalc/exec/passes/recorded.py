"""Passes over tiles of a tree on a GPU; those of the usual sizes are replayed."""

from __future__ import annotations

import numpy as np
import torch

from evalc.contract.packs import Ids
from evalc.exec.kernels.launch import Chunks
from evalc.exec.layout.paths import PathStore
from evalc.exec.layout.tiles import Tile
from evalc.exec.layout.transfer import moved
from evalc.exec.passes.attention import handed
from evalc.exec.passes.forward import Forward
from evalc.exec.passes.replay import Replayed, Replays
from evalc.exec.passes.tree_attention import TreeAttention, columns_of

TOKENS_OF_CHUNK = 4
"""A replayed pass has room for one chunk for so many tokens; a tile of more chunks runs plainly."""
SLOTS = 1 << 22
"""Slots that the chunks of a replayed pass may name, 4 bytes each."""


class Passes:
    """Computes tiles, on top of the path that a store holds."""

    def __init__(self, forward: Forward, store: PathStore, shared: Replays) -> None:
        self.forward, self.store, self.shared = forward, store, shared
        self.size = forward.shapes.chunk
        self._fixed: dict[int, FixedPass] = {}

    def states(self, tile: Tile, rows: Ids) -> torch.Tensor:
        """The states [K, width] of a tile's `rows`."""
        columns = columns_of(tile)
        fixed = self._replayed(tile, len(columns[3]), len(columns[1]))
        if fixed is not None:
            return fixed.states(tile, columns, moved(rows, self.forward.device))
        device = self.forward.device
        packed = moved(np.concatenate(columns).astype(np.int32), device)
        chunks = Chunks(*torch.split(packed, [len(column) for column in columns]))
        return self.forward.run(
            tile.ids[None],
            np.zeros(len(rows), dtype=np.int64),
            rows,
            position_ids=moved(tile.positions[None], device),
            **handed(TreeAttention(self.store, chunks, self.size)),
        ).picked

    def forget(self) -> None:
        """Give the memory of recorded passes back."""
        self._fixed.clear()

    def _replayed(self, tile: Tile, chunks: int, slots: int) -> FixedPass | None:
        """The recorded pass that holds a tile; None where there is none."""
        width, forward = len(tile.ids), self.forward
        constant = forward.shapes.padded or width == forward.shapes.tile
        if forward.full or not constant or not self.shared.possible:
            return None
        most = max(1, width // TOKENS_OF_CHUNK)
        if chunks > most or slots > SLOTS:
            return None
        held = self._fixed.get(width)
        if held is None or held.kept is not self.store.kept:
            held = self._fixed[width] = FixedPass(self, width, most)
        return held


class FixedPass:
    """A pass over `width` tokens in at most `most` chunks, whose tensors stay where they are."""

    def __init__(self, passes: Passes, width: int, most: int) -> None:
        self.forward, self.width, self.most, self.size = passes.forward, width, most, passes.size
        self.store, self.kept = passes.store, passes.store.kept
        device = self.forward.device
        longest = len(self.store.slots) + self.size
        slots = min(SLOTS, most * longest)
        self.sizes = (width, width, most * self.size, most, most, slots)
        self.columns = torch.zeros(sum(self.sizes), dtype=torch.int32, device=device)
        everyone = torch.arange(width, device=device)
        self.picked_at = (torch.zeros_like(everyone), everyone)
        self.found: torch.Tensor | None = None
        self.run = Replayed(passes.shared)

    def states(
        self, tile: Tile, columns: tuple[Ids, Ids, Ids, Ids], rows: torch.Tensor
    ) -> torch.Tensor:
        """The states [K, width] of a tile's `rows`, whose chunks are `columns`."""
        chunk_rows, slots, offsets, lengths = columns
        used = np.zeros(sum(self.sizes[:-1]) + len(slots), dtype=np.int32)
        parts = np.split(used, np.cumsum(self.sizes[:-1]))
        parts[0][:], parts[1][:] = tile.ids, tile.positions
        parts[2][:] = -1
        parts[2][: len(chunk_rows)] = chunk_rows
        parts[3][: len(offsets)], parts[4][: len(lengths)] = offsets, lengths
        parts[5][:] = slots
        self.columns[: len(used)].copy_(moved(used, self.forward.device))
        self.forward.tokens += self.width
        self.run(self._compute)
        assert self.found is not None
        return self.found.index_select(0, rows)

    def _compute(self) -> None:
        forward, tokens = self.forward, self.forward.tokens
        ids, positions, rows, offsets, lengths, slots = torch.split(self.columns, list(self.sizes))
        chunks = Chunks(rows, slots, offsets, lengths)
        self.found = forward.run_on(
            ids.long()[None],
            self.picked_at,
            position_ids=positions.long()[None],
            **handed(TreeAttention(self.store, chunks, self.size)),
        ).picked
        forward.tokens = tokens
