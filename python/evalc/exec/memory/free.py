"""How much memory a device can still give."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from evalc import env


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that are free, and what said so."""

    free: int
    said_by: str

    @classmethod
    def of(cls, device: torch.device) -> Memory | None:
        """What is free on `device` now; None where nobody can say."""
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            # what torch holds and does not use, it hands out again
            idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
            return cls(free + idle, "torch.cuda.mem_get_info")
        found = env.free_memory()
        return None if found is None else cls(*found)
