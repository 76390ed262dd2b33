"""Rounds: the order in which units are finished changes no bit of a verdict or an interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from populations import Values, column, family

from evalc.decide.betting import Interval
from evalc.decide.predictors import predictor_of
from evalc.decide.trials import Trial
from evalc.decide.units import Units
from evalc.decide.verdicts import AtLeast, Condition, Narrow, Verdict

SIZE = 400
CONDITIONS = [AtLeast(0.55), AtLeast(0.6), AtLeast(0.68), AtLeast(0.58, 0.02), Narrow(0.06)]
KINDS = ["plain", "grouped", "known", "ridge", "difference"]


@dataclass(frozen=True)
class Seen:
    """What a run ended with."""

    verdict: Verdict
    interval: Interval | None
    looks: tuple[int, ...]
    asked: frozenset[int]


def made(kind: str, condition: Condition, budget: int = SIZE) -> tuple[Trial, Values]:
    """A trial of a kind, and the values of all cases."""
    models = family(SIZE, 0.62, 4, np.random.default_rng(5))
    cases = [f"case {case}" for case in range(SIZE)]
    clusters = [f"cluster {case // 3}" for case in range(SIZE)] if kind == "grouped" else None
    groups = [f"group {case % 7 % 3}" for case in range(SIZE)] if kind == "grouped" else None
    units = Units.of(cases, clusters, groups)
    known = [units.values(own) for own in models[1:]]
    used = {"known": known[:1], "ridge": known}.get(kind, [])
    trial = Trial(
        condition,
        units,
        np.arange(SIZE),
        alpha=0.05,
        gates=1,
        budget=budget,
        baseline=models[1] if kind == "difference" else None,
        predictor=predictor_of(used, leading=False),
    )
    return trial, models[0]


def ended(trial: Trial, answered: set[int]) -> Seen:
    return Seen(trial.verdict, trial.interval(), tuple(trial.looks), frozenset(answered))


def answering(trial: Trial, values: Values, draw: np.random.Generator | None = None) -> Seen:
    """Answer what is wanted, a whole round at a time or, with `draw`, shuffled and in parts."""
    answered = np.zeros(SIZE, dtype=np.bool_)
    while len(wanted := trial.wanted()):
        parts = [wanted]
        if draw is not None:
            wanted = draw.permutation(wanted)
            parts = np.split(wanted, np.sort(draw.integers(0, len(wanted), 3)))
        for part in parts:
            answered[part] = True
            # answers that are not there yet are not looked at
            own = np.where(answered, values, np.nan)
            trial.follow(column(own), answered)
    return ended(trial, set(np.flatnonzero(answered).tolist()))


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_any_order_of_completion_leaves_every_bit(kind: str, condition: Condition) -> None:
    if kind == "difference" and isinstance(condition, AtLeast):
        condition = AtLeast(0.47, 0.01)
    direct = answering(*made(kind, condition))
    assert direct.looks
    for seed in range(8):
        again = answering(*made(kind, condition), np.random.default_rng(seed))
        assert again == direct


@pytest.mark.parametrize("kind", KINDS)
def test_larger_budgets_go_on_where_smaller_ones_ended(kind: str) -> None:
    condition = AtLeast(0.495 if kind == "difference" else 0.62)
    trial, values = made(kind, condition)
    direct = answering(trial, values)
    answered = np.zeros(SIZE, dtype=np.bool_)
    asked = 0
    for budget in (40, 150, SIZE):
        trial, _ = made(kind, condition, budget)
        trial.follow(column(values), answered)
        while len(wanted := trial.wanted()):
            asked += int((~answered[wanted]).sum())
            answered[wanted] = True
            trial.follow(column(values), answered)
        assert answered.sum() <= budget
    assert asked == answered.sum(), "nothing is asked twice"
    final = ended(trial, set(np.flatnonzero(answered).tolist()))
    assert final.verdict == direct.verdict
    assert final.interval == direct.interval
    assert final.looks == direct.looks


def test_what_was_answered_by_chance_beyond_a_round_is_not_looked_at() -> None:
    trial, values = made("plain", AtLeast(0.6))
    direct = answering(trial, values)
    trial, _ = made("plain", AtLeast(0.6))
    answered = np.zeros(SIZE, dtype=np.bool_)
    first = set(trial.wanted().tolist())
    answered[[case for case in range(SIZE) if case not in first]] = True
    trial.follow(column(values), answered)
    assert trial.looks == []
    answered[sorted(first)] = True
    trial.follow(column(values), answered)
    assert trial.verdict == direct.verdict
