"""Cutting a stream of tree tokens into tiles, and what each token of a tile attends to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from evalc.contract.packs import Ids
from evalc.exec.layout.forest import Stream
from evalc.exec.layout.shapes import Shapes

ALIGNED = 32
"""Rows of what is computed per row and head come in multiples of so many: beyond the last whole
vector a CPU computes element by element, with other bits."""


@dataclass(frozen=True, slots=True)
class Chunks:
    """`count` chunks from `first` on that attend `length` keys each, those from `offset` on."""

    first: int
    count: int
    length: int
    offset: int


@dataclass(frozen=True, slots=True)
class Prefix:
    """Groups of queries that attend the same whole segments: `count` groups of `size` rows.

    They begin at `first` in the tile's group rows. `keys` are the slots of positions 0 to
    `length`, or None where those are the held ones.
    """

    first: int
    count: int
    size: int
    length: int
    keys: Ids | None


@dataclass(frozen=True, slots=True)
class Tile:
    """One pass: T tokens of a tree, some of them padding, and the plan of their attention.

    Tokens `begin` to `begin + count` of the stream are rows 0 to `count`. `chunk_rows` [C * chunk]
    and `group_rows` name the rows that attend together, `own_at` and `prefix_at` [A] where the
    results of each row lie among those, `prefix_at` behind them all for rows without whole
    segments. A is T or the next multiple of `ALIGNED`; results behind T are nobody's. `slots` and
    `path` are the slots and ids, by position, of the path to the last token, `below` the slots that
    the tile found.
    """

    begin: int
    count: int
    ids: Ids
    positions: Ids
    chunks: Sequence[Chunks]
    chunk_rows: Ids
    chunk_keys: Ids
    own_at: Ids
    prefixes: Sequence[Prefix]
    group_rows: Ids
    prefix_at: Ids
    slots: Ids
    path: Ids
    below: Ids


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Rows `row`.. at the places `place`.. of a chunk, and the slots of its keys."""

    row: int
    place: int
    count: int
    keys: Ids


@dataclass(slots=True)
class _Draft:
    """A tile in the making: `slots` and `path` belong to the token that was placed last."""

    shapes: Shapes
    slots: Ids
    path: Ids
    chunks: dict[int, list[_Chunk]] = field(default_factory=dict)
    prefixes: dict[tuple[int, int], tuple[Ids, list[int]]] = field(default_factory=dict)

    def place(self, row: int, start: int, ids: Ids) -> None:
        """Rows `row`.. hold `ids` at positions `start`.. on top of the current path."""
        end = start + len(ids)
        self.slots[start:end] = np.arange(row, row + len(ids))
        self.path[start:end] = ids
        chunk = self.shapes.chunk
        for low in range(start - start % chunk, end, chunk):
            first, last = max(low, start), min(low + chunk, end)
            self._chunk(low, first, last, row + first - start)

    def _chunk(self, low: int, first: int, last: int, row: int) -> None:
        """Positions `first` to `last` of the chunk that begins at `low`, in rows from `row` on."""
        segment, count = self.shapes.segment, last - first
        base = low - low % segment
        keys = self.slots[base : low + self.shapes.chunk].copy()
        # What follows the last one is masked, but must not be anybody else's: that may be NaN.
        keys[last - base :] = row
        self.chunks.setdefault(len(keys), []).append(_Chunk(row, first - low, count, keys))
        if base:
            known = (base, int(self.slots[base - 1]))
            if known not in self.prefixes:
                self.prefixes[known] = (self.slots[:base].copy(), [])
            self.prefixes[known][1].extend(range(row, row + count))


def next_tile(stream: Stream, begin: int, size: int, held: tuple[Ids, Ids], shapes: Shapes) -> Tile:
    """The tile of at most `size` tokens that begins with the stream's token `begin`.

    `held` are the slots and ids of the path so far, by position, with room for the longest one.
    """
    stop = min(begin + size, len(stream))
    draft = _Draft(shapes, held[0].copy(), held[1].copy())
    low = begin
    while low < stop:
        edge = int(np.searchsorted(stream.edges, low, side="right"))
        high = min(int(stream.edges[edge]), stop)
        draft.place(low - begin, int(stream.positions[low]), stream.ids[low:high])
        low = high
    width = size if shapes.padded else stop - begin
    end = int(stream.positions[stop - 1]) + 1
    return Tile(
        begin,
        stop - begin,
        _padded(stream.ids[begin:stop], width),
        _padded(stream.positions[begin:stop], width),
        *_chunked(draft, width),
        *_grouped(draft, width),
        draft.slots[:end],
        draft.path[:end],
        held[0],
    )


def slots_at(tile: Tile, stream: Stream, row: int) -> Ids:
    """The slots, by position, of the path to the token in `row` of a tile, which is no padding."""
    slots: Ids = tile.below.copy()
    low, stop = tile.begin, tile.begin + row + 1
    while low < stop:
        edge = int(np.searchsorted(stream.edges, low, side="right"))
        high = min(int(stream.edges[edge]), stop)
        start = int(stream.positions[low])
        slots[start : start + high - low] = np.arange(low, high) - tile.begin
        low = high
    return slots[: int(stream.positions[stop - 1]) + 1]


def _padded(column: Ids, width: int) -> Ids:
    return np.concatenate([column, np.zeros(width - len(column), dtype=np.int64)])


def _aligned(width: int) -> int:
    return -(-width // ALIGNED) * ALIGNED


def _chunked(draft: _Draft, width: int) -> tuple[list[Chunks], Ids, Ids, Ids]:
    """The chunks by length, their rows and keys, and where each row's result lies."""
    size = draft.shapes.chunk
    found: list[Chunks] = []
    keys: list[Ids] = []
    number = offset = 0
    rows = np.zeros(size * sum(map(len, draft.chunks.values())), dtype=np.int64)
    at = np.zeros(_aligned(width), dtype=np.int64)
    for length in sorted(draft.chunks):
        members = draft.chunks[length]
        found.append(Chunks(number, len(members), length, offset))
        for member in members:
            place = number * size + member.place
            rows[number * size : (number + 1) * size] = member.row
            rows[place : place + member.count] += np.arange(member.count)
            at[member.row : member.row + member.count] = place + np.arange(member.count)
            keys.append(member.keys)
            number += 1
        offset += len(members) * length
    return found, rows, np.concatenate(keys), at


def _grouped(draft: _Draft, width: int) -> tuple[list[Prefix], Ids, Ids]:
    """The groups by what they attend, their rows, and where each row's result lies."""
    shapes = draft.shapes
    found: list[Prefix] = []
    rows: list[Ids] = [np.zeros(0, dtype=np.int64)]
    at = np.full(_aligned(width), -1, dtype=np.int64)
    first = 0
    for (length, _), (slots, members) in draft.prefixes.items():
        size = shapes.group if shapes.padded else len(members)
        count = -(-len(members) // size)
        at[members] = first + np.arange(len(members))
        keys = None if int(slots.min()) >= shapes.tile else slots
        found.append(Prefix(first, count, size, length, keys))
        rows += [np.asarray(members), np.full(count * size - len(members), members[0])]
        first += count * size
    at[at < 0] = first
    return found, np.concatenate(rows), at
