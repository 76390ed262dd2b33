"""Continuous generation for full-attention models: slots are refilled as outputs end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from evalc.exec.batches import Branch, grown
from evalc.exec.budget import is_out_of_memory, release
from evalc.exec.forward import padded
from evalc.exec.outcomes import Outcomes
from evalc.exec.prefixes import Engine, OutOfRoomError, extend
from evalc.exec.rows import prompt_rows
from evalc.exec.slots import Slots
from evalc.exec.transcripts import Decoder
from evalc.exec.writers import Prompt, Writer, written


@dataclass(frozen=True, slots=True)
class _Start:
    """A prompt that waits, and how many of its first ids its branch computes once."""

    prompt: Prompt
    branch: int
    depth: int


class Continuous:
    """Generates for prompts of one manner. Results go to `outcomes`."""

    def __init__(self, engine: Engine, decoder: Decoder, outcomes: Outcomes) -> None:
        self.engine = engine
        self.decoder = decoder
        self.outcomes = outcomes
        self.slots = Slots(len(engine.spine.layers), engine.forward.device)
        self.writers: list[Writer] = []
        self.waiting: deque[_Start] = deque()
        self.starts: dict[int, _Start] = {}
        self.capacity = engine.budget.slots

    def run(self, prompts: Sequence[Prompt]) -> None:
        """Generate until every prompt has an outcome."""
        rows, order = prompt_rows([prompt.ids for prompt in prompts])
        overhead = self.engine.budget.overhead
        starts = _starts(grown(rows, overhead), lambda index: prompts[order[index]])
        self.waiting.extend(starts)
        self.starts = {start.prompt.request: start for start in self.waiting}
        longest = max(len(prompt.ids) + prompt.limit for prompt in prompts)
        budget = self.engine.budget
        self.capacity = max(1, min(budget.slots, budget.kept // longest))
        while self.waiting or self.writers:
            vacant = self.capacity - len(self.writers)
            if self.waiting and (not self.writers or vacant >= max(1, self.capacity // 4)):
                self._admit(max(1, vacant))
            if self.writers:
                self._step()

    def _admit(self, most: int) -> None:
        """Prefill the next waiting prompts of one branch and give them slots."""
        group = self._next_group(most)
        try:
            if not self._attempt(lambda: self._prefill(group)):
                self._retreat(group)
        except OutOfRoomError as full:
            self._fail([start.prompt for start in group], str(full))

    def _next_group(self, most: int) -> list[_Start]:
        first = self.waiting.popleft()
        group, longest = [first], len(first.prompt.ids)
        allowed = self.engine.pass_tokens(longest)
        while self.waiting and len(group) < most and self.waiting[0].branch == first.branch:
            longest = max(longest, len(self.waiting[0].prompt.ids))
            if (len(group) + 1) * (longest - first.depth) > allowed:
                break
            group.append(self.waiting.popleft())
        return group

    def _retreat(self, group: Sequence[_Start]) -> None:
        """After a prefill without memory: fewer rows at once, or none beside those that run."""
        release()
        if self.writers:
            self.capacity = len(self.writers)
        elif len(group) > 1:
            self.capacity = len(group) // 2
        else:
            self._fail([group[0].prompt], str(OutOfRoomError(len(group[0].prompt.ids))))
            return
        self.waiting.extendleft(reversed(group))
        self._note()

    def _prefill(self, group: Sequence[_Start]) -> int:
        engine, depth = self.engine, group[0].depth
        prompts = [start.prompt for start in group]
        if depth:
            none = np.zeros(0, dtype=np.int64)
            extend(engine, prompts[0].ids[:depth], none, lambda _picked, _at: 0)
        began = time.perf_counter()
        ids = padded([prompt.ids[depth:] for prompt in prompts])
        cache = engine.spine.copied(depth, len(prompts), ids.shape[1])
        positions = torch.arange(depth, depth + ids.shape[1], device=engine.forward.device)
        passed = engine.forward.run(
            ids,
            np.arange(len(prompts)),
            np.asarray([len(prompt.ids) - depth - 1 for prompt in prompts]),
            past_key_values=cache,
            position_ids=positions.expand(len(prompts), -1),
        )
        logits = engine.forward.logits(passed.picked)
        self.slots.join(cache, [len(prompt.ids) for prompt in prompts])
        held = len(self.writers)
        fresh = [Writer.of(prompt, self.decoder) for prompt in prompts]
        self.writers.extend(fresh)
        ended = written(logits, fresh, self.outcomes)
        self._drop([held + row for row in ended])
        engine.meter.count("prefill", len(ended), ids.size, time.perf_counter() - began)
        return len(ended)

    def _step(self) -> None:
        """One token for every slot; without memory, half of the rows go back to waiting."""
        columns = self.slots.columns
        if self._attempt(self._decode):
            return
        self.slots.rewind(columns)
        if len(self.writers) == 1:
            prompt = self.writers[0].prompt
            self._drop([0])
            self._fail([prompt], str(OutOfRoomError(columns)))
            release()
            return
        self.capacity = len(self.writers) // 2
        for row in reversed(range(self.capacity, len(self.writers))):
            self.waiting.appendleft(self.starts[self.writers[row].prompt.request])
            self._drop([row])
        release()
        self._note()

    def _decode(self) -> int:
        engine, count = self.engine, len(self.writers)
        began = time.perf_counter()
        passed = engine.forward.run(
            np.asarray([[writer.last] for writer in self.writers], dtype=np.int64),
            np.arange(count),
            np.zeros(count, dtype=np.int64),
            **self.slots.options(),
        )
        ended = written(engine.forward.logits(passed.picked), self.writers, self.outcomes)
        self._drop(ended)
        engine.meter.count("decode", len(ended), count, time.perf_counter() - began)
        return len(ended)

    def _drop(self, rows: Sequence[int]) -> None:
        for row in sorted(rows, reverse=True):
            self.slots.drop(row)
            last = self.writers.pop()
            if row < len(self.writers):
                self.writers[row] = last

    def _attempt(self, work: Callable[[], int]) -> bool:
        """Do `work`; False when memory ran out."""
        try:
            work()
        except RuntimeError as failure:
            if not is_out_of_memory(failure):
                raise
            return False
        return True

    def _fail(self, prompts: Sequence[Prompt], reason: str) -> None:
        for prompt in prompts:
            self.outcomes.failures[prompt.request] = reason

    def _note(self) -> None:
        self.engine.meter.observer.note(
            f"out of memory while generating: {self.capacity} rows now decode together"
        )


def _starts(branch: Branch, prompt_of: Callable[[int], Prompt]) -> Iterator[_Start]:
    """Prompts in the order in which their prefixes are computed, the shorter ones first."""
    pending, number = [branch], 0
    while pending:
        current = pending.pop()
        prompts = sorted((prompt_of(index) for index in current.pooled), key=lambda p: len(p.ids))
        for prompt in prompts:
            yield _Start(prompt, number, current.depth)
        pending.extend(reversed(current.children))
        number += 1
