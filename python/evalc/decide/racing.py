"""Racing: which of several candidates is best, spending only on those that can still be.

Every two of K candidates are compared by evidence on the difference of their scores. One is out
when another is better with evidence (K - 1) / alpha: the best one loses to none of its K - 1 rivals
with probability at least 1 - alpha.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from evalc.decide.betting import SLACK, Evidence
from evalc.decide.verdicts import paired_values
from evalc.score.cells import FloatArray

EVEN = 0.5
"""The mean of paired values of two that are equally good."""


class Race:
    """Candidates in one order of units, round by round."""

    def __init__(self, names: Sequence[str], weights: FloatArray, alpha: float) -> None:
        self.alive = list(names)
        self.total = len(weights)
        self.seen = 0
        self._limit = math.log((len(names) - 1) / alpha) if len(names) > 1 else 0.0
        self._pairs = {pair: Evidence(weights) for pair in combinations(names, 2)}
        self._values = {name: np.zeros(0) for name in names}
        self._weights = weights

    def add(self, values: Mapping[str, FloatArray]) -> None:
        """Add a round: float64[k] values of the next k units for every candidate alive."""
        for name in self.alive:
            self._values[name] = np.concatenate([self._values[name], values[name]])
        self.seen = len(self._values[self.alive[0]])
        for one, two in combinations(self.alive, 2):
            self._pairs[one, two].add(paired_values(values[one], values[two]))
        beaten = {loser for pair in combinations(self.alive, 2) if (loser := self._loser(*pair))}
        self.alive = [name for name in self.alive if name not in beaten] or self.alive

    def _loser(self, one: str, two: str) -> str | None:
        evidence = self._pairs[one, two]
        least, most = evidence.scored, evidence.scored + evidence.open
        if least > EVEN + SLACK or evidence.up(EVEN) >= self._limit:
            return two
        if most < EVEN - SLACK or evidence.down(EVEN) >= self._limit:
            return one
        return None

    @property
    def decided(self) -> bool:
        """Whether one is left, or all was asked and those left are equal."""
        return len(self.alive) == 1 or self.seen == self.total

    def scores(self) -> dict[str, float]:
        """The plain mean of what each candidate was asked, weighted."""
        return {
            name: float(self._weights[: len(v)] @ v / self._weights[: len(v)].sum())
            for name, v in self._values.items()
            if len(v)
        }
