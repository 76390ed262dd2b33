"""Anytime evidence about a finite benchmark: right as often as it says, and never slack."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from populations import (
    PREDICTORS,
    Population,
    binary,
    flipped,
    grouped,
    plain,
    run,
)

from evalc.decide.betting import Evidence
from evalc.decide.expectation import expected_units
from evalc.decide.verdicts import AtLeast, Narrow, half, paired_values

ALPHA = 0.05


@pytest.mark.parametrize(
    ("size", "drop", "most"),
    [(1319, 0.02, 0.55), (1319, 0.05, 0.20), (10042, 0.02, 0.14), (14042, 0.05, 0.05)],
)
def test_a_regression_gate_needs_a_small_share_of_the_cases(
    size: int, drop: float, most: float
) -> None:
    shares = []
    for seed in range(21):
        draw = np.random.default_rng([size, seed])
        before = binary(size, 0.6, draw)
        after = flipped(before, round(0.05 * size), 0, draw)
        found = Population(np.full(size, 1 / size), after, before)
        gate = AtLeast(float(before.mean()) - drop)
        evidence = run(found, lambda e, g=gate: g.judge(e, ALPHA).state != "open")
        assert gate.judge(evidence, ALPHA).state == "pass"
        shares.append(evidence.seen / size)
    assert np.median(shares) <= most


def test_a_collapse_is_caught_by_a_smoke_test() -> None:
    caught = 0
    for seed in range(100):
        draw = np.random.default_rng(seed)
        before = binary(1000, 0.6, draw)
        after = flipped(before, 200, 200, draw)
        found = Population(np.full(1000, 1e-3), after, before)
        gate = AtLeast(0.6 - 0.01)
        evidence = run(found, lambda e, g=gate: e.seen >= 96 or g.judge(e, ALPHA).state != "open")
        caught += gate.judge(evidence, ALPHA).state == "fail"
    assert caught >= 88


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=40),
    st.integers(0, 1 << 30),
)
@settings(max_examples=60, deadline=None)
def test_the_interval_shrinks_to_the_truth_and_holds_the_estimate(
    values: list[float], seed: int
) -> None:
    draw = np.random.default_rng(seed)
    weights = draw.random(len(values)) + 0.1
    found = Population(weights / weights.sum(), np.array(values), draw.random(len(values)))
    seen: list[tuple[float, float]] = []

    def look(evidence: Evidence) -> bool:
        interval = evidence.interval(ALPHA)
        assert interval.low <= interval.value <= interval.high
        assert evidence.scored - 1e-12 <= interval.low
        assert interval.high <= evidence.scored + evidence.open + 1e-12
        seen.append((interval.low, interval.high))
        return False

    run(found, look, wave=4)
    assert seen[-1] == pytest.approx((found.truth, found.truth), abs=1e-12)


def test_evidence_falls_and_rises_with_what_it_is_asked_about() -> None:
    found = plain(400, 0.7, "good", np.random.default_rng(3))
    evidence = run(found, lambda e: e.seen >= 100)
    thetas = np.linspace(0.0, 1.0, 41)
    up, down = [evidence.up(t) for t in thetas], [evidence.down(t) for t in thetas]
    assert all(a >= b - 1e-9 for a, b in itertools.pairwise(up))
    assert all(a <= b + 1e-9 for a, b in itertools.pairwise(down))


def test_a_good_predictor_narrows_and_an_opposite_one_costs_little() -> None:
    widths = {}
    for kind in PREDICTORS:
        own = []
        for seed in range(20):
            found = plain(2000, 0.7, kind, np.random.default_rng(seed))
            own.append(run(found, lambda e: e.seen >= 400).interval(ALPHA).half_width)
        widths[kind] = float(np.mean(own))
    assert widths["good"] < 0.7 * widths["none"]
    assert widths["opposite"] < 1.25 * widths["none"]


def test_the_estimate_is_without_bias_under_unequal_weights() -> None:
    errors, naive = [], []
    for seed in range(400):
        found = grouped(300, 0.6, "good", np.random.default_rng(seed))
        evidence = run(found, lambda e: e.seen >= 30, wave=10)
        errors.append(evidence.estimate() - found.truth)
        naive.append(evidence.estimate())
    assert abs(np.mean(errors)) < 3 * np.std(errors) / math.sqrt(len(errors))


def test_more_gates_fail_less_easily_and_pass_alike() -> None:
    found = plain(1000, 0.5, "none", np.random.default_rng(1))
    low, high = AtLeast(0.65), AtLeast(0.35)
    alone = run(found, lambda e: low.judge(e, ALPHA).state != "open")
    among = run(found, lambda e: low.judge(e, ALPHA, gates=20).state != "open")
    assert alone.seen < among.seen
    one = run(found, lambda e: high.judge(e, ALPHA).state != "open")
    many = run(found, lambda e: high.judge(e, ALPHA, gates=20).state != "open")
    assert one.seen == many.seen


def test_precision_ends_when_the_interval_is_narrow() -> None:
    found = plain(3000, 0.5, "good", np.random.default_rng(1))
    gate = Narrow(0.03)
    evidence = run(found, lambda e: gate.judge(e, ALPHA).state == "pass")
    assert not evidence.complete
    assert evidence.interval(ALPHA).half_width <= 0.03


def test_a_half_answered_baseline_is_compared_on_differences() -> None:
    draw = np.random.default_rng(0)
    before = binary(1000, 0.6, draw)
    after = flipped(before, 60, 40, draw)
    values = paired_values(after, before)
    found = Population(np.full(1000, 1e-3), values, None)
    assert found.truth == pytest.approx((1 - 0.04) / 2)
    for drop, state in ((0.2, "pass"), (0.001, "fail")):
        gate = AtLeast(half(drop))
        evidence = run(found, lambda e, g=gate: g.judge(e, ALPHA).state != "open")
        assert gate.judge(evidence, ALPHA).state == state


def test_the_planned_cost_is_near_what_decisions_take() -> None:
    size, variance = 10042, 0.05
    for drop in (0.02, 0.03):
        taken = []
        for seed in range(40):
            draw = np.random.default_rng(seed)
            before = binary(size, 0.6, draw)
            found = Population(
                np.full(size, 1 / size), flipped(before, round(0.05 * size), 0, draw), before
            )
            gate = AtLeast(0.6 - drop)
            evidence = run(found, lambda e, g=gate: g.judge(e, ALPHA).state != "open", margin=drop)
            taken.append(evidence.seen)
        planned = expected_units(drop, variance, size, ALPHA)
        assert 0.75 < planned / float(np.median(taken)) < 1.3
