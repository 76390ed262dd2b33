"""Evidence is as often wrong as it says, over populations whose truth is known.

The evidence itself is checked against the formulas of `evalc.decide.betting`, written out unit by
unit. EVALC_SIMULATIONS=2000 makes the simulations those of `benches/decide.py`.
"""

from __future__ import annotations

import itertools
import math
import os

import numpy as np
import pytest
from populations import PREDICTORS, WEIGHTS, Population, most_evidence, plain, run, weighed

from evalc.decide.betting import Evidence
from evalc.decide.rounds import next_round

SIMULATIONS = int(os.environ.get("EVALC_SIMULATIONS", "150"))
ALPHA = 0.05
WAVE = 32


def bound(count: int) -> float:
    """alpha and two standard errors of a share among `count`; three where few are looked at."""
    errors = 2 if count >= 2000 else 3
    return ALPHA + errors * math.sqrt(ALPHA * (1 - ALPHA) / count)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("size", [164, 1319])
def test_at_no_unit_is_the_truth_refuted_more_often_than_alpha(size: int, weights: str) -> None:
    count = SIMULATIONS if size < 1000 else max(20, SIMULATIONS // 3)
    for share, kind in itertools.product([0.5, 0.75, 0.95], PREDICTORS):
        outside = passed = failed = 0
        for seed in range(count):
            draw = np.random.default_rng([size, seed, round(100 * share), len(kind)])
            up, down = most_evidence(weighed(weights, size, share, kind, draw))
            outside += max(up, down) >= math.log(2 / ALPHA)
            passed += up >= math.log(1 / ALPHA)
            failed += down >= math.log(1 / ALPHA)
        assert max(outside, passed, failed) / count <= bound(count), (share, kind)


def written_out(found: Population, seen: int, theta: float, margin: float) -> tuple[float, float]:
    """The most wealth of both processes after `seen` units, one unit and one stake at a time."""
    a, v, f = found.weights.tolist(), found.values.tolist(), found.predicted
    n, effective = len(a), 1 / sum(x * x for x in a)
    lengths = [64 * (3 * effective / 64) ** (j / 7) for j in range(8)]
    whole = sum(x**0.25 for x in lengths)
    shares = [x**0.25 / whole * (0.6 if margin else 1.0) for x in lengths]
    shares += [0.4] if margin else []
    up, down = list(shares), list(shares)
    best_up = best_down = 1.0
    control, variance, end = 1.0 if f is not None else 0.0, 0.2, 0
    guesses: list[tuple[float, float]] = []
    for t in range(seen):
        left = sum(a[t:])
        if t == end:
            if t >= 2:
                control, variance = _learned(v[:t], guesses, f is not None)
            end = t + next_round(t, n, WAVE)
        own = 0.0 if f is None else float(f[t])
        rest = 0.0 if f is None else sum(a[i] * float(f[i]) for i in range(t, n)) / left
        guesses.append((own, rest))
        mean = min(1.0, max(0.0, (theta - sum(a[i] * v[i] for i in range(t))) / left))
        gain = v[t] - mean - control * (own - rest)
        for j in range(len(shares)):
            stake = margin / (variance * left) if j == 8 else math.sqrt(8.8 / lengths[j] / variance)
            stake = stake if j == 8 else stake / left
            up[j] *= 1 + min(stake, 0.9 / max(mean + control * (1 - rest), 1e-300)) * gain
            down[j] *= 1 - min(stake, 0.9 / max(1 - mean + control * rest, 1e-300)) * gain
        best_up, best_down = max(best_up, sum(up)), max(best_down, sum(down))
    return math.log(best_up), math.log(best_down)


def _learned(
    values: list[float], guesses: list[tuple[float, float]], predicted: bool
) -> tuple[float, float]:
    """The weight of the control variate, and the variance that it leaves."""
    n, guessed = len(values), [g[0] for g in guesses]
    mean, middle = sum(values) / n, sum(guessed) / n
    both = sum((v - mean) * (g - middle) for v, g in zip(values, guessed, strict=True))
    control = min(1.0, max(0.0, (both + 4) / (sum((g - middle) ** 2 for g in guessed) + 4)))
    control = control if predicted else 0.0
    residual = [v - control * (g[0] - g[1]) for v, g in zip(values, guesses, strict=True)]
    centre = sum(residual) / n
    return control, (sum((r - centre) ** 2 for r in residual) + 0.8) / (n + 4)


@pytest.mark.parametrize("margin", [0.0, 0.03])
@pytest.mark.parametrize("kind", PREDICTORS)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_evidence_is_what_its_formulas_say(weights: str, kind: str, margin: float) -> None:
    draw = np.random.default_rng([len(weights), len(kind), round(100 * margin)])
    found = weighed(weights, 230, 0.6, kind, draw)
    last = len(found.weights) - 1
    for seen in sorted({1, min(33, last), min(64, last), last}):
        evidence = run(found, lambda _: False, most=seen, margin=margin)
        for theta in (found.truth - 0.05, found.truth, found.truth + 0.1):
            wanted = written_out(found, seen, theta, margin)
            assert (evidence.up(theta), evidence.down(theta)) == pytest.approx(wanted, abs=1e-9)


def test_evidence_counts_at_its_peak_and_never_falls() -> None:
    found = plain(500, 0.6, "none", np.random.default_rng(8))
    peaks: list[tuple[float, float]] = []

    def look(evidence: Evidence) -> bool:
        peaks.append((evidence.up(0.57), evidence.down(0.57)))
        return False

    run(found, look)
    assert len(peaks) > 10
    for one, two in itertools.pairwise(peaks):
        assert two[0] >= one[0] >= 0
        assert two[1] >= one[1] >= 0
