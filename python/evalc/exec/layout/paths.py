"""Key-value states of one path of ids and of the tile being computed on top of it."""

from __future__ import annotations

import numpy as np
import torch

from evalc.contract.packs import Ids
from evalc.exec.layout.transfer import moved

GRANULE = 256


class PathStore:
    """States of every layer: `tile` slots of the running tile, then the held path by position.

    The state at position p of the held path is in slot `tile + p`. Nothing but one path is kept
    from tile to tile, in depth-first order the path of what comes next, so the memory is bounded by
    the longest input. `kept` is another object whenever states have moved to other memory; there
    is room for a multiple of `granule` positions.
    """

    def __init__(self, tile: int, granule: int = GRANULE) -> None:
        self.tile, self.granule = tile, granule
        self.kept = object()
        self.ids: Ids = np.zeros(0, dtype=np.int64)
        self.slots: Ids = np.zeros(0, dtype=np.int64)
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []

    def room(self, positions: int) -> None:
        """Make place for a path of `positions` ids."""
        if positions > len(self.slots):
            grown = -(-positions // self.granule) * self.granule
            self.kept = object()
            self.slots = np.concatenate(
                [self.slots, self.tile + np.arange(len(self.slots), grown, dtype=np.int64)]
            )
        wanted = self.tile + len(self.slots)
        for states in (self.keys, self.values):
            for layer, held in enumerate(states):
                if held.shape[1] < wanted:
                    fresh = held.new_zeros(held.shape[0], wanted, held.shape[2])
                    fresh[:, : held.shape[1]] = held
                    states[layer] = fresh

    def write(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Put a tile's states [heads, T, width] of one layer into the tile's slots."""
        if layer == len(self.keys):
            wanted = self.tile + len(self.slots)
            # both or neither, should memory run out in between
            fresh = [new.new_zeros(new.shape[0], wanted, new.shape[2]) for new in (keys, values)]
            self.keys.append(fresh[0])
            self.values.append(fresh[1])
        self.keys[layer][:, : keys.shape[1]] = keys
        self.values[layer][:, : values.shape[1]] = values

    def keep(self, slots: Ids, ids: Ids) -> None:
        """Hold the path whose states are in `slots`, position by position; all else is free."""
        new = np.flatnonzero(slots < self.tile)
        if len(new):
            begin, end = int(new[0]), int(new[-1]) + 1
            source = moved(slots[begin:end], self.keys[0].device)
            # what is overwritten is no longer held, should memory run out on the way
            self.truncate(begin)
            for states in (self.keys, self.values):
                for held in states:
                    part = held.index_select(1, source)
                    held[:, self.tile + begin : self.tile + end] = part
        self.ids = ids

    def truncate(self, depth: int) -> None:
        """Hold the first `depth` ids only."""
        self.ids = self.ids[:depth]

    def forget(self) -> None:
        """Give the memory back."""
        self.kept = object()
        self.ids = self.ids[:0]
        self.slots = self.slots[:0]
        self.keys.clear()
        self.values.clear()
