"""How much one forward pass may hold, learnt from running out of memory."""

from __future__ import annotations

import gc
from dataclasses import dataclass, field

import torch

DEFAULT_TOKENS = {"cpu": 2048, "cuda": 16384}
DEFAULT_SLOTS = {"cpu": 32, "cuda": 128}
DEFAULT_KEPT = {"cpu": 32768, "cuda": 262144}
OVERHEAD = {"cpu": 24, "cuda": 512}


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


def release() -> None:
    """Give freed blocks back before a retry."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
