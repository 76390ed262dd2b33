"""Which shared prefixes are worth computing once: a cost model over sorted rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from evalc.exec.packs import Ids
from evalc.exec.rows import Rows

MAX_LEVEL = 48


@dataclass(slots=True)
class Branch:
    """Work on top of one prefix.

    The first `depth` ids of every row in `span` are equal; they are computed once. `pooled` rows
    then run as padded batches from `depth`; `children` extend the prefix further.
    """

    depth: int
    span: range
    pooled: list[int] = field(default_factory=list)
    children: list[Branch] = field(default_factory=list)


def grown(rows: Rows, overhead: int, base: int = 0) -> Branch:
    """The cheapest found way to compute `rows`, in computed tokens.

    `overhead` is what one more forward pass costs, in tokens; the first `base` ids of all rows
    are already computed.
    """
    lengths = np.asarray([len(row.ids) for row in rows.rows], dtype=np.int64)
    return _Growth(lengths, rows.shared, overhead).branch(range(len(lengths)), base, 0)[1]


def flat(rows: Rows) -> Branch:
    """Every row from its first id: nothing is shared."""
    span = range(len(rows.rows))
    return Branch(depth=0, span=span, pooled=list(span))


@dataclass(frozen=True, slots=True)
class _Growth:
    """Rows by their lengths and by what neighbours share, and the cost of a pass in tokens."""

    lengths: Ids
    shared: Ids
    overhead: int

    def branch(self, span: range, base: int, level: int) -> tuple[int, Branch]:
        """The cost and the shape of the work on `span` when `base` ids are there already."""
        count = len(span)
        if count < 2 or level >= MAX_LEVEL:
            return self._suffixes(span, base) + self.overhead, Branch(base, span, list(span))
        common = max(int(self.shared[span.start + 1 : span.stop].min()), base)
        depth = common if (count - 1) * (common - base) > self.overhead else base
        branch = Branch(depth, span)
        cost = (depth - base + self.overhead) if depth > base else 0
        for child in _children(self.shared, span, common):
            suffixes = self._suffixes(child, depth)
            if len(child) > 1:
                nested, deeper = self.branch(child, depth, level + 1)
                if nested < suffixes:
                    branch.children.append(deeper)
                    cost += nested
                    continue
            branch.pooled.extend(child)
            cost += suffixes
        if branch.pooled:
            cost += self.overhead
        return cost, branch

    def _suffixes(self, span: range, depth: int) -> int:
        return int(self.lengths[span.start : span.stop].sum()) - depth * len(span)


def _children(shared: Ids, span: range, common: int) -> list[range]:
    """The runs of rows that share more than `common` ids."""
    cuts = np.flatnonzero(shared[span.start + 1 : span.stop] <= common) + span.start + 1
    edges = [span.start, *cuts.tolist(), span.stop]
    return [range(start, stop) for start, stop in pairwise(edges)]


def cut(
    suffixes: Sequence[int], max_rows: int, max_tokens: int, overhead: int
) -> list[tuple[int, int]]:
    """Split rows of ascending lengths into padded batches of the least cost.

    A batch holds at most `max_rows` rows and, unless it is a single row, at most `max_tokens`
    padded tokens. Its cost is rows x longest + `overhead`. Returns half-open ranges.
    """
    best = [0.0]
    origin = [0]
    for stop in range(1, len(suffixes) + 1):
        longest = suffixes[stop - 1]
        widest = max(1, min(max_rows, max_tokens // max(longest, 1), stop))
        starts = range(stop - widest, stop)
        cost, start = min((best[s] + (stop - s) * longest + overhead, s) for s in starts)
        best.append(cost)
        origin.append(start)
    ranges = []
    stop = len(suffixes)
    while stop > 0:
        ranges.append((origin[stop], stop))
        stop = origin[stop]
    return ranges[::-1]
