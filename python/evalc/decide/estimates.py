"""Estimates: a value over cases with its standard error and a 95 % interval.

Standard errors and intervals are of the population of such questions from which the cases are
seen as a sample; nothing here accounts for having looked early.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalc.decide.distributions import normal_quantile, t_quantile
from evalc.score.cells import FloatArray, IntArray
from evalc.score.columns import Column, Corpus, Ratio

LEVEL = 0.95
_TAIL = 0.5 + LEVEL / 2
JACKKNIFE_GROUPS = 200
POWER = 0.8
"""Probability with which a detectable effect is found."""


@dataclass(frozen=True)
class Estimate:
    """A metric's value over `n` scored of `total` wanted cases.

    `stderr`, `low` and `high` are None where the cases do not say (fewer than two, or than two
    clusters), `value` where no case is scored. `method` names the interval: `wilson`, `student`,
    `clustered`, `delta`, `jackknife`, `macro` or `none`.
    """

    metric: str
    value: float | None
    stderr: float | None
    n: int
    total: int
    low: float | None
    high: float | None
    method: str

    @property
    def complete(self) -> bool:
        """Whether every case is scored."""
        return self.n == self.total

    @property
    def detectable(self) -> float | None:
        """The least difference from another model that as many other cases would show.

        None where cases that are all alike do not say how much they vary.
        """
        return detectable(math.sqrt(2.0) * self.stderr) if self.stderr else None


def detectable(stderr: float) -> float:
    """The minimum detectable effect: the difference that a two-sided test at 5 % finds with a
    probability of `POWER`, if its standard error is this (normal; Cohen 1988, chapter 2)."""
    return (normal_quantile(_TAIL) + normal_quantile(POWER)) * stderr


def cluster_codes(clusters: Sequence[str] | None) -> IntArray | None:
    """int64[n]: clusters numbered from 0; None without clusters."""
    if clusters is None:
        return None
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in clusters], dtype=np.int64)


def estimate(
    column: Column, codes: IntArray | None = None, within: IntArray | None = None
) -> Estimate:
    """The column's estimate over all cases, or over those at the indices `within`.

    `codes` are the clusters of all cases (`cluster_codes`).
    """
    cases = np.arange(len(column.values)) if within is None else within
    total = len(cases)
    cases = cases[column.present[cases]]
    own = None if codes is None else codes[cases]
    if not len(cases):
        return Estimate(column.name, None, None, 0, total, None, None, "none")
    aggregate = column.aggregate
    if isinstance(aggregate, Ratio):
        found = _ratio(aggregate, cases, own)
    elif isinstance(aggregate, Corpus):
        found = _jackknife(aggregate, cases, own)
    else:
        found = mean(column.values[cases], own, binary=column.binary)
    return replace(found, metric=column.name, total=total)


def mean(values: FloatArray, codes: IntArray | None = None, *, binary: bool = False) -> Estimate:
    """A mean: sample sd / sqrt(n), as the reference harness; CR1 over clusters when there are any.

    Interval: Wilson's for independent binary values, else Student's t with n - 1 (clusters: G - 1)
    degrees of freedom, cut to [0, 1] for binary values.
    """
    n = len(values)
    value = math.fsum(values.tolist()) / n
    stderr = ratio_stderr(values, np.ones(n), codes)
    if codes is None and binary:
        return Estimate("", value, stderr, n, n, *wilson(value, n), "wilson")
    units = n if codes is None else len(np.unique(codes))
    low, high = _student(value, stderr, units - 1)
    if binary and low is not None and high is not None:
        low, high = max(0.0, low), min(1.0, high)
    return Estimate("", value, stderr, n, n, low, high, "student" if codes is None else "clustered")


def ratio_stderr(
    numerator: FloatArray, denominator: FloatArray, codes: IntArray | None
) -> float | None:
    """Standard error of sum(numerator) / sum(denominator) by linearisation (Cochran 1977, 6.4).

    With residuals e = numerator - ratio * denominator, summed within each of the G clusters (each
    case its own without `codes`): sqrt(G / (G - 1) * sum e^2) / sum(denominator). Equal to sample
    sd / sqrt(n) for a mean, and to CR1 for a clustered mean. None when G < 2.
    """
    residuals = numerator - numerator.sum() / denominator.sum() * denominator
    if codes is not None:
        _, codes = np.unique(codes, return_inverse=True)
        residuals = np.bincount(codes, weights=residuals)
    units = len(residuals)
    if units < 2:
        return None
    return math.sqrt(units / (units - 1) * float(residuals @ residuals)) / float(denominator.sum())


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's score interval (1927) of a share among n."""
    z = normal_quantile(_TAIL)
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if share == 0 else max(0.0, centre - half)
    high = 1.0 if share == 1 else min(1.0, centre + half)
    return low, high


