"""Bringing the spine to a prefix: computing what it does not hold yet."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from transformers.cache_utils import DynamicCache

from evalc.exec.budget import Budget, is_out_of_memory, release
from evalc.exec.caches import Spine
from evalc.exec.capability import Capability
from evalc.exec.forward import Forward
from evalc.exec.kernels import Kernel
from evalc.exec.packs import Ids
from evalc.exec.paths import PathStore
from evalc.exec.progress import Meter
from evalc.exec.shapes import Shapes

Scorer = Callable[[torch.Tensor, Ids], int]


class OutOfRoomError(Exception):
    """Not even the smallest pass over rows of `length` fits into memory."""

    def __init__(self, length: int) -> None:
        self.length = length
        super().__init__(f"a row of {length} tokens does not fit into memory")


@dataclass(slots=True)
class Engine:
    """What both kinds of packs share: the model, its path, its memory and its counters."""

    forward: Forward
    capability: Capability
    spine: Spine
    store: PathStore
    kernel: Kernel
    budget: Budget
    meter: Meter
    max_length: int
    tile: int

    @classmethod
    def of(cls, forward: Forward, capability: Capability, budget: Budget, meter: Meter) -> Engine:
        """An engine with an empty spine."""
        decoder = forward.loaded.decoder
        layers = len(DynamicCache(config=decoder).layers) if capability.path == "tree" else 0
        limit, tile = forward.loaded.source.max_length, forward.shapes.tile
        store, kernel = PathStore(tile), Kernel(forward.device)
        return cls(forward, capability, Spine(layers), store, kernel, budget, meter, limit, tile)

    @property
    def shapes(self) -> Shapes:
        """The shapes at which everything is computed."""
        return self.forward.shapes

    def tile_tokens(self) -> int:
        """Tokens of the next tile."""
        limit = self.forward.token_limit()
        return self.tile if limit is None else min(self.tile, limit)

    def shrink_tile(self, size: int) -> None:
        """After a tile of `size` without memory: a smaller one, where shapes may vary.

        Raises OutOfRoomError where they may not, or at the bottom.
        """
        release()
        if self.shapes.padded or size <= 1:
            raise OutOfRoomError(size)
        self.tile = size // 2
        self.meter.observer.note(f"out of memory: passes now hold {self.tile} tokens")

    def pass_tokens(self, length: int) -> int:
        """Tokens that one pass over rows of `length` may compute."""
        allowed = self.budget.tokens_for(length)
        limit = self.forward.token_limit()
        return allowed if limit is None else min(allowed, limit)

    def shrink(self, length: int) -> None:
        """Halve the budget of a length class. Raises OutOfRoomError at the bottom."""
        release()
        if self.budget.tokens_for(length) <= 1:
            raise OutOfRoomError(length)
        self.budget.halve(length)
        tokens = self.budget.tokens_for(length)
        self.meter.observer.note(
            f"out of memory at rows of about {length} tokens: passes now hold {tokens}"
        )


def extend(engine: Engine, path: Ids, wanted: Ids, scorer: Scorer) -> None:
    """Make the spine begin with `path`, handing states at positions `wanted` to `scorer`.

    `wanted` ascends. What the spine already holds is kept up to the first wanted position.
    `scorer(picked, positions)` returns how many requests it finished.
    """
    spine = engine.spine
    if not len(wanted) and spine.common(path) == len(path):
        return
    spine.truncate(min(spine.common(path), int(wanted[0]) if len(wanted) else len(path)))
    while spine.depth < len(path):
        start = spine.depth
        piece = path[start : start + engine.pass_tokens(len(path))]
        at = wanted[(wanted >= start) & (wanted < start + len(piece))]
        began = time.perf_counter()
        try:
            picked = _grow(engine, piece, start, at)
            spine.ids = path[: start + len(piece)]
            finished = scorer(picked, at) if len(at) else 0
        except RuntimeError as failure:
            if not is_out_of_memory(failure):
                raise
            picked = None
        if picked is None:
            spine.truncate(start)
            engine.shrink(len(path))
            continue
        engine.meter.count("prefill", finished, len(piece), time.perf_counter() - began)


def _grow(engine: Engine, piece: Ids, start: int, at: Ids) -> torch.Tensor:
    positions = torch.arange(start, start + len(piece), device=engine.forward.device)
    return engine.forward.run(
        piece[None],
        np.zeros(len(at), dtype=np.int64),
        at - start,
        past_key_values=engine.spine.growing(),
        position_ids=positions[None],
    ).picked
