"""Rounds: when a run looks at what it has, and how far a budget goes.

A look at every result as it arrives favours what is quick to finish: with the truth at the gate,
88 % of such runs decide wrongly. So units are asked in rounds; inside a round their order is free,
and evidence is looked at when a round is complete.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

GROWTH = 0.1
"""A round's share of what was seen before, beyond one wave of the engine."""


def next_round(seen: int, total: int, wave: int, growth: float = GROWTH) -> int:
    """How many units the next round has: max(one wave, 10 % of those seen), and no more than left.

    `wave` is the number of units that the engine answers at once.
    """
    return min(total - seen, max(1, wave, math.ceil(growth * seen)))


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent on each model and task (`cases`, `fraction`) and on the whole run.

    None is no limit. `half_width` ends a task whose interval is as narrow on each side.
    """

    cases: int | None = None
    fraction: float | None = None
    seconds: float | None = None
    dollars: float | None = None
    half_width: float | None = None

    def cases_of(self, total: int) -> int:
        """How many of `total` cases it allows, at least one."""
        share = None if self.fraction is None else math.ceil(self.fraction * total)
        limits = [limit for limit in (self.cases, share, total) if limit is not None]
        return max(1, min(limits))

    def spent(self, seconds: float, dollars: float | None) -> bool:
        """Whether time or money is used up."""
        late = self.seconds is not None and seconds >= self.seconds
        dear = self.dollars is not None and dollars is not None and dollars >= self.dollars
        return late or dear
