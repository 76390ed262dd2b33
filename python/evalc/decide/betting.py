"""Evidence about the value of a finite benchmark, from the part of it that has been asked.

Two wealth processes bet on the truth theta = sum a_u v_u, units drawn without replacement in
proportion to their weights: `up` grows if theta is larger than the value it is asked about, `down`
if it is smaller. At the truth both are nonnegative supermartingales that start at 1, so that either
ever reaches 1/alpha with probability at most alpha (Ville's inequality), whenever one looks. So
what counts is the most that a process ever was, at any unit in order, also between two looks.

The bets follow Waudby-Smith and Ramdas (2020, 2024) for sampling without replacement, and Shekhar,
Xu, Lipton, Liang and Ramdas (UAI 2023) for weights and for the control variate: anything known of
a unit before it is asked, such as its score under another model. A useless one costs power, never
validity, as its weight c is fixed before a round from the rounds before.

    A_t  weight of unit t and all after it      S_t  a * v summed over the units before t
    b_t  mean of f over unit t and all after it, weighted
    m_t(theta) = clip((theta - S_t) / A_t, 0, 1)
    g_t(theta) = v_t - m_t - c_t (f_t - b_t)
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evalc.score.cells import FloatArray

STAKES = 8
"""Bets are hedged over as many stakes, each the best for a decision of another length."""
SOONEST = 64.0
"""Units of the shortest decision."""
LONGEST = 3.0
"""Units of the longest decision, drawn with replacement, in those that there are."""
PATIENCE = 0.25
"""Stakes share the wealth in proportion to this power of their decisions' lengths."""
LENGTH = 8.8
"""A value a `gap` from its bound is decided after about LENGTH * variance / gap^2 units."""
AIMED = 0.4
"""Share of the wealth that is bet on the margin, when one is given."""
DOUBT = 0.8
"""Four pseudo-units of variance 0.2 that a small spread has to be seen against."""
MOST = 0.9
"""Share of the wealth that is at most lost at once."""
PRIOR = 4.0
"""Twenty pseudo-units of variance 0.2 that lean the control variate's weight towards 1."""
STEPS = 40
"""Bisections of an interval's end: 1e-12 of the remaining weight."""
SLACK = 1e-12
"""Sums of weights and values are as exact as this."""


@dataclass(frozen=True)
class Interval:
    """Where the benchmark's value lies, with an estimate inside; valid at any time of looking."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of its width."""
        return (self.high - self.low) / 2


