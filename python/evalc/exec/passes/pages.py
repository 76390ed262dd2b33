"""Pages: the states of rows that decode on a GPU. Rows that begin alike share theirs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from evalc.contract.packs import Ids
from evalc.exec.kernels.launch import SPAN, TOGETHER, Items, Moves, append, attend_pages, move
from evalc.exec.layout.paths import PathStore
from evalc.exec.layout.transfer import moved


@dataclass(slots=True)
class Row:
    """A row's place among the rows of a step, and the page of each of its spans."""

    place: int
    pages: list[int]


class Pages:
    """Key-value states of at most `capacity` rows of at most `longest` tokens.

    A page holds the states of one span of positions, [heads, SPAN, width] for every layer. A full
    page belongs to all rows whose ids are the same up to its end; the page that a row writes to is
    its own. Rows are counted densely, as in `exec.slots.Slots`; no row ever moves in memory.
    """

    def __init__(self, capacity: int, longest: int, device: torch.device) -> None:
        self.capacity, self.device = capacity, device
        self.spans = -(-longest // SPAN)
        self.room = self.spans * SPAN
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []
        self.clear()

    def clear(self) -> None:
        """Remove every row."""
        self.rows: list[Row] = []
        self.users: dict[int, int] = {}
        self._places = list(range(self.capacity - 1, -1, -1))
        self._unused = list(range(self.capacity * self.spans - 1, -1, -1))
        self._page_of: dict[bytes, int] = {}
        self._name_of: dict[int, bytes] = {}

    def join(self, store: PathStore, paths: Sequence[Ids], inputs: Sequence[Ids]) -> None:
        """New rows for `inputs`, whose states lie in slots `paths` of `store`, by position."""
        fills: list[tuple[int, Ids]] = []
        for path, ids in zip(paths, inputs, strict=True):
            row = Row(self._places.pop(), [])
            for first, name in zip(range(0, len(path), SPAN), names_of(ids), strict=True):
                page = self._page_of.get(name) if name else None
                if page is None:
                    page = self._new(name)
                    fills.append((page, path[first : first + SPAN]))
                self.users[page] = self.users.get(page, 0) + 1
                row.pages.append(page)
            self.rows.append(row)
        if fills:
            self._fill(store, fills)

    def drop(self, number: int) -> None:
        """Remove a row; the last row takes its number."""
        row = self.rows[number]
        self._places.append(row.place)
        for page in row.pages:
            self.users[page] -= 1
            if not self.users[page]:
                del self.users[page]
                self._unused.append(page)
                if (name := self._name_of.pop(page, None)) is not None:
                    del self._page_of[name]
        self.rows[number] = self.rows[-1]
        self.rows.pop()

    def grow(self, row: Row, length: int) -> bool:
        """Whether the next token of a row of `length` needed another page, which it now has."""
        if length // SPAN < len(row.pages):
            return False
        page = self._new(b"")
        self.users[page] = 1
        row.pages.append(page)
        return True

    def items(self) -> list[tuple[int, int, list[int]]]:
        """Each page in use with its span and the places of the rows that share it."""
        found: dict[int, tuple[int, list[int]]] = {}
        for row in self.rows:
            for span, page in enumerate(row.pages):
                found.setdefault(page, (span, []))[1].append(row.place)
        return [
            (page, span, places[first : first + TOGETHER])
            for page, (span, places) in found.items()
            for first in range(0, len(places), TOGETHER)
        ]

    def _new(self, name: bytes) -> int:
        """An unused page; with a `name`, for all whose states are the same."""
        page = self._unused.pop()
        if name:
            self._page_of[name], self._name_of[page] = page, name
        return page

    def _fill(self, store: PathStore, fills: Sequence[tuple[int, Ids]]) -> None:
        """Copy states from slots of `store` to the front of pages."""
        lengths = np.array([len(slots) for _, slots in fills])
        columns = (
            np.concatenate([slots for _, slots in fills]),
            np.cumsum(lengths) - lengths,
            lengths,
            np.array([page for page, _ in fills]),
        )
        packed = moved(np.concatenate(columns).astype(np.int32), self.device)
        moves = Moves(*torch.split(packed, [len(column) for column in columns]))
        for pages, states in ((self.keys, store.keys), (self.values, store.values)):
            for layer, held in enumerate(states):
                if layer == len(pages):
                    shape = (self.capacity * self.spans, held.shape[0], SPAN, held.shape[2])
                    pages.append(held.new_empty(shape))
                move(held, pages[layer], moves)


def names_of(ids: Ids) -> list[bytes]:
    """A name for each span of an input: of all its ids up to the span's end.

    Empty for a span that is not full, which nobody else may have.
    """
    names = [b""] * -(-len(ids) // SPAN)
    digest = hashlib.blake2b(digest_size=32)
    for span in range(len(ids) // SPAN):
        digest.update(np.ascontiguousarray(ids[span * SPAN : (span + 1) * SPAN]).tobytes())
        names[span] = digest.digest()
    return names


class PageAttention:
    """One decode step through the layers of a model: one new token for each of W places.

    `lengths` int64[W] are the keys each place has so far, -1 where it is nobody's; `table`
    int32[W, spans] and `items` say where they are. A row's keys are summed span by span from
    position 0, whatever its place and neighbours.
    """

    def __init__(
        self, pages: Pages, lengths: torch.Tensor, table: torch.Tensor, items: Items
    ) -> None:
        self.pages, self.lengths, self.table, self.items = pages, lengths, table, items
        self.layer = 0
        self.scratch: tuple[torch.Tensor, torch.Tensor] | None = None

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        """The next layer: query [1, H, W, D], key and value [1, K, W, D] -> [1, W, H, D]."""
        layer, self.layer = self.layer, self.layer + 1
        held = (self.pages.keys[layer], self.pages.values[layer])
        if self.scratch is None:
            shape = (query.shape[2], query.shape[1], self.pages.spans)
            sums = torch.empty(shape, dtype=torch.float32, device=query.device)
            self.scratch = (sums.new_empty(*shape, value.shape[-1]), sums)
        append((key[0], value[0]), held, self.table, self.lengths)
        out = attend_pages(query[0], held, self.items, self.lengths, self.scratch, scaling=scaling)
        return out[None]
