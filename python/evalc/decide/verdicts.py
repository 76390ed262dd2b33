"""Verdicts: whether a value passes its gate, with a bounded probability of being wrong.

A gate passes at level alpha. With G gates each fails at alpha / G, so that the probability that any
of them fails wrongly is at most alpha. What no further result can change is certain, whatever the
statistics say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from evalc.decide.betting import SLACK, Evidence
from evalc.score.cells import FloatArray

State = Literal["pass", "fail", "open"]
Basis = Literal["certain", "evidence", "none"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A state and what it rests on; `open` is not decided yet, or never was.

    `error` bounds the probability that it is wrong.
    """

    state: State
    basis: Basis
    error: float = 0.0


OPEN = Verdict("open", "none", 1.0)
CERTAINLY = Verdict("pass", "certain")
CERTAINLY_NOT = Verdict("fail", "certain")


@dataclass(frozen=True, slots=True)
class AtLeast:
    """The value has to reach `bound`; `margin` is how far above it is if nothing has changed."""

    bound: float
    margin: float = 0.0

    def judge(self, evidence: Evidence, alpha: float, gates: int = 1) -> Verdict:
        """The verdict now."""
        least, most = evidence.scored, evidence.scored + evidence.open
        if least >= self.bound - SLACK:
            return CERTAINLY
        if most < self.bound - SLACK:
            return CERTAINLY_NOT
        return _judged(evidence.up(self.bound), evidence.down(self.bound), alpha, gates)


@dataclass(frozen=True, slots=True)
class AtMost:
    """The value may not be larger than `bound`."""

    bound: float

    def judge(self, evidence: Evidence, alpha: float, gates: int = 1) -> Verdict:
        """The verdict now."""
        least, most = evidence.scored, evidence.scored + evidence.open
        if most <= self.bound + SLACK:
            return CERTAINLY
        if least > self.bound + SLACK:
            return CERTAINLY_NOT
        return _judged(evidence.down(self.bound), evidence.up(self.bound), alpha, gates)


@dataclass(frozen=True, slots=True)
class Narrow:
    """The interval has to be as narrow on each side; cannot fail, but may stay open."""

    half_width: float

    def judge(self, evidence: Evidence, alpha: float, gates: int = 1) -> Verdict:
        """The verdict now; `gates` changes nothing."""
        found = evidence.interval(alpha)
        if found.half_width <= self.half_width + SLACK:
            return Verdict("pass", "certain" if evidence.complete else "evidence", alpha)
        return OPEN


Condition = AtLeast | AtMost | Narrow


def _judged(good: float, bad: float, alpha: float, gates: int) -> Verdict:
    """From logs of the evidence that the gate's condition holds, and that it does not."""
    if good >= math.log(1.0 / alpha):
        return Verdict("pass", "evidence", alpha)
    if bad >= math.log(gates / alpha):
        return Verdict("fail", "evidence", alpha / gates)
    return OPEN


def together(verdicts: list[Verdict]) -> Verdict:
    """The verdict of conditions that all have to hold."""
    for verdict in verdicts:
        if verdict.state == "fail":
            return verdict
    if any(verdict.state == "open" for verdict in verdicts):
        return OPEN
    basis: Basis = "certain" if all(v.basis == "certain" for v in verdicts) else "evidence"
    return Verdict("pass", basis, max((v.error for v in verdicts), default=0.0))


def paired_values(values: FloatArray, baseline: FloatArray) -> FloatArray:
    """Differences in [-1, 1] brought to [0, 1]: 1/2 where nothing has changed.

    For units that the baseline has answered, where it has not answered all of them.
    """
    found: FloatArray = (values - baseline + 1.0) / 2.0
    return found


def half(drop: float) -> float:
    """The bound on a mean of `paired_values` that a drop of at most `drop` means."""
    return (1.0 - drop) / 2.0
