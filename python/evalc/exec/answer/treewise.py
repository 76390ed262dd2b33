"""Scoring on the prefix tree: every distinct token of a pack is computed once."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch

from evalc.contract.packs import Ids, PackColumns
from evalc.exec.layout.forest import unread
from evalc.exec.layout.tiles import Tile
from evalc.exec.passes.engine import Engine, OutOfRoomError
from evalc.exec.passes.scores import Scores
from evalc.exec.passes.walking import walk


def score_tree(
    engine: Engine, columns: PackColumns, members: Sequence[int], scores: Scores
) -> None:
    """Score the targets of `members`, going on from the path that the engine holds."""
    targets = scores.targets
    order = np.argsort(targets.at, kind="stable")
    places, firsts = np.unique(targets.at[order], return_index=True)
    edges = np.append(firsts, len(order))
    scored = np.zeros(len(columns.tokens), dtype=np.bool_)
    scored[places] = True
    stream, held = unread(columns, members, engine.store.ids, scored, whole=False)

    def use(tile: Tile, rows: Ids, states: torch.Tensor) -> int:
        picks = np.searchsorted(places, stream.at[tile.begin + rows])
        counts = edges[picks + 1] - edges[picks]
        slots = [order[edges[pick] : edges[pick + 1]] for pick in picks]
        return scores.add(states, np.repeat(np.arange(len(picks)), counts), np.concatenate(slots))

    reason = None
    try:
        walk(engine, stream, held, np.flatnonzero(scored[stream.at]), use)
    except OutOfRoomError as full:
        reason = str(full)
    began = time.perf_counter()
    finished = scores.finish()
    engine.meter.count("prefill", finished, 0, time.perf_counter() - began)
    if reason is not None:
        left = np.unique(targets.owners[np.isnan(scores.values)]).tolist()
        scores.failures.update(dict.fromkeys(left, reason))
