"""What scores of other models are worth to a gate that has no baseline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from populations import Values, asked, family

from evalc.decide.predictors import Known, Predictor, predictor_of
from evalc.decide.trials import Trial
from evalc.decide.units import Units
from evalc.decide.verdicts import AtLeast

SIZE = 3_000
ALPHA = 0.05
OTHERS = 4
KINDS = ("none", "one", "mean", "ridge")


@dataclass(frozen=True)
class Gain:
    """The mean share of cases until a bound 2 points below is passed, and of runs in which a
    bound half a case above the truth was."""

    kind: str
    share: float
    wrong: float


def gains(runs: int) -> list[Gain]:
    """`runs` families of models for each way to use the others."""
    found = []
    for kind in KINDS:
        shares, wrong = [], 0
        for seed in range(runs):
            models = family(SIZE, 0.6, OTHERS + 1, np.random.default_rng(seed))
            truth = float(models[0].mean())
            shares.append(_decided(kind, models, truth - 0.02).seen / SIZE)
            small = family(164, 0.75, OTHERS + 1, np.random.default_rng([1, seed]))
            above = float(small[0].mean()) + 0.5 / 164
            wrong += _decided(kind, small, above).verdict.state == "pass"
        found.append(Gain(kind, float(np.mean(shares)), wrong / runs))
    return found


def _decided(kind: str, models: Values, bound: float) -> Trial:
    size = models.shape[1]
    # the cases are drawn in random order already
    units = Units(np.full(size, 1 / size), np.arange(size), np.arange(size + 1), np.ones(size))
    trial = Trial(
        AtLeast(bound),
        units,
        np.arange(size),
        alpha=ALPHA,
        gates=1,
        budget=size,
        predictor=_predictor(kind, models[1:]),
    )
    return asked(trial, models[0])


def _predictor(kind: str, others: Values) -> Predictor | None:
    if kind == "mean":
        return Known(others.mean(axis=0))
    used = {"none": 0, "one": 1, "ridge": len(others)}[kind]
    return predictor_of(list(others[:used]), leading=False)
