"""How much one forward pass may hold: from free memory, then from running out of it."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch

from evalc.exec.memory.free import Memory
from evalc.exec.memory.needs import Needs

DEFAULT_TOKENS = {"cpu": 2048, "cuda": 16384}
DEFAULT_SLOTS = {"cpu": 32, "cuda": 128}
DEFAULT_KEPT = {"cpu": 32768, "cuda": 262144}
"""Where nobody can say how much memory is free."""
OVERHEAD = {"cpu": 24, "cuda": 512}
SHARE = {"cpu": 0.5, "cuda": 0.9}
"""Of free memory. Others live in a CPU's too, and who takes too much of it is killed, not told."""
HEAD = 512
"""Rows of the output head for which room is left."""

T = TypeVar("T")


@dataclass(slots=True)
class Budget:
    """Limits of a device. `tokens` per pass are halved per class of row length.

    `slots` is the number of rows that decode together, `kept` the number of tokens whose
    key-value states they may hold, `overhead` the cost of a forward pass in tokens.
    """

    tokens: int
    slots: int
    kept: int
    overhead: int
    halvings: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, device: str) -> Budget:
        """The starting budget of `cpu` or `cuda`."""
        return cls(
            tokens=DEFAULT_TOKENS[device],
            slots=DEFAULT_SLOTS[device],
            kept=DEFAULT_KEPT[device],
            overhead=OVERHEAD[device],
        )

    @classmethod
    def fitted(cls, device: str, needs: Needs, memory: Memory | None) -> Budget:
        """The starting budget cut to what is free: half for a pass, half for kept states.

        `tokens` and `slots` are at most the usual ones, which saturate the device.
        """
        usual = cls.of(device)
        if memory is None:
            return usual
        spare = int(memory.free * SHARE[device]) - HEAD * needs.row
        tokens = max(1, min(usual.tokens, spare // 2 // needs.token))
        kept = max(1, spare // 2 // needs.state)
        return replace(usual, tokens=tokens, slots=min(usual.slots, kept), kept=kept)

    def rows_for(self, longest: int) -> int:
        """Rows of at most `longest` tokens that may decode together."""
        return max(1, min(self.slots, self.kept // longest))

    def tokens_for(self, length: int) -> int:
        """Tokens that a pass over rows of `length` may compute."""
        return max(1, self.tokens >> self.halvings.get(length.bit_length(), 0))

    def halve(self, length: int) -> None:
        """Remember that rows of this length class ran out of memory."""
        kind = length.bit_length()
        self.halvings[kind] = self.halvings.get(kind, 0) + 1


def is_out_of_memory(failure: BaseException) -> bool:
    """Whether a device or the CPU allocator refused memory."""
    if isinstance(failure, torch.OutOfMemoryError):
        return True
    text = str(failure)
    return isinstance(failure, RuntimeError) and (
        "out of memory" in text or "DefaultCPUAllocator" in text
    )


def attempted(work: Callable[[], T]) -> T | None:
    """What `work` returns; None when memory ran out twice, the second time with all freed."""
    for _ in range(2):
        try:
            return work()
        except RuntimeError as failure:
            if not is_out_of_memory(failure):
                raise
        release()
    return None


def release() -> None:
    """Give freed blocks back before a retry."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