def _student(value: float, stderr: float | None, df: float) -> tuple[float | None, float | None]:
    if stderr is None or df < 1:
        return None, None
    half = t_quantile(_TAIL, df) * stderr
    return value - half, value + half


def _ratio(ratio: Ratio, cases: IntArray, codes: IntArray | None) -> Estimate:
    """Delta method; the interval of an exponential is that of its logarithm, exponentiated."""
    over, under = ratio.numerator[cases], ratio.denominator[cases]
    n = len(cases)
    if not under.sum():
        return Estimate("", None, None, n, n, None, None, "none")
    inner = float(over.sum() / under.sum())
    spread = ratio_stderr(over, under, codes)
    units = n if codes is None else len(np.unique(codes))
    low, high = _student(inner, spread, units - 1)
    if not ratio.exponential:
        return Estimate("", inner, spread, n, n, low, high, "delta")
    value = _exp(inner)
    stderr = None if spread is None else value * spread
    bottom, top = (None if end is None else _exp(end) for end in (low, high))
    return Estimate("", value, stderr, n, n, bottom, top, "delta")


def _exp(x: float) -> float:
    return math.exp(x) if x < 709 else math.inf


def _jackknife(corpus: Corpus, cases: IntArray, codes: IntArray | None) -> Estimate:
    """Delete-one-group jackknife (Efron and Stein 1981): sqrt((G - 1) / G * sum (v_g - mean)^2).

    The groups are the clusters, else single cases, else (above `JACKKNIFE_GROUPS`) every G-th case.
    """
    statistics = corpus.statistics[cases]
    n = len(cases)
    total = statistics.sum(axis=0)
    value = corpus.combine(total)
    if codes is None:
        codes = np.arange(n) % min(n, JACKKNIFE_GROUPS)
    _, codes = np.unique(codes, return_inverse=True)
    groups = int(codes.max()) + 1
    if groups < 2:
        return Estimate("", value, None, n, n, None, None, "jackknife")
    sums = np.zeros((groups, statistics.shape[1]))
    np.add.at(sums, codes, statistics)
    without = np.array([corpus.combine(total - own) for own in sums])
    deviations = without - without.mean()
    stderr = math.sqrt((groups - 1) / groups * float(deviations @ deviations))
    low, high = _student(value, stderr, groups - 1)
    return Estimate("", value, stderr, n, n, low, high, "jackknife")


def macro(name: str, parts: Sequence[Estimate]) -> Estimate:
    """The plain mean of the estimates of disjoint slices, their variances combined.

    Degrees of freedom by Welch and Satterthwaite. No value when a slice has none: leaving it out
    would silently change what is averaged.
    """
    n, total = sum(part.n for part in parts), sum(part.total for part in parts)
    values = [part.value for part in parts if part.value is not None]
    if not parts or len(values) < len(parts):
        return Estimate(name, None, None, n, total, None, None, "none")
    value = math.fsum(values) / len(values)
    errors = [part.stderr for part in parts if part.stderr is not None]
    if len(errors) < len(parts):
        return Estimate(name, value, None, n, total, None, None, "macro")
    variances = [error * error for error in errors]
    stderr = math.sqrt(math.fsum(variances)) / len(parts)
    weight = math.fsum(v * v / (part.n - 1) for v, part in zip(variances, parts, strict=True))
    df = math.fsum(variances) ** 2 / weight if weight > 0 else 1.0
    low, high = _student(value, stderr, max(1.0, df))
    return Estimate(name, value, stderr, n, total, low, high, "macro")
