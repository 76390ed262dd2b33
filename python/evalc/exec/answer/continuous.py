"""Continuous generation for models on the prefix tree: slots are refilled as outputs end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch

from evalc.contract.outcomes import Outcomes
from evalc.contract.packs import Ids, PackColumns
from evalc.diagnostics.amounts import many
from evalc.exec.answer.transcripts import Decoder
from evalc.exec.answer.writers import Prompt, Writer, written
from evalc.exec.layout.forest import depth_first, unread
from evalc.exec.layout.slots import SPAN, Rows, SlotAttention, Slots, ids_of, positions_of
from evalc.exec.layout.tiles import Tile, slots_at
from evalc.exec.memory.budget import is_out_of_memory, release
from evalc.exec.passes.attention import handed
from evalc.exec.passes.engine import Engine, OutOfRoomError
from evalc.exec.passes.walking import walk


class Continuous:
    """Generates for prompts of one manner. Results go to `outcomes`."""

    rows: Rows
    span: ClassVar[int] = SPAN
    """Rows take memory for tokens in multiples of so many."""

    def __init__(
        self, engine: Engine, columns: PackColumns, decoder: Decoder, outcomes: Outcomes
    ) -> None:
        self.engine = engine
        self.columns = columns
        self.decoder = decoder
        self.outcomes = outcomes
        self.writers: list[Writer] = []
        self.waiting: deque[Prompt] = deque()
        self.refused_at = 0

    def run(self, prompts: Sequence[Prompt]) -> None:
        """Generate until every prompt has an outcome, in the order of the prefix tree."""
        place = {node: at for at, node in enumerate(depth_first(self.columns, _nothing()))}
        node_of = self.columns.req_node
        self.waiting.extend(sorted(prompts, key=lambda p: (place[int(node_of[p.request])], p.key)))
        self.longest = max(len(prompt.ids) + prompt.limit for prompt in prompts)
        kept = -(-self.longest // self.span) * self.span
        most = min(self.engine.shapes.decode, self.engine.budget.rows_for(kept))
        self._open(min(most, len(prompts)))
        while self.waiting or self.writers:
            vacant = self.rows.capacity - len(self.writers)
            if self.waiting and (not self.writers or vacant >= max(1, self.rows.capacity // 4)):
                self._admit(vacant)
            if self.writers:
                self._step()

    def _open(self, capacity: int) -> None:
        self.rows = self.slots = Slots(capacity, self.longest, self.engine.kernel)

    def _admit(self, most: int) -> None:
        """Prefill the next waiting prompts and give them slots."""
        group = [self.waiting.popleft() for _ in range(min(most, len(self.waiting)))]
        held = len(self.writers)
        try:
            self._prefill(group)
        except OutOfRoomError as full:
            started = {writer.prompt.request for writer in self.writers[held:]}
            for prompt in group:
                if prompt.request not in started | self.outcomes.payloads.keys():
                    self.outcomes.failures.setdefault(prompt.request, str(full))
        except RuntimeError as failure:
            if not is_out_of_memory(failure):
                raise
            self._retreat(group)

    def _prefill(self, group: Sequence[Prompt]) -> None:
        """Read what the prompts of `group` add to the tree: each gets a slot and a first token."""
        engine, columns = self.engine, self.columns
        members = [prompt.request for prompt in group]
        places = columns.node_offsets[columns.req_node[members] + 1] - 1
        last = np.zeros(len(columns.tokens), dtype=np.bool_)
        last[places] = True
        forks: dict[int, list[Prompt]] = {}
        for prompt, place in zip(group, places.tolist(), strict=True):
            forks.setdefault(place, []).append(prompt)
        stream, held = unread(columns, members, engine.store.ids, last, whole=True)

        def use(tile: Tile, rows: Ids, states: torch.Tensor) -> int:
            ending = [forks[place] for place in stream.at[tile.begin + rows].tolist()]
            index = np.repeat(np.arange(len(rows)), [len(prompts) for prompts in ending])
            paths = [slots_at(tile, stream, int(row)) for row in rows]
            picked = states[torch.from_numpy(index).to(states.device)]
            prompts = [prompt for together in ending for prompt in together]
            return self._begin(prompts, [paths[at] for at in index], picked)

        walk(engine, stream, held, np.flatnonzero(last[stream.at]), use)

    def _begin(self, prompts: Sequence[Prompt], paths: Sequence[Ids], states: torch.Tensor) -> int:
        """Slots and first tokens for prompts whose paths and last states are given."""
        held = len(self.writers)
        self.rows.join(self.engine.store, paths, [prompt.ids for prompt in prompts])
        self.writers += [Writer.of(prompt, self.decoder) for prompt in prompts]
        logits = self.engine.forward.logits(states, self.engine.shapes.decode)
        ended = written(logits, self.writers[held:], self.outcomes)
        self._drop([held + row for row in ended])
        return len(ended)

    def _step(self) -> None:
        """One token for every slot; without memory, half of the rows go back to waiting."""
        try:
            self._decode()
        except RuntimeError as failure:
            if not is_out_of_memory(failure):
                raise
            self._retreat(())

    def _decode(self) -> None:
        engine, count = self.engine, len(self.writers)
        began = time.perf_counter()
        width = engine.decode_tokens(count)
        running = SlotAttention(self.slots, width)
        positions = torch.from_numpy(positions_of(self.slots, width)[None])
        states = engine.forward.run(
            ids_of([writer.last for writer in self.writers], width)[None],
            np.zeros(count, dtype=np.int64),
            np.arange(count),
            position_ids=positions.to(engine.forward.device),
            **handed(running),
        ).picked
        self.slots.lengths += 1
        logits = engine.forward.logits(states, engine.shapes.decode)
        ended = written(logits, self.writers, self.outcomes)
        self._drop(ended)
        spent = time.perf_counter() - began
        engine.meter.count("decode", len(ended), count, spent, width - count)

    def _drop(self, rows: Sequence[int]) -> None:
        for row in sorted(rows, reverse=True):
            self.rows.drop(row)
            last = self.writers.pop()
            if row < len(self.writers):
                self.writers[row] = last

    def _retreat(self, group: Sequence[Prompt]) -> None:
        """After a pass without memory everybody starts again, the second time half as many at once.

        Starting again gives the same tokens. A prompt that does not fit alone fails.
        """
        again = self.refused_at == self.rows.capacity
        self.refused_at = self.rows.capacity
        capacity = self.rows.capacity // 2 if again else self.rows.capacity
        unfinished = [writer.prompt for writer in self.writers]
        started = {prompt.request for prompt in unfinished}
        done = self.outcomes.payloads.keys() | self.outcomes.failures.keys()
        left = [p for p in group if p.request not in started | done]
        self.writers.clear()
        self._open(max(1, capacity))
        release()
        if not capacity:
            for prompt in (unfinished + left)[:1]:
                self.outcomes.failures[prompt.request] = str(OutOfRoomError(len(prompt.ids)))
            unfinished, left, self.refused_at = (unfinished + left)[1:], [], 0
        self.waiting.extendleft(reversed(unfinished + left))
        if again:
            self.engine.budget.slots = self.rows.capacity
            self.engine.meter.observer.note(
                f"out of memory while generating: at most {many(self.rows.capacity, 'row')} "
                "now decode together"
            )


def _nothing() -> Ids:
    return np.zeros(0, dtype=np.int64)
