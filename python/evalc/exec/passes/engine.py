"""What both kinds of packs share: the model, the held path, memory and counters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalc.contract.outcomes import NO_ROOM
from evalc.contract.progress import Meter
from evalc.diagnostics.amounts import many
from evalc.exec.kernels.choice import Kernel
from evalc.exec.layout.paths import PathStore
from evalc.exec.layout.shapes import Shapes, first_pass, narrowest
from evalc.exec.memory.budget import Budget, release
from evalc.exec.model.capability import Capability
from evalc.exec.model.switches import SHIFTING, rope_types
from evalc.exec.passes.forward import Forward

if TYPE_CHECKING:
    from evalc.exec.passes.decoding import Decoding
    from evalc.exec.passes.recorded import Passes

GRANULE_OF_REPLAYS = 1024
"""Positions by which a path's room grows where passes are recorded, and anew when it has grown."""


class OutOfRoomError(Exception):
    """Not even the smallest pass over rows of `length` fits into memory."""

    def __init__(self, length: int) -> None:
        self.length = length
        super().__init__(f"a row of {length} tokens {NO_ROOM}")


@dataclass(slots=True)
class Engine:
    """What both kinds of packs share: the model, its path, its memory and its counters.

    `passes` compute tiles where the engine's programs for GPUs run.
    """

    forward: Forward
    capability: Capability
    store: PathStore
    kernel: Kernel
    budget: Budget
    meter: Meter
    max_length: int
    tile: int
    passes: Passes | None = None
    _decoding: Decoding | None = None

    @classmethod
    def of(cls, forward: Forward, capability: Capability, budget: Budget, meter: Meter) -> Engine:
        """An engine with an empty path."""
        limit, tile = forward.loaded.source.max_length, forward.shapes.tile
        kernel = Kernel(forward.device)
        if not forward.triton:
            store = PathStore(tile)
            return cls(forward, capability, store, kernel, budget, meter, limit, tile)
        from evalc.exec.passes.recorded import Passes  # noqa: PLC0415  needs triton
        from evalc.exec.passes.replay import Replays  # noqa: PLC0415  needs triton

        store = PathStore(tile, GRANULE_OF_REPLAYS)
        passes = Passes(forward, store, Replays(forward.device, meter.observer))
        return cls(forward, capability, store, kernel, budget, meter, limit, tile, passes)

    def decoding(self, capacity: int, longest: int) -> Decoding:
        """Steps over pages for `capacity` rows of `longest` tokens; for engines with `passes`.

        They are kept from pack to pack, since recording a step takes as long as several of them.
        """
        from evalc.exec.passes.decoding import Decoding  # noqa: PLC0415  needs triton
        from evalc.exec.passes.pages import Pages  # noqa: PLC0415  needs triton

        assert self.passes is not None
        held = self._decoding
        if held is None or held.pages.capacity < capacity or held.pages.room < longest:
            self._decoding = None
            release()  # its memory goes first
            pages = Pages(capacity, longest, self.forward.device)
            width = self.decode_tokens(capacity)
            held = Decoding(self.forward, pages, width, self.passes.shared)
            self._decoding = held
        return held

    def forget_decoding(self) -> None:
        """Give the memory of decoding rows back."""
        self._decoding = None

    def forget(self) -> None:
        """Give the memory of all kept states back."""
        self.store.forget()
        self.forget_decoding()
        if self.passes is not None:
            self.passes.forget()

    @property
    def shapes(self) -> Shapes:
        """The shapes at which everything is computed."""
        return self.forward.shapes

    @property
    def shifting(self) -> bool:
        """Whether rotary frequencies follow the length of a row."""
        return bool(rope_types(self.forward.loaded.decoder) & set(SHIFTING))

    def tile_tokens(self, left: int | None = None) -> int:
        """Tokens of the next tile, where `left` remain to be computed, otherwise at most."""
        limit = self.forward.token_limit()
        usual = self.tile if limit is None else min(self.tile, limit)
        if left is None or not self.shapes.padded:
            return usual
        return first_pass(left, usual, self.capability.tiles, self.budget.overhead)

    def decode_tokens(self, rows: int) -> int:
        """Tokens of a pass in which `rows` decode together."""
        usual, known = self.shapes.decode, self.capability.tiles
        if not self.shapes.padded:
            return rows
        return narrowest(rows, usual, known) if usual in known else usual

    def shrink_tile(self, size: int) -> None:
        """After a tile of `size` without memory: a smaller one.

        Where shapes are constant it is one that is known to give the same bits. Raises
        OutOfRoomError when there is none.
        """
        release()
        known = self.capability.tiles if self.shapes.padded else (size // 2,)
        smaller = next((tile for tile in known if 0 < tile < size), None)
        if smaller is None:
            raise OutOfRoomError(size)
        self.tile = smaller
        self.meter.observer.note(f"out of memory: passes now hold {many(self.tile, 'token')}")

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
