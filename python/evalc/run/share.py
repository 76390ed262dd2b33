"""A share of a number of things."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """How many of a number of things: a share of them, or so many."""

    text: str
    share: float | None
    number: int

    def of(self, total: int) -> int:
        """At least one, at most all."""
        wanted = self.number if self.share is None else math.ceil(self.share * total)
        return min(total, max(1, wanted))
