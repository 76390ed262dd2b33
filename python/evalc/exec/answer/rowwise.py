"""Scoring on rows, for models whose prefixes cannot be shared."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from evalc.contract.packs import PackColumns
from evalc.exec.layout.batches import cut
from evalc.exec.layout.rows import Row, scored_rows
from evalc.exec.memory.budget import attempted
from evalc.exec.passes.engine import Engine, OutOfRoomError
from evalc.exec.passes.forward import padded
from evalc.exec.passes.scores import Scores

MAX_ROWS = 128
ATTENDED = 8


def score_rows(
    engine: Engine, columns: PackColumns, members: Sequence[int], scores: Scores
) -> None:
    """Score the targets of `members`, each row from its first id.

    Where shapes are padded a row is computed alone, at its own length, and serves only requests of
    the same input: its sums then depend on nothing else. So does one of a model whose rotary
    frequencies follow the length: a shorter row has others.
    """
    slots = np.zeros(len(columns) + 1, dtype=np.int64)
    slots[list(members)] = np.searchsorted(scores.targets.owners, members)
    alone = engine.shapes.padded or engine.shifting
    rows = sorted(scored_rows(columns, members, slots, alone), key=lambda row: len(row.ids))
    waiting: list[Row] = list(rows)
    while waiting:
        for start, stop in _batches(engine, waiting):
            batch = waiting[start:stop]
            if _ran(engine, batch, scores):
                continue
            try:
                _shrink(engine, batch)
                waiting = waiting[start:]
            except OutOfRoomError as full:
                owners = np.unique(scores.targets.owners[batch[0].slots]).tolist()
                scores.failures.update(dict.fromkeys(owners, str(full)))
                waiting = waiting[stop:]
            break
        else:
            waiting = []
    began = time.perf_counter()
    finished = scores.finish()
    engine.meter.count("prefill", finished, 0, time.perf_counter() - began)


def _batches(engine: Engine, waiting: Sequence[Row]) -> list[tuple[int, int]]:
    """Half-open ranges of rows that run together."""
    if engine.shapes.padded:
        return [(place, place + 1) for place in range(len(waiting))]
    lengths = [len(row.ids) for row in waiting]
    tokens = engine.pass_tokens(lengths[-1])
    most = max(1, min(MAX_ROWS, ATTENDED * tokens // lengths[-1]))
    overhead = engine.budget.overhead
    if engine.capability.path != "uniform":
        return cut(lengths, most, tokens, overhead)
    ranges = []
    start = 0
    for length in sorted(set(lengths)):
        count = lengths.count(length)
        ranges += [
            (start + low, start + high)
            for low, high in cut([length] * count, most, tokens, overhead)
        ]
        start += count
    return ranges


def _shrink(engine: Engine, batch: Sequence[Row]) -> None:
    length = len(batch[-1].ids)
    if len(batch) == 1:
        raise OutOfRoomError(length)
    while engine.pass_tokens(length) > len(batch) * length // 2:
        engine.shrink(length)


def _ran(engine: Engine, batch: Sequence[Row], scores: Scores) -> bool:
    """Run one padded batch; False when memory ran out."""
    began = time.perf_counter()
    ids = padded([row.ids for row in batch])
    places = [np.unique(row.at) for row in batch]
    counts = [len(place) for place in places]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    index = np.concatenate(
        [
            offsets[number] + np.searchsorted(places[number], row.at)
            for number, row in enumerate(batch)
        ]
    )
    rows, cols = np.repeat(np.arange(len(batch)), counts), np.concatenate(places)
    passed = attempted(lambda: engine.forward.run(ids, rows, cols))
    if passed is None:
        return False
    finished = scores.add(passed.picked, index, np.concatenate([row.slots for row in batch]))
    read = sum(len(row.ids) for row in batch)
    spent = time.perf_counter() - began
    engine.meter.count("prefill", finished, read, spent, ids.size - read)
    return True
