"""Predictors: what a unit's value is expected to be, from other scores of the same units.

A predictor is only a control variate: evidence stays valid whatever it says, and becomes stronger
as it is right. It may learn between rounds, from the units that were seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from evalc.score.cells import FloatArray

STRENGTH = 4.0
"""Twenty pseudo-units of variance 0.2 that hold a ridge to what it starts from."""


class Predictor(Protocol):
    """Predicts the values of the N units of an order that are not seen yet."""

    def predict(self, seen: FloatArray) -> FloatArray:
        """float64[N - k] in [0, 1], from the values float64[k] of the first k; deterministic."""


class Known:
    """The scores of another model, float64[N] in order, as they are."""

    def __init__(self, scores: FloatArray) -> None:
        self._scores = np.clip(scores, 0.0, 1.0)

    def predict(self, seen: FloatArray) -> FloatArray:
        """What the other model scored on the rest."""
        return self._scores[len(seen) :]


class Ridge:
    """A ridge regression, with an intercept, on the scores of M models, float64[M, N] in order.

    It shrinks to the weights `start` float64[M], with which it begins (Hoerl and Kennard 1970, with
    another centre than 0).
    """

    def __init__(self, scores: FloatArray, start: FloatArray) -> None:
        self._scores, self._start = scores, start

    def predict(self, seen: FloatArray) -> FloatArray:
        """What the regression on the units that were seen says of the rest."""
        count = len(seen)
        first, rest = self._scores[:, :count], self._scores[:, count:]
        if count < 2:
            return np.clip(_combined(self._start, rest), 0.0, 1.0)
        means = first.mean(axis=1)
        apart = first - means[:, None]
        left = seen - _combined(self._start, first)
        # no BLAS: its sums depend on the number of threads
        squares = np.einsum("in,jn->ij", apart, apart)
        moments = np.einsum("in,n->i", apart, left - left.mean())
        weights = self._start + np.linalg.solve(squares + STRENGTH * np.eye(len(means)), moments)
        level = float(seen.mean()) - float((weights * means).sum())
        return np.clip(level + _combined(weights, rest), 0.0, 1.0)


def _combined(weights: FloatArray, scores: FloatArray) -> FloatArray:
    found: FloatArray = np.einsum("i,in->n", weights, scores)
    return found


def predictor_of(known: Sequence[FloatArray], *, leading: bool) -> Predictor | None:
    """The best use of complete scores float64[N] of other models: a ridge of two or more.

    With `leading` the first is expected to be nearly right, as the model before a small change;
    else all count alike until more is seen.
    """
    if len(known) < 2:
        return Known(known[0]) if known else None
    start = np.full(len(known), 1.0 / len(known))
    if leading:
        start = np.zeros(len(known))
        start[0] = 1.0
    return Ridge(np.stack(known), start)
