"""How often anytime evidence is wrong, over populations with a known truth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from populations import PREDICTORS, WEIGHTS, Population, binary, most_evidence, weighed

from evalc.decide.estimates import wilson

SIZES = (164, 1319)
SHARES = (0.5, 0.75, 0.95)
ALPHA = 0.05


@dataclass(frozen=True)
class Cell:
    """Shares of `runs` in which something was wrong at any unit before the last.

    `outside`: the interval left the truth out. `passed`, `failed`: a gate just above, or exactly
    at, the truth did.
    """

    size: int
    share: float
    predictor: str
    weights: str
    runs: int
    outside: float
    passed: float
    failed: float

    @property
    def holds(self) -> bool:
        """Whether no share is above alpha by more than two standard errors."""
        most = ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / self.runs)
        return max(self.outside, self.passed, self.failed) <= most


def coverage(runs: int, sizes: Sequence[int]) -> Iterator[Cell]:
    """A cell of `runs` populations for each size, share, predictor and kind of weights."""
    for size, share, predictor, kind in product(sizes, SHARES, PREDICTORS, WEIGHTS):
        yield _cell(size, share, predictor, kind, runs)


def _cell(size: int, share: float, predictor: str, weights: str, runs: int) -> Cell:
    outside = passed = failed = 0
    for seed in range(runs):
        key = [size, seed, round(share * 100), PREDICTORS.index(predictor), WEIGHTS.index(weights)]
        found = weighed(weights, size, share, predictor, np.random.default_rng(key))
        up, down = most_evidence(found)
        outside += max(up, down) >= math.log(2 / ALPHA)
        passed += up >= math.log(1 / ALPHA)
        failed += down >= math.log(1 / ALPHA)
    wrong = (outside / runs, passed / runs, failed / runs)
    return Cell(size, share, predictor, weights, runs, *wrong)


def peeked(size: int, share: float, runs: int, looks: int, *, corrected: bool) -> float:
    """Share of runs in which Wilson's interval leaves the truth out at any of so many looks.

    `corrected` narrows it by the finite population's factor.
    """
    wrong = 0
    ends = np.unique(np.linspace(size / looks, size, looks + 1)[:-1].round().astype(int))
    for seed in range(runs):
        values = binary(size, share, np.random.default_rng([size, seed]))
        means, truth = np.cumsum(values)[ends - 1] / ends, float(values.mean())
        for n, found in zip(ends.tolist(), means.tolist(), strict=True):
            low, high = wilson(found, n)
            factor = math.sqrt((size - n) / (size - 1)) if corrected else 1.0
            if not found - (found - low) * factor <= truth <= found + (high - found) * factor:
                wrong += 1
                break
    return wrong / runs


def first_rows(size: int, runs: int) -> float:
    """Share of wrong verdicts where the gate is at the truth and the order is the file's.

    The file begins with what is easier: its first half is right in 80 %, its second in 60 %.
    """
    wrong = 0
    for seed in range(runs):
        draw = np.random.default_rng([size, seed])
        half = size // 2
        values = np.concatenate([binary(half, 0.8, draw), binary(size - half, 0.6, draw)])
        found = Population(np.full(size, 1 / size), values, None)
        wrong += max(most_evidence(found)) >= math.log(1 / ALPHA)
    return wrong / runs
