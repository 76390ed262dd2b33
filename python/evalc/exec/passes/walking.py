"""Passing a stream of tree tokens through the model, tile by tile."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from evalc.contract.packs import Ids
from evalc.exec.layout.forest import Stream
from evalc.exec.layout.tiles import Tile, next_tile
from evalc.exec.layout.transfer import moved
from evalc.exec.memory.budget import attempted
from evalc.exec.passes.attention import TileAttention, handed
from evalc.exec.passes.engine import Engine

Use = Callable[[Tile, Ids, torch.Tensor], int]


def walk(engine: Engine, stream: Stream, held: int, wanted: Ids, use: Use) -> None:
    """Compute every token of `stream` once, on top of the first `held` ids of the path.

    `use(tile, rows, states)` is given the states of the stream's tokens `wanted` (ascending) that
    are in a tile, by the rows they are in, and returns how many requests that finished.
    Raises OutOfRoomError when not even the smallest tile fits.
    """
    store = engine.store
    store.truncate(held)
    if not len(stream):
        return
    store.room(int(stream.positions.max()) + 1)
    path = np.zeros(len(store.slots), dtype=np.int64)
    path[:held] = store.ids
    begin = 0
    while begin < len(stream):
        began = time.perf_counter()
        size = engine.tile_tokens(len(stream) - begin)
        tile = next_tile(stream, begin, size, (store.slots, path), engine.shapes)
        end = begin + tile.count
        first, last = np.searchsorted(wanted, [begin, end])
        rows = wanted[first:last] - begin
        states = computed(engine, tile, rows)
        if states is None:
            engine.shrink_tile(size)
            continue
        finished = use(tile, rows, states) if len(rows) else 0
        depth = int(stream.positions[end]) if end < len(stream) else len(tile.path)
        store.keep(tile.slots[:depth], tile.path[:depth])
        path[:depth] = tile.path[:depth]
        spent = time.perf_counter() - began
        engine.meter.count("prefill", finished, tile.count, spent, len(tile.ids) - tile.count)
        begin = end


def computed(engine: Engine, tile: Tile, rows: Ids) -> torch.Tensor | None:
    """The states of a tile's `rows`; None when memory ran out."""
    forward = engine.forward

    def work() -> torch.Tensor:
        if engine.passes is not None:
            return engine.passes.states(tile, rows)
        running = TileAttention(engine.store, tile, engine.shapes, engine.kernel)
        return forward.run(
            tile.ids[None],
            np.zeros(len(rows), dtype=np.int64),
            rows,
            position_ids=moved(tile.positions[None], forward.device),
            **handed(running),
        ).picked

    return attempted(work)
