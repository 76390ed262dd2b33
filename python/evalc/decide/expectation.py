"""What a decision is expected to cost, in units, before any is asked."""

from __future__ import annotations

import math
from dataclasses import dataclass

from evalc.decide import races, trials
from evalc.decide.rounds import GROWTH, next_round
from evalc.spec.models import GateSpec

START = 32
"""Units until stakes know the spread that they are sized by."""
FLIPS = 0.05
"""Share of cases that a small change flips."""
APART = 0.05
"""How far a value of which nothing is known is taken to be from its bound."""
UNKNOWN = 0.25
"""Variance of a score of which nothing is known."""
AHEAD, RACE_FLIPS = 0.02, 0.1
"""How far the best of a race is taken to be ahead, and the share of cases that differ."""


@dataclass(frozen=True, slots=True)
class Expected:
    """`cases` of `total` until a decision, if what it `assumes`, a clause, holds."""

    cases: int
    total: int
    assumes: str


def expected_units(gap: float, variance: float, total: int, alpha: float) -> int:
    """Units until a value `gap` away from its bound is decided: n0 / (1 + n0 / N).

    n0 = 2 ln(1 / alpha) s^2 / gap^2 + 32 without replacement from `total`. `variance` s^2 is of one
    unit: p (1 - p) without a predictor, the share of flips with a baseline. This is the median, as
    measured (`benches/decide.py`); one run in ten takes twice as many.
    """
    if gap <= 0:
        return total
    first = 2.0 * math.log(1.0 / alpha) * variance / gap**2 + START
    return min(total, max(1, math.ceil(first / (1.0 + first / total))))


def expected(key: str, gate: GateSpec, total: int, known: float | None) -> Expected:
    """What the condition `key` of a gate, or its race (`among`), is expected to cost.

    `total` cases are there. `known` is the baseline's value on them, None where it is not known.
    """
    if key == "among":
        units = expected_units(AHEAD, RACE_FLIPS, total, gate.alpha)
        assumes = f"the best is {_points(AHEAD)} ahead and {RACE_FLIPS:.0%} of cases differ"
        return Expected(_look(units, total, races.WAVE, races.GROWTH), total, assumes)
    gap, assumes = _gap(key, gate, known)
    variance, alpha = _variance(key, gate), gate.alpha
    if key == "half_width":
        alpha /= 2
    if gate.baseline is not None:
        assumes += f" and {FLIPS:.0%} of cases flip"
    units = expected_units(gap, variance, total, alpha)
    return Expected(_look(units, total, trials.WAVE, GROWTH), total, assumes)


def _gap(key: str, gate: GateSpec, known: float | None) -> tuple[float, str]:
    if key == "half_width":
        assert gate.half_width is not None
        return gate.half_width, "scores vary as much as they can"
    if key == "max_drop":
        assert gate.max_drop is not None
        return gate.max_drop, f"nothing has changed since {gate.baseline}"
    bound = gate.min if key == "min" else gate.max
    assert bound is not None
    if known is None:
        return APART, f"it is {_points(APART)} from its bound"
    return abs(known - bound), f"it scores {known:.4f}, as {gate.baseline}"


def _variance(key: str, gate: GateSpec) -> float:
    if gate.baseline is not None:
        return FLIPS
    bound = {"min": gate.min, "max": gate.max}.get(key)
    return UNKNOWN if bound is None else max(0.0, bound * (1.0 - bound))


def _points(share: float) -> str:
    return f"{100 * share:g} points"


def _look(units: int, total: int, wave: int, growth: float) -> int:
    """The first look at which so many units were seen."""
    seen = 0
    while seen < min(units, total):
        seen += next_round(seen, total, wave, growth)
    return seen
