"""Paired comparison: two sets of values for the same cases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalc.decide.distributions import mcnemar_p, normal_quantile, t_tail
from evalc.decide.estimates import LEVEL, Estimate, cluster_codes, detectable, macro, mean
from evalc.score.cells import FloatArray, IntArray

UNCHANGED = 1e-9
"""Values closer than this are the same value."""


@dataclass(frozen=True)
class Paired:
    """b - a over n common cases, with its 95 % interval and two-sided p value.

    `up` and `down` count the cases whose value rose and fell. `test` names what gave `p`:
    `mcnemar`, `student`, `clustered` or `none`; None stands where the cases do not say.
    """

    n: int
    a: float | None
    b: float | None
    delta: float | None
    stderr: float | None
    low: float | None
    high: float | None
    p: float | None
    test: str
    up: int
    down: int

    @property
    def detectable(self) -> float | None:
        """The least difference that as many paired cases, changing as often, would show.

        Binary: of Bonett and Price's adjusted standard error, for changes not seen may come.
        """
        if self.test == "mcnemar":
            return detectable(_adjusted(self.up, self.down, self.n)[1])
        return detectable(self.stderr) if self.stderr else None


def paired(
    a: FloatArray,
    b: FloatArray,
    *,
    binary: bool = False,
    clusters: Sequence[str] | None = None,
    strata: Sequence[str] | None = None,
) -> Paired:
    """Compare values of the same n cases, in the same order; `strata` weigh equally if given.

    Independent binary values: Bonett and Price's interval (2012) and exact McNemar. Else Student's
    t on the differences, over clusters when there are any. No p value under `strata`.
    """
    n = len(a)
    difference = b - a
    difference[np.abs(difference) <= UNCHANGED] = 0.0
    up, down = int((difference > 0).sum()), int((difference < 0).sum())
    if not n:
        return Paired(0, None, None, None, None, None, None, None, "none", 0, 0)
    codes = cluster_codes(clusters)
    before, after, over = (_over(values, codes, strata) for values in (a, b, difference))
    low, high, p, test = over.low, over.high, None, "none"
    if strata is None and binary and codes is None:
        low, high = bonett_price(up, down, n)
        p, test = mcnemar_p(up, down), "mcnemar"
    elif strata is None:
        units = n if codes is None else len(np.unique(codes))
        p, test = _t_test(over.value, over.stderr, units - 1), over.method
    return Paired(
        n, before.value, after.value, over.value, over.stderr, low, high, p, test, up, down
    )


def _over(values: FloatArray, codes: IntArray | None, strata: Sequence[str] | None) -> Estimate:
    groups = cluster_codes(strata)
    if groups is None:
        return mean(values, codes)
    parts = []
    for group in np.unique(groups):
        own = groups == group
        parts.append(mean(values[own], None if codes is None else codes[own]))
    return macro("", parts)


def _t_test(value: float | None, stderr: float | None, df: float) -> float | None:
    if value is None or stderr is None or df < 1:
        return None
    if stderr == 0:
        return 1.0 if value == 0 else None
    return min(1.0, 2 * t_tail(abs(value) / stderr, df))


def bonett_price(up: int, down: int, n: int) -> tuple[float, float]:
    """Adjusted Wald interval of a difference of paired shares, (up - down) / n (Bonett and Price
    2012, Statistics in Medicine 31)."""
    centre, stderr = _adjusted(up, down, n)
    half = normal_quantile(0.5 + LEVEL / 2) * stderr
    return max(-1.0, centre - half), min(1.0, centre + half)


def _adjusted(up: int, down: int, n: int) -> tuple[float, float]:
    """The difference and its standard error with one more case of each kind."""
    rose, fell = (up + 1) / (n + 2), (down + 1) / (n + 2)
    return rose - fell, math.sqrt((rose + fell - (rose - fell) ** 2) / (n + 2))
