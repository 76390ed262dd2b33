"""How many of its cases a gate is decided by, with the product's own trials.

A population has 60 % of its cases right in the baseline. In another 5 % the model under test has
flipped, or as many as its drop takes; the units' order is that of `Units` at a new seed each run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from populations import Values, asked, binary, flipped

from evalc.decide.expectation import expected_units
from evalc.decide.predictors import Known
from evalc.decide.rounds import next_round
from evalc.decide.trials import WAVE, Trial
from evalc.decide.units import Units
from evalc.decide.verdicts import AtLeast

SIZES = (1319, 10042, 14042)
RIGHT = 0.6
FLIPS = 0.05
ALPHA = 0.05


@dataclass(frozen=True)
class Setting:
    """A gate: how far the model may drop, and how far it has; without `baseline` the bound alone.

    `most` are the median shares wanted, by size.
    """

    name: str
    allowed: float
    drop: float
    baseline: bool = True
    most: tuple[float, ...] = ()

    @property
    def gap(self) -> float:
        """How far the truth is from the bound."""
        return abs(self.allowed - self.drop)


@dataclass(frozen=True)
class Cost:
    """Shares of the cases asked: the median, and the most that is wanted of it; what nine in ten
    runs get by with; the median expected. `wrong` counts verdicts."""

    setting: Setting
    size: int
    most: float
    median: float
    late: float
    wrong: int
    expected: float


SETTINGS = (
    Setting("nothing changed, may drop 1 point", 0.01, 0.0, most=(0.80, 0.30, 0.25)),
    Setting("nothing changed, may drop 2 points", 0.02, 0.0, most=(0.48, 0.12, 0.10)),
    Setting("nothing changed, may drop 5 points", 0.05, 0.0, most=(0.17, 0.05, 0.04)),
    Setting("no baseline, 2 points above", 0.02, 0.0, False, most=(0.80, 0.30, 0.26)),
    Setting("dropped 1 point, may drop 2", 0.02, 0.01, most=(0.80, 0.30, 0.25)),
    Setting("dropped 3 points, may drop 1", 0.01, 0.03, most=(0.48, 0.12, 0.10)),
    Setting("dropped 4 points, may drop 2", 0.02, 0.04, most=(0.48, 0.12, 0.10)),
    Setting("dropped 7 points, may drop 2", 0.02, 0.07, most=(0.17, 0.05, 0.04)),
    Setting("no baseline, 2 points below", 0.01, 0.03, False, most=(0.80, 0.30, 0.26)),
)


def costs(runs: int, setting: Setting) -> Iterator[Cost]:
    """`runs` decisions at every size."""
    for size, most in zip(SIZES, setting.most, strict=True):
        yield _cost(setting, size, most, runs)


def _cost(setting: Setting, size: int, most: float, runs: int) -> Cost:
    seen, wrong = [], 0
    for seed in range(runs):
        trial = asked(*decision(setting, size, np.random.default_rng([size, seed]), seed))
        right = "pass" if setting.drop <= setting.allowed else "fail"
        wrong += trial.verdict.state not in (right, "open")
        seen.append(trial.seen / size)
    variance = _flips(setting) - setting.drop**2
    if not setting.baseline:
        variance = (RIGHT - setting.drop) * (1 - RIGHT + setting.drop)
    expected, units = 0, expected_units(setting.gap, variance, size, ALPHA)
    while expected < units:
        expected += next_round(expected, size, WAVE)
    late = float(np.quantile(seen, 0.9))
    return Cost(setting, size, most, float(np.median(seen)), late, wrong, expected / size)


def decision(
    setting: Setting, size: int, draw: np.random.Generator, seed: int
) -> tuple[Trial, Values]:
    """A trial and the values of all cases of the model under test."""
    before = binary(size, RIGHT, draw)
    dropped = round(setting.drop * size)
    flips = round(_flips(setting) * size)
    after = flipped(before, flips + (flips + dropped) % 2, dropped, draw)
    units = Units.of([f"case {case}" for case in range(size)], seed=seed)
    bound = float(before.mean()) - setting.allowed
    trial = Trial(
        AtLeast(bound, setting.allowed if setting.baseline else 0.0),
        units,
        np.arange(size),
        alpha=ALPHA,
        gates=1,
        budget=size,
        predictor=Known(units.values(before)) if setting.baseline else None,
    )
    return trial, after


def _flips(setting: Setting) -> float:
    return max(FLIPS, setting.drop)
