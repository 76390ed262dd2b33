"""Generation settings, decoded from the plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Setting:
    """How one request generates.

    Greedy when `temperature` is 0; `top_k` 0 and `top_p` 1 are off.
    """

    max_new_tokens: int
    stop: tuple[str, ...]
    temperature: float
    top_p: float
    top_k: int
    seed: int
    slot: int
    eos_ids: frozenset[int]

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Setting:
        """Decode one entry of `plan.settings()`."""
        top_p, top_k = entry.get("top_p"), entry.get("top_k")
        return cls(
            max_new_tokens=int(entry["max_new_tokens"]),
            stop=tuple(text for text in entry["stop"] if text),
            temperature=float(entry.get("temperature") or 0.0),
            top_p=1.0 if top_p is None else float(top_p),
            top_k=0 if top_k is None else int(top_k),
            seed=int(entry.get("seed") or 0),
            slot=int(entry.get("slot") or 0),
            eos_ids=frozenset(int(token) for token in entry.get("eos_ids") or ()),
        )

    @property
    def sampled(self) -> bool:
        """Whether tokens are drawn rather than taken by argmax."""
        return self.temperature > 0.0

    @property
    def manner(self) -> tuple[Any, ...]:
        """What rows of one batch have in common: everything but the seed and the slot."""
        return (
            self.max_new_tokens,
            self.stop,
            self.temperature,
            self.top_p,
            self.top_k,
            tuple(sorted(self.eos_ids)),
        )
