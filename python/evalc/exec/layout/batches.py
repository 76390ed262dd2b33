"""Cutting rows into padded batches of the least cost."""

from __future__ import annotations

from collections.abc import Sequence


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
