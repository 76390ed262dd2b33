"""The few distributions that intervals need, without scipy (which the tests compare with)."""

from __future__ import annotations

import math
from statistics import NormalDist


def normal_quantile(p: float) -> float:
    """The standard normal's quantile, 0 < p < 1."""
    return NormalDist().inv_cdf(p)


def t_quantile(p: float, df: float) -> float:
    """Student's t quantile for 0.5 <= p < 1 and df >= 1 (real), to about 1e-10 relative.

    Bisects the upper tail I_{df/(df+t^2)}(df/2, 1/2) / 2, which falls with t.
    """
    if p == 0.5:
        return 0.0
    low, high = 0.0, 1.0
    while t_tail(high, df) > 1 - p:
        low, high = high, high * 2
    for _ in range(100):
        middle = (low + high) / 2
        if t_tail(middle, df) > 1 - p:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def t_tail(t: float, df: float) -> float:
    """P(T > t) for t >= 0 under Student's t with df degrees of freedom."""
    whole = df + t * t
    return regularised_beta(df / whole, t * t / whole, df / 2, 0.5) / 2


def regularised_beta(x: float, rest: float, a: float, b: float) -> float:
    """I_x(a, b) by its continued fraction (Abramowitz and Stegun 26.5.8, evaluated by Lentz).

    `rest` is 1 - x, given apart because the difference would lose it where x is near 1.
    """
    if x <= 0:
        return 0.0
    if rest <= 0:
        return 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - regularised_beta(rest, x, b, a)
    log_front = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)
    )
    return math.exp(log_front) / (a * _beta_fraction(x, a, b))


def _beta_fraction(x: float, a: float, b: float) -> float:
    """1 + d1 x/(1 + d2 x/(1 + ...)), the denominator of the incomplete beta's expansion."""
    tiny = 1e-300
    fraction, c, d = 1.0, 1.0, 0.0
    for step in range(1, 10_000):
        m = step // 2
        if step % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / ((1 + term * d) or tiny)
        c = (1 + term / c) or tiny
        fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return fraction


def mcnemar_p(fixed: int, broken: int) -> float:
    """Exact two-sided McNemar: 2 P(X <= min) under Binomial(fixed + broken, 1/2), at most 1."""
    n, least = fixed + broken, min(fixed, broken)
    if 2 * least >= n - 1:
        return 1.0
    logs = [
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in range(least + 1)
    ]
    top = max(logs)
    total = math.fsum(math.exp(value - top) for value in logs)
    return min(1.0, math.exp(top + math.log(total) + (1 - n) * math.log(2)))