class Evidence:
    """What the first units of an order say of the value of all of them.

    `weights` float64[N] sum to 1, in order. Rounds are added whole; what was added before is never
    looked at again, and the order in which a round's units were finished does not enter. `margin`,
    if above 0, is how far the value is likeliest to be from what `up` and `down` are asked about.
    """

    def __init__(self, weights: FloatArray, margin: float = 0.0) -> None:
        self.weights = weights
        self.remaining = np.cumsum(weights[::-1])[::-1]
        self.equal = bool(weights.max() - weights.min() <= SLACK * weights.max())
        self.seen = 0
        self._values = np.zeros(len(weights))
        self._predicted = np.zeros(len(weights))
        self._expected = np.zeros(len(weights))
        self._control = np.zeros(len(weights))
        self._variance = np.zeros(len(weights))
        self._margin = margin
        self._gaps, self._shares = _stakes(1.0 / float(weights @ weights), margin > 0)

    def add(self, values: FloatArray, predicted: FloatArray | None = None) -> None:
        """Add the next round: float64[k] values in [0, 1] of the next k units.

        `predicted` float64[N - seen], in [0, 1], are predictions for all units not seen before
        this round, made without knowing any of their values.
        """
        first, last = self.seen, self.seen + len(values)
        if len(values) and not (values.min() >= -SLACK and values.max() <= 1 + SLACK):
            raise ValueError("a unit's value is not in [0, 1]")
        self._values[first:last] = np.clip(values, 0.0, 1.0)
        if predicted is not None:
            rest, predicted = self.weights[first:], np.clip(predicted, 0.0, 1.0)
            later = np.cumsum((rest * predicted)[::-1])[::-1] / self.remaining[first:]
            self._predicted[first:last] = predicted[: len(values)]
            self._expected[first:last] = np.clip(later[: len(values)], 0.0, 1.0)
            self._control[first:last] = self._coefficient(first)
        self._variance[first:last] = self._spread(first, last)
        self.seen = last

    def at(self, seen: int) -> Evidence:
        """What it said when the first `seen` units had been added; shares their columns."""
        earlier = copy.copy(self)
        earlier.seen = min(seen, self.seen)
        return earlier

    def _coefficient(self, seen: int) -> float:
        values, predicted = self._values[:seen], self._predicted[:seen]
        if seen < 2:
            return 1.0
        apart = predicted - predicted.mean()
        covariance, variance = float(apart @ (values - values.mean())), float(apart @ apart)
        return min(1.0, max(0.0, (covariance + PRIOR) / (variance + PRIOR)))

    def _spread(self, seen: int, last: int) -> float:
        """Variance of a unit's value less its control variate, from the units before a round."""
        if seen < 2:
            return 0.2
        control = self._control[last - 1]
        apart = self._values[:seen] - control * (self._predicted[:seen] - self._expected[:seen])
        apart = apart - apart.mean()
        return (float(apart @ apart) + DOUBT) / (seen + DOUBT / 0.2)

    @property
    def values(self) -> FloatArray:
        """float64[seen]: the values of the units that were added."""
        return self._values[: self.seen]

    @property
    def complete(self) -> bool:
        """Whether every unit was added."""
        return self.seen == len(self.weights)

    @property
    def scored(self) -> float:
        """a * v summed over what was seen: the least that the value can be."""
        n = self.seen
        if self.equal:
            return math.fsum(self._values[:n].tolist()) / len(self.weights)
        return math.fsum((self.weights[:n] * self._values[:n]).tolist())

    @property
    def open(self) -> float:
        """Weight of what was not seen; `scored` + `open` is the most that the value can be."""
        if self.complete:
            return 0.0
        return float(self.remaining[self.seen]) if self.seen else 1.0

    def up(self, theta: float) -> float:
        """Natural log of the most evidence there ever was that the value is larger than `theta`."""
        gains, mean, control, expected = self._gains(theta)
        return self._most(gains, mean + control * (1.0 - expected))

    def down(self, theta: float) -> float:
        """Natural log of the most evidence there ever was that the value is below `theta`."""
        gains, mean, control, expected = self._gains(theta)
        return self._most(-gains, 1.0 - mean + control * expected)

    def apart(self, theta: float) -> float:
        """Natural log of the evidence there is now, on either side, that the value is not `theta`.

        Half the wealth of each process: an e-value at any one time of stopping, as `up` and `down`,
        the highest there ever were, are not. Infinite where the value cannot be `theta` any more.
        """
        least, most = self.scored, self.scored + self.open
        if not least - SLACK <= theta <= most + SLACK:
            return math.inf
        if not self.seen:
            return 0.0
        gains, mean, control, expected = self._gains(theta)
        up = self._logs(gains, mean + control * (1.0 - expected))
        down = self._logs(-gains, 1.0 - mean + control * expected)
        return _peak(np.concatenate([up, down])[:, -1:]) - math.log(2.0)

    def _gains(self, theta: float) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        n = self.seen
        values, control, expected = self._values[:n], self._control[:n], self._expected[:n]
        before = np.concatenate([[0.0], np.cumsum(self.weights[:n] * values)[:-1]])[:n]
        mean = np.clip((theta - before) / self.remaining[:n], 0.0, 1.0)
        gains = values - mean - control * (self._predicted[:n] - expected)
        return gains, mean, control, expected

    def _most(self, gains: FloatArray, loss: FloatArray) -> float:
        """Log of the highest mean wealth over the stakes, or of that before anything was seen."""
        return max(0.0, _peak(self._logs(gains, loss))) if self.seen else 0.0

    def _logs(self, gains: FloatArray, loss: FloatArray) -> FloatArray:
        """float64[stakes, n]: logs of each stake's wealth after each unit, its share counted in.

        From gains and worst losses float64[n].

        A stake is best at gap / variance for a gap between the value and what it is asked about, in
        units of the remaining weight's inverse. None can lose more than `MOST` of its wealth.
        """
        variance, remaining = self._variance[: self.seen], self.remaining[: self.seen]
        bets = np.empty((len(self._shares), self.seen))
        np.divide(self._gaps, np.sqrt(variance) * remaining, out=bets[:STAKES])
        if self._margin > 0:
            np.divide(self._margin, variance * remaining, out=bets[STAKES])
        np.minimum(bets, MOST / np.maximum(loss, 1e-300), out=bets)
        bets *= gains
        bets += 1.0
        logs = np.cumsum(np.log(bets, out=bets), axis=1, out=bets)
        logs += self._shares
        found: FloatArray = logs
        return found

    def interval(self, alpha: float) -> Interval:
        """The values that neither process refutes at alpha / 2, and the estimate."""
        least, most = self.scored, self.scored + self.open
        if self.complete:
            return Interval(least, least, least)
        limit = math.log(2.0 / alpha)
        low, high = least, most
        if self.up(least) >= limit:
            low = self._edge(self.up, least, most, limit)
        if self.down(most) >= limit:
            high = self._edge(self.down, most, least, limit)
        low, high = min(low, high), max(low, high)
        return Interval(min(max(self.estimate(), low), high), low, high)

    @staticmethod
    def _edge(
        evidence: Callable[[float], float], refuted: float, kept: float, limit: float
    ) -> float:
        """The last refuted value on the way from a refuted one to one that may hold."""
        for _ in range(STEPS):
            middle = (refuted + kept) / 2
            if evidence(middle) >= limit:
                refuted = middle
            else:
                kept = middle
        return refuted

    def estimate(self) -> float:
        """The value, estimated without bias; the control variate takes variance off.

        Equal weights without one: the mean of what was seen, which is what people check. Else each
        unit's own unbiased estimate S_t + A_t (v_t - c_t (f_t - b_t)), weighed by A_t^-2.
        """
        n = self.seen
        if not n:
            return 0.5
        if self.complete:
            return self.scored
        values, weights = self._values[:n], self.weights[:n]
        if self.equal and not self._control[:n].any():
            return math.fsum(values.tolist()) / n
        corrected = values - self._control[:n] * (self._predicted[:n] - self._expected[:n])
        before = np.concatenate([[0.0], np.cumsum(weights * values)[:-1]])
        single = before + self.remaining[:n] * corrected
        precision = self.remaining[:n] ** -2.0
        return float((precision * single).sum() / precision.sum())


def _stakes(units: float, aimed: bool) -> tuple[FloatArray, FloatArray]:
    """float64[8, 1] gaps in standard deviations, and logs of the shares of wealth bet on them.

    For a benchmark of so many equal units. With `aimed` one more share is of the margin.
    """
    lengths = np.geomspace(SOONEST, LONGEST * units, STAKES)[:, None]
    shares = lengths**PATIENCE
    shares *= (1.0 - AIMED if aimed else 1.0) / shares.sum()
    if aimed:
        shares = np.concatenate([shares, [[AIMED]]])
    return np.sqrt(LENGTH / lengths), np.log(shares)


def _peak(logs: FloatArray) -> float:
    """The largest log of a sum over k processes, of logs float64[k, n]."""
    top = logs.max(axis=0)
    # a sum is at most k times its largest part
    near = np.flatnonzero(top >= top.max() - math.log(len(logs)))
    sums = np.exp(logs[:, near] - top[near]).sum(axis=0)
    return float((top[near] + np.log(sums)).max())
