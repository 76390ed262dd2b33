"""What a decision is expected to cost, in units, before any is asked."""

from __future__ import annotations

import math

HEDGE = 0.3
"""What hedging over stakes costs the median decision, in nats; measured (`benches/decide.py`)."""
START = 32
"""Units until stakes know the spread that they are sized by."""
SHIFT = 0.25
"""Variance of a score of which nothing is known."""


def expected_units(gap: float, variance: float, total: int, alpha: float) -> int:
    """Units until a value `gap` away from its bound is decided: n0 / (1 + n0 / N).

    n0 = 2 (ln(1 / alpha) + 0.3) s^2 / gap^2 + 32, without replacement from `total`. `variance` s^2
    is of one unit: p (1 - p) without a predictor, the share of flips with a baseline. The median;
    one in ten takes twice as many.
    """
    if gap <= 0:
        return total
    first = 2.0 * (math.log(1.0 / alpha) + HEDGE) * variance / gap**2 + START
    return min(total, max(1, math.ceil(first / (1.0 + first / total))))
