"""What a decision is expected to cost, in units, before any is asked."""

from __future__ import annotations

import math

HEDGE = 1.4
"""What hedging over stakes costs, in nats."""
SHIFT = 0.25
"""Variance of a score of which nothing is known."""


def expected_units(gap: float, variance: float, total: int, alpha: float) -> int:
    """Units until a value `gap` away from its bound is decided: n0 / (1 + n0 / N).

    n0 = 2 (ln(1 / alpha) + 1.4) s^2 / gap^2 without replacement from `total`. `variance` s^2 is of
    one unit: p (1 - p) without a predictor, the share of flips with a baseline.
    """
    if gap <= 0:
        return total
    first = 2.0 * (math.log(1.0 / alpha) + HEDGE) * variance / gap**2
    return min(total, max(1, math.ceil(first / (1.0 + first / total))))
