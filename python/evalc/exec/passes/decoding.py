"""The decode step of a GPU: captured once as a CUDA graph, replayed for every token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from evalc.contract.packs import Ids
from evalc.exec.kernels.launch import TOGETHER, Items, chances
from evalc.exec.layout.transfer import moved
from evalc.exec.passes.attention import handed
from evalc.exec.passes.forward import Forward
from evalc.exec.passes.pages import PageAttention, Pages
from evalc.exec.passes.replay import Replayed, Replays

NOBODY = -1


@dataclass(frozen=True, slots=True)
class Flight:
    """Tokens of a step that may still be on their way: int32 [2, W], argmaxes and whether sound."""

    verdicts: torch.Tensor
    landed: torch.cuda.Event | None

    def wait(self) -> tuple[list[int], list[int]]:
        """The step's argmaxes and whether the logits of each row are sound, place by place."""
        if self.landed is not None:
            self.landed.synchronize()
        best, sound = self.verdicts.tolist()
        return best, sound


class Decoding:
    """Steps of `width` places over pages, of which those in use are as many or fewer.

    Ids, lengths and results stay on the device. A step feeds what the one before found, so that it
    can begin before the host has read that; the host says what changed.
    """

    def __init__(self, forward: Forward, pages: Pages, width: int, shared: Replays) -> None:
        self.forward, self.pages, self.width, self.shared = forward, pages, width, shared
        device = forward.device
        self.ids = torch.zeros(width, dtype=torch.int64, device=device)
        self.lengths = torch.full((width,), NOBODY, dtype=torch.int64, device=device)
        self.table = torch.zeros(width, pages.spans, dtype=torch.int32, device=device)
        self.verdicts = torch.zeros(2, width, dtype=torch.int32, device=device)
        everyone = torch.arange(width, device=device)
        self._picked_at = (torch.zeros_like(everyone), everyone)
        self._steps: dict[int, Step] = {}
        self._step: Step | None = None

    def write(self, lengths: Ids, fed: Mapping[int, int]) -> None:
        """Set the `lengths` [W] of all places and which pages they have.

        `fed` are the ids of places whose next one is not the last argmax.
        """
        items = self.pages.items()
        step = self._for(len(items))
        table = np.zeros((self.width, self.pages.spans), dtype=np.int64)
        for row in self.pages.rows:
            table[row.place, : len(row.pages)] = row.pages
        ids = np.full(self.width, NOBODY, dtype=np.int64)
        ids[list(fed)] = list(fed.values())
        columns = (lengths, ids, table.ravel(), *step.columns(items))
        packed = moved(np.concatenate(columns).astype(np.int32), self.forward.device)
        new = torch.split(packed, [len(column) for column in columns])
        self.lengths.copy_(new[0])
        self.ids.copy_(torch.where(new[1] >= 0, new[1].long(), self.ids))
        self.table.view(-1).copy_(new[2])
        for held, part in zip(step.items, new[3:], strict=True):
            held.copy_(part)
        self._step = step

    @property
    def logits(self) -> torch.Tensor:
        """Those of the last step, [W, vocab], until the next pass."""
        assert self._step is not None and self._step.logits is not None
        return self._step.logits

    def begin(self) -> Flight:
        """Begin the next step; its tokens are on their way."""
        assert self._step is not None
        self.forward.tokens += self.width
        self._step.run(partial(self._compute, self._step))
        if self.forward.device.type != "cuda":
            return Flight(self.verdicts.clone(), None)
        host = torch.empty(2, self.width, dtype=torch.int32, pin_memory=True)
        host.copy_(self.verdicts, non_blocking=True)
        landed = torch.cuda.Event()  # type: ignore[no-untyped-call]
        landed.record()
        return Flight(host, landed)

    def _compute(self, step: Step) -> None:
        """One step, whose rows attend to the items of `step`."""
        forward, tokens = self.forward, self.forward.tokens
        running = PageAttention(self.pages, self.lengths, self.table, step.items)
        positions = self.lengths.clamp(min=0)[None]
        states = forward.run_on(
            self.ids[None], self._picked_at, position_ids=positions, **handed(running)
        ).picked
        forward.tokens = tokens
        logits = forward.head_logits(states, forward.shapes.decode)
        _, spread, best = chances(logits)
        self.verdicts.copy_(torch.stack([best, torch.isfinite(spread).int()]))
        self.ids.copy_(best)
        self.lengths += self.lengths >= 0
        step.logits = logits

    def _for(self, items: int) -> Step:
        """The step with room for so many items, in powers of two."""
        room = max(self.width, 1 << (items - 1).bit_length())
        if room not in self._steps:
            self._steps[room] = Step(room, self.shared)
        return self._steps[room]


class Step:
    """A decode step with room for so many items, recorded once."""

    def __init__(self, room: int, shared: Replays) -> None:
        self.room = room
        self.logits: torch.Tensor | None = None
        self.items = Items(
            *(
                torch.full((size,), NOBODY, dtype=torch.int32, device=shared.device)
                for size in (room, room, room * TOGETHER)
            )
        )
        self.run = Replayed(shared)

    def columns(self, items: list[tuple[int, int, list[int]]]) -> tuple[Ids, Ids, Ids]:
        """Pages, spans and rows of `items`, padded to the room."""
        pages = np.full(self.room, NOBODY, dtype=np.int64)
        spans = np.zeros(self.room, dtype=np.int64)
        rows = np.full((self.room, TOGETHER), NOBODY, dtype=np.int64)
        for at, (page, span, places) in enumerate(items):
            pages[at], spans[at] = page, span
            rows[at, : len(places)] = places
        return pages, spans, rows.ravel()
