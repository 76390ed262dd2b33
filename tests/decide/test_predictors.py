"""Predictors: other models' scores sharpen a decision, and never make it wrong."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest
from populations import ALPHA, asked, family, floor, guides

from evalc.decide.predictors import STRENGTH, Known, Ridge, predictor_of

SIMULATIONS = int(os.environ.get("EVALC_SIMULATIONS", "200"))


def test_what_is_on_hand_chooses_the_predictor() -> None:
    scores = family(50, 0.6, 3, np.random.default_rng(0))
    assert predictor_of([], leading=False) is None
    assert isinstance(predictor_of(list(scores[:1]), leading=False), Known)
    ridge = predictor_of(list(scores), leading=False)
    assert isinstance(ridge, Ridge)
    assert ridge.predict(np.zeros(0)) == pytest.approx(scores.mean(axis=0))
    leading = predictor_of(list(scores), leading=True)
    assert leading is not None
    assert leading.predict(np.zeros(0)) == pytest.approx(scores[0])


def test_the_ridge_minimises_its_penalised_squares() -> None:
    draw = np.random.default_rng(1)
    scores, seen = draw.random((3, 60)), draw.random(40)
    start = np.full(3, 1 / 3)
    rows = np.concatenate(
        [
            np.column_stack([np.ones(40), scores[:, :40].T]),
            math.sqrt(STRENGTH) * np.column_stack([np.zeros(3), np.eye(3)]),
        ]
    )
    wanted = np.concatenate([seen, math.sqrt(STRENGTH) * start])
    solution = np.linalg.lstsq(rows, wanted, rcond=None)[0]
    predicted = np.clip(solution[0] + solution[1:] @ scores[:, 40:], 0, 1)
    assert Ridge(scores, start).predict(seen) == pytest.approx(predicted, abs=1e-12)


def test_the_ridge_finds_the_model_that_is_alike() -> None:
    draw = np.random.default_rng(2)
    others = family(2000, 0.6, 3, draw)
    values = np.where(draw.random(2000) < 0.02, 1 - others[2], others[2])
    ridge = predictor_of(list(others), leading=False)
    assert ridge is not None
    errors = np.abs(ridge.predict(values[:400]) - values[400:])
    assert errors.mean() < 0.1
    assert errors.mean() < np.abs(others.mean(axis=0)[400:] - values[400:]).mean() / 2


def test_a_prediction_is_of_the_units_that_are_left_and_looks_at_no_others() -> None:
    others = family(100, 0.6, 2, np.random.default_rng(3))
    values = np.random.default_rng(4).random(100)
    for predictor in (Known(others[0]), Ridge(others, np.full(2, 0.5))):
        for seen in (0, 1, 2, 50, 100):
            found = predictor.predict(values[:seen])
            assert len(found) == 100 - seen
            assert len(found) == 0 or (found.min() >= 0 and found.max() <= 1)


def test_constant_scores_are_no_trouble() -> None:
    ridge = Ridge(np.ones((2, 30)), np.full(2, 0.5))
    assert ridge.predict(np.full(10, 0.25)) == pytest.approx(np.full(20, 0.25))


def test_more_models_decide_sooner() -> None:
    shares: dict[str, list[float]] = {}
    for seed in range(40):
        models = family(3000, 0.6, 5, np.random.default_rng(seed))
        for name, predictor in guides(models[1:]).items():
            done = asked(floor(3000, 0.57, predictor), models[0])
            assert done.verdict.state == "pass"
            shares.setdefault(name, []).append(done.seen / 3000)
    share = {name: float(np.mean(found)) for name, found in shares.items()}
    assert share["ridge"] < share["one"] < share["none"]
    assert share["ridge"] <= 1.05 * share["mean"]


@pytest.mark.parametrize("kind", ["one", "mean", "ridge"])
def test_a_learning_predictor_leaves_wrong_decisions_rare(kind: str) -> None:
    """The truth is exactly at the gate, or misses it by half a case."""
    passed = failed = 0
    for seed in range(SIMULATIONS):
        models = family(164, 0.75, 4, np.random.default_rng([7, seed]))
        truth = float(models[0].mean())
        at, above = (
            asked(floor(164, bound, guides(models[1:])[kind]), models[0])
            for bound in (truth, truth + 0.5 / 164)
        )
        failed += at.verdict.state == "fail"
        passed += above.verdict.state == "pass"
    most = ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / SIMULATIONS)
    assert max(passed, failed) / SIMULATIONS <= most
