"""Racing: which of several candidates is best, spending only on those that can still be.

Every two of K candidates are compared by evidence on the difference of their scores. One is out
when another is better with evidence (K - 1) / alpha: the best one loses to none of its K - 1 rivals
with probability at least 1 - alpha.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

from evalc.decide.betting import SLACK, Evidence, Interval
from evalc.decide.verdicts import Basis, paired_values
from evalc.score.cells import FloatArray

EVEN = 0.5
"""The mean of paired values of two that are equally good."""


class Race:
    """Candidates in one order of units, round by round.

    `weights` float64[N] of the units sum to 1. `basis` is `evidence` as soon as one was put out
    by evidence alone.
    """

    def __init__(self, names: Sequence[str], weights: FloatArray, alpha: float) -> None:
        self.alive = list(names)
        self.basis: Basis = "certain"
        self.total = len(weights)
        self.seen = 0
        self._limit = math.log(max(1, len(names) - 1) / alpha)
        self._alpha = alpha / max(1, len(names) - 1)
        self._pairs = {pair: Evidence(weights) for pair in combinations(names, 2)}
        self._own = {name: Evidence(weights) for name in names}

    def add(self, values: Mapping[str, FloatArray]) -> None:
        """Add a round: float64[k] values in [0, 1] of the next k units, for each one alive."""
        for name in self.alive:
            self._own[name].add(values[name])
        for one, two in combinations(self.alive, 2):
            self._pairs[one, two].add(paired_values(values[one], values[two]))
        self.seen = self._own[self.alive[0]].seen
        beaten: dict[str, Basis] = {}
        for pair in combinations(self.alive, 2):
            loser, basis = self._loser(*pair)
            if loser is not None and beaten.get(loser) != "certain":
                beaten[loser] = basis
        # evidence that everyone is worse than another is worth nothing
        if len(beaten) < len(self.alive):
            self.alive = [name for name in self.alive if name not in beaten]
            if "evidence" in beaten.values():
                self.basis = "evidence"

    def _loser(self, one: str, two: str) -> tuple[str | None, Basis]:
        evidence = self._pairs[one, two]
        least, most = evidence.scored, evidence.scored + evidence.open
        if least > EVEN + SLACK:
            return two, "certain"
        if most < EVEN - SLACK:
            return one, "certain"
        if evidence.up(EVEN) >= self._limit:
            return two, "evidence"
        if evidence.down(EVEN) >= self._limit:
            return one, "evidence"
        return None, "none"

    @property
    def decided(self) -> bool:
        """Whether one is left, or all was asked and those left are equal."""
        return len(self.alive) == 1 or self.seen == self.total

    @property
    def leader(self) -> str:
        """The best so far of those alive; of equals the first."""
        return max(self.alive, key=self.value)

    def value(self, name: str) -> float:
        """The estimate of a candidate's value."""
        return self._own[name].estimate()

    def seen_of(self, name: str) -> int:
        """Units that a candidate was asked."""
        return self._own[name].seen

    def behind(self, name: str) -> Interval | None:
        """How much larger a candidate's value is than the leader's; None before a look."""
        leader = self.leader
        if name == leader:
            return Interval(0.0, 0.0, 0.0)
        flipped = (name, leader) not in self._pairs
        evidence = self._pairs[(leader, name) if flipped else (name, leader)]
        if not evidence.seen:
            return None
        found = evidence.interval(self._alpha)
        value, low, high = (2 * end - 1 for end in (found.value, found.low, found.high))
        return Interval(-value, -high, -low) if flipped else Interval(value, low, high)
