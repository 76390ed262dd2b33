"""Continuous generation on a GPU: the next step runs while the last one's tokens are read."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalc.exec.answer.continuous import Continuous
from evalc.exec.answer.writers import Prompt, Writer, taken, written
from evalc.exec.kernels.launch import SPAN
from evalc.exec.passes.decoding import NOBODY, Decoding, Flight
from evalc.exec.passes.pages import Pages


@dataclass(frozen=True, slots=True)
class Launched:
    """A step on its way, and who was in which place."""

    flight: Flight
    writers: dict[int, Writer]


class Pipelined(Continuous):
    """Generates for prompts of one manner, as `Continuous` does, with the same results.

    A greedy row's next token is known on the device before the host has read it, so the next step
    begins at once, for rows that then turn out to have ended too; what these find is dropped.
    """

    span = SPAN
    pages: Pages
    decoding: Decoding

    def _open(self, capacity: int) -> None:
        engine = self.engine
        self.decoding = engine.decoding(capacity, self.longest)
        self.rows = self.pages = self.decoding.pages
        self.pages.clear()
        self.lengths = np.full(self.decoding.width, NOBODY, dtype=np.int64)
        self.seated: dict[int, Writer] = {}
        self.launched: Launched | None = None

    def _retreat(self, group: Sequence[Prompt]) -> None:
        self.engine.forget_decoding()
        super()._retreat(group)

    def _decode(self) -> None:
        began = time.perf_counter()
        now = {row.place: writer for row, writer in zip(self.pages.rows, self.writers, strict=True)}
        previous, self.launched = self.launched, None
        if now[next(iter(now))].generator is not None:
            ended = self._sampled(now)
        else:
            if any(self._goes_on(place, writer, previous) for place, writer in now.items()):
                self.launched = Launched(self._step_of(now, sampled=False), now)
            if previous is None:
                self.engine.meter.count("decode", 0, 0, time.perf_counter() - began)
                return
            ended = self._landed(previous)
        spent = time.perf_counter() - began
        count = len(now if previous is None else previous.writers)
        self.engine.meter.count("decode", ended, count, spent, self.decoding.width - count)

    def _goes_on(self, place: int, writer: Writer, previous: Launched | None) -> bool:
        """Whether a writer wants another token than the one that may be on its way."""
        flying = previous is not None and previous.writers.get(place) is writer
        return writer.prompt.limit - len(writer.transcript.tokens) - flying > 0

    def _step_of(self, now: dict[int, Writer], sampled: bool) -> Flight:
        """Begin a step for the writers in their places."""
        came = [place for place, writer in now.items() if self.seated.get(place) is not writer]
        changed = sampled or bool(came) or len(now) != len(self.seated)
        if changed:
            lengths = np.full_like(self.lengths, NOBODY)
            lengths[list(now)] = self.lengths[list(now)]
            lengths[came] = [len(now[place].prompt.ids) for place in came]
            self.lengths, self.seated = lengths, now
        for row in self.pages.rows:
            changed |= self.pages.grow(row, int(self.lengths[row.place]))
        if changed:
            fed = {place: now[place].last for place in (now if sampled else came)}
            self.decoding.write(self.lengths, fed)
        flight = self.decoding.begin()
        self.lengths += self.lengths >= 0
        return flight

    def _landed(self, launched: Launched) -> int:
        """Give the tokens of a step to those of its writers that still write."""
        best, sound = launched.flight.wait()
        rows = {row.place: number for number, row in enumerate(self.pages.rows)}
        alive = [
            place
            for place, writer in launched.writers.items()
            if place in rows and self.writers[rows[place]] is writer
        ]
        writers = [launched.writers[place] for place in alive]
        ended = taken(
            [best[place] for place in alive],
            [bool(sound[place]) for place in alive],
            writers,
            self.outcomes,
        )
        self._drop([rows[alive[at]] for at in ended])
        return len(ended)

    def _sampled(self, now: dict[int, Writer]) -> int:
        """A step whose tokens the host draws before the next one."""
        self._step_of(now, sampled=True)
        picked = self.decoding.logits[list(now)].float()
        ended = written(picked, self.writers, self.outcomes)
        self._drop(ended)
        return len(ended)
