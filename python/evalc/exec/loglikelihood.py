"""Running a pack of log-likelihood requests."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from evalc.exec.branches import Branch, cut, flat, grown
from evalc.exec.budget import is_out_of_memory
from evalc.exec.forward import padded
from evalc.exec.outcomes import Outcomes, likelihood_payload
from evalc.exec.packs import Ids, PackColumns
from evalc.exec.prefixes import Engine, OutOfRoomError, extend
from evalc.exec.rows import Row, scored_rows

MAX_ROWS = 128
ATTENDED = 8


def run_loglikelihoods(engine: Engine, columns: PackColumns) -> Outcomes:
    """Score every request of a pack; a non-finite score is a failure, never a record."""
    tail = int(columns.req_cont.max(initial=0))
    outcomes = Outcomes()
    fitting = []
    for request in range(len(columns)):
        node = columns.req_node[request]
        size = columns.node_offsets[node + 1] - columns.node_offsets[node]
        length = int(columns.node_start[node] + size)
        if length - 1 > engine.max_length:
            outcomes.failures[request] = (
                f"its {length} tokens exceed the model's length of {engine.max_length}"
            )
        else:
            fitting.append(request)
    if fitting and tail:
        _Scoring(engine, columns, fitting).into(outcomes)
    return outcomes


class _Scoring:
    """The scored tokens of one pack: one slot per token, requests side by side."""

    def __init__(self, engine: Engine, columns: PackColumns, members: Sequence[int]) -> None:
        self.engine = engine
        self.columns = columns
        self.members = members
        counts = np.zeros(len(columns), dtype=np.int64)
        counts[members] = columns.req_cont[members]
        self.slots = np.concatenate([[0], np.cumsum(counts)])
        self.owners = np.repeat(np.arange(len(columns)), counts)
        self.left = counts
        self.values: npt.NDArray[np.float64] = np.full(int(self.slots[-1]), np.nan)
        self.greedy: npt.NDArray[np.bool_] = np.zeros(int(self.slots[-1]), dtype=np.bool_)
        self.roomless: dict[int, str] = {}
        self.rows = scored_rows(columns, members, self.slots)

    def into(self, outcomes: Outcomes) -> None:
        """Run everything and add a payload or a failure for each member."""
        engine = self.engine
        if engine.capability.path == "shared":
            base = self._held()
            self._branch(grown(self.rows, engine.budget.overhead, base), base)
        else:
            self._pool(flat(self.rows))
        for request in self.members:
            if request in self.roomless:
                outcomes.failures[request] = self.roomless[request]
                continue
            part = slice(int(self.slots[request]), int(self.slots[request + 1]))
            total = float(self.values[part].sum())
            if np.isfinite(total):
                greedy = bool(self.greedy[part].all())
                count = part.stop - part.start
                outcomes.payloads[request] = likelihood_payload(total, greedy, count)
            else:
                outcomes.failures[request] = "the model gave a NaN or infinite logit"

    def _held(self) -> int:
        """How many first ids of all rows the spine holds and nobody scores."""
        rows, spine = self.rows.rows, self.engine.spine
        common = min(spine.common(rows[0].ids), spine.common(rows[-1].ids))
        return min(common, *(int(row.at[0]) for row in rows))

    def _branch(self, branch: Branch, done: int) -> None:
        """Run a branch; targets before `done` are scored already."""
        below = [self.rows.rows[index] for index in branch.span]
        if branch.depth > done:
            early = [row.at[(row.at >= done) & (row.at < branch.depth)] for row in below]
            try:
                extend(
                    self.engine,
                    below[0].ids[: branch.depth],
                    np.unique(np.concatenate(early)),
                    lambda picked, at: self._score_path(picked, at, below),
                )
            except OutOfRoomError as full:
                self._give_up(below, full)
                return
        self._pool(branch)
        for child in branch.children:
            self._branch(child, branch.depth)

    def _score_path(self, picked: torch.Tensor, at: Ids, below: Sequence[Row]) -> int:
        """Score what the rows below a path want at its positions `at`."""
        low, high = int(at[0]), int(at[-1])
        parts = [slice(*np.searchsorted(row.at, [low, high + 1])) for row in below]
        pairs = list(zip(below, parts, strict=True))
        where = np.searchsorted(at, np.concatenate([row.at[part] for row, part in pairs]))
        order = np.argsort(where, kind="stable")
        tokens = np.concatenate([row.tokens[part] for row, part in pairs])
        slots = np.concatenate([row.slots[part] for row, part in pairs])
        return self._score(picked, where[order], tokens[order], slots[order])

    def _score(self, picked: torch.Tensor, index: Ids, tokens: Ids, slots: Ids) -> int:
        values, greedy = self.engine.forward.scores(picked, index, tokens)
        self.values[slots], self.greedy[slots] = values, greedy
        owners, counts = np.unique(self.owners[slots], return_counts=True)
        self.left[owners] -= counts
        return int((self.left[owners] == 0).sum())

    def _pool(self, branch: Branch) -> None:
        """Run the pooled rows of a branch as padded batches on top of its prefix."""
        rows = self.rows.rows
        uniform = self.engine.capability.path == "uniform"
        waiting = sorted(branch.pooled, key=lambda index: len(rows[index].ids))
        while waiting:
            batches = self._cut(waiting, branch.depth, uniform)
            for start, stop in batches:
                batch = [rows[index] for index in waiting[start:stop]]
                if self._ran(batch, branch.depth):
                    continue
                try:
                    self._shrink(batch, branch.depth)
                    waiting = waiting[start:]
                except OutOfRoomError as full:
                    self._give_up(batch, full)
                    waiting = waiting[stop:]
                break
            else:
                return

    def _cut(self, waiting: Sequence[int], depth: int, uniform: bool) -> list[tuple[int, int]]:
        lengths = [len(self.rows.rows[index].ids) for index in waiting]
        tokens = self.engine.pass_tokens(lengths[-1])
        most = max(1, min(MAX_ROWS, ATTENDED * tokens // lengths[-1]))
        overhead = self.engine.budget.overhead
        if not uniform:
            return cut([length - depth for length in lengths], most, tokens, overhead)
        ranges = []
        start = 0
        for length in sorted(set(lengths)):
            count = lengths.count(length)
            for low, high in cut([length] * count, most, tokens, overhead):
                ranges.append((start + low, start + high))
            start += count
        return ranges

    def _shrink(self, batch: Sequence[Row], depth: int) -> None:
        length = len(batch[-1].ids)
        if len(batch) == 1:
            raise OutOfRoomError(length)
        size = len(batch) * (length - depth)
        while self.engine.pass_tokens(length) > size // 2:
            self.engine.shrink(length)

    def _give_up(self, rows: Sequence[Row], full: OutOfRoomError) -> None:
        for row in rows:
            for request in np.unique(self.owners[row.slots]).tolist():
                self.roomless[request] = str(full)

    def _ran(self, batch: Sequence[Row], depth: int) -> bool:
        """Run one padded batch; False when memory ran out."""
        began = time.perf_counter()
        try:
            finished, tokens = self._run(batch, depth)
        except RuntimeError as failure:
            if not is_out_of_memory(failure):
                raise
            return False
        self.engine.meter.count("prefill", finished, tokens, time.perf_counter() - began)
        return True

    def _run(self, batch: Sequence[Row], depth: int) -> tuple[int, int]:
        ids = padded([row.ids[depth:] for row in batch])
        firsts = [int(np.searchsorted(row.at, depth)) for row in batch]
        places = [np.unique(row.at[first:]) for row, first in zip(batch, firsts, strict=True)]
        counts = [len(place) for place in places]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        index = np.concatenate(
            [
                offsets[number] + np.searchsorted(places[number], row.at[first:])
                for number, (row, first) in enumerate(zip(batch, firsts, strict=True))
            ]
        )
        picked = self.engine.forward.run(
            ids,
            np.repeat(np.arange(len(batch)), counts),
            np.concatenate(places) - depth,
            **self._on_prefix(depth, ids.shape),
        ).picked
        pairs = list(zip(batch, firsts, strict=True))
        tokens = np.concatenate([row.tokens[first:] for row, first in pairs])
        slots = np.concatenate([row.slots[first:] for row, first in pairs])
        return self._score(picked, index, tokens, slots), ids.size

    def _on_prefix(self, depth: int, shape: tuple[int, ...]) -> dict[str, Any]:
        cache = self.engine.spine.branching(depth)
        if cache is None:
            return {}
        positions = torch.arange(depth, depth + shape[1], device=self.engine.forward.device)
        return {
            "past_key_values": cache,
            "position_ids": positions.expand(shape[0], -1),
        }
