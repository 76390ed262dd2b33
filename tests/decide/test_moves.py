"""What moved: e-values at one moment, and how many of those that are named may be wrong."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest
from populations import ALPHA, Values, asked, binary, column, flipped

from evalc.decide.betting import Evidence
from evalc.decide.moves import Unmoved, moved, unmoved, unmoved_groups
from evalc.decide.predictors import Known
from evalc.decide.trials import Trial
from evalc.decide.units import Units
from evalc.decide.verdicts import AtLeast, half

SIMULATIONS = int(os.environ.get("EVALC_SIMULATIONS", "200"))
GROUPS, SIZE = 10, 60
CASES = GROUPS * SIZE
LABELS = [f"g{n // SIZE}" for n in range(CASES)]
IDS = [f"case {n}" for n in range(CASES)]


def drop(
    before: Values,
    most: float = 0.02,
    budget: int = CASES,
    units: Units | None = None,
    seed: int = 0,
) -> Trial:
    """A regression gate's trial against a complete baseline."""
    units = units or Units.of(IDS, seed=seed)
    return Trial(
        AtLeast(float(units.weights @ units.values(before)) - most, most),
        units,
        np.arange(CASES),
        alpha=ALPHA,
        gates=1,
        budget=budget,
        predictor=Known(units.values(before)),
    )


def models(moves: dict[int, int], draw: np.random.Generator) -> tuple[Values, Values]:
    """A baseline, and another model in whose groups four cases flip: `moves` more are wrong."""
    before = [binary(SIZE, 0.6, draw) for _ in range(GROUPS)]
    after = [
        flipped(values, max(4, moves.get(group, 0)), moves.get(group, 0), draw)
        for group, values in enumerate(before)
    ]
    return np.concatenate(before), np.concatenate(after)


def answered(trial: Trial, values: Values) -> Trial:
    """A trial that all its budget allows was answered of, whatever it had decided before."""
    done = np.zeros(len(values), dtype=np.bool_)
    done[trial.within()] = True
    trial.follow(column(values), done)
    return trial


def named(found: dict[str, Unmoved], level: float = 0.05) -> set[str]:
    chosen = moved(np.array([each.log_evidence for each in found.values()]), level)
    return {label for label, own in zip(found, chosen, strict=True) if own}


def test_e_bh_rejects_as_many_as_their_evidence_allows() -> None:
    logs = np.log(np.array([1.0, 1000.0, 2.0, 90.0, 0.5]))
    assert moved(logs, 0.05).tolist() == [False, True, False, True, False]
    # 90 is enough beside a larger one, not alone
    assert not moved(np.log(np.array([1.0, 1.0, 2.0, 90.0, 0.5])), 0.05).any()
    assert moved(np.array([math.inf, 0.0]), 0.05).tolist() == [True, False]
    assert not moved(np.zeros(4), 0.05).any()
    assert moved(np.zeros(0), 0.05).tolist() == []


def test_evidence_now_falls_again_where_the_most_there_was_stays() -> None:
    weights = np.full(400, 1 / 400)
    values = np.concatenate([np.ones(60), np.zeros(60), np.tile([0.0, 1.0], 140)])
    evidence = Evidence(weights)
    for first in range(0, 200, 20):
        evidence.add(values[first : first + 20])
    early = evidence.at(60)
    assert early.apart(0.5) == pytest.approx(early.up(0.5) - math.log(2), abs=0.1)
    assert evidence.up(0.5) == pytest.approx(early.up(0.5), abs=0.1)
    assert evidence.apart(0.5) < early.apart(0.5) - 2


def test_what_cannot_be_any_more_is_refuted_for_certain() -> None:
    evidence = Evidence(np.full(10, 0.1))
    evidence.add(np.ones(6))
    assert evidence.apart(0.5) == math.inf
    assert evidence.apart(0.6) < math.inf
    evidence.add(np.zeros(4))
    assert evidence.apart(0.6) < math.inf
    assert evidence.apart(0.6 + 1e-6) == math.inf


def test_evidence_of_what_has_not_moved_is_at_most_one_on_average() -> None:
    found = []
    for seed in range(SIMULATIONS):
        before, after = models({}, np.random.default_rng([1, seed]))
        trial = asked(drop(before, most=0.02, budget=300, seed=seed), after)
        found += [
            math.exp(e.log_evidence) for e in unmoved_groups(trial, after, before, LABELS).values()
        ]
        whole = unmoved(trial)
        assert whole is not None
        found.append(math.exp(whole.log_evidence))
    values = np.array(found)
    assert values.mean() <= 1 + 2 * values.std() / math.sqrt(len(values))
    assert values.std() > 0.05


def test_few_of_those_that_are_named_have_not_moved() -> None:
    moves = {0: 20, 1: 20, 2: 16}
    shares, hits = [], 0
    for seed in range(SIMULATIONS):
        before, after = models(moves, np.random.default_rng([2, seed]))
        trial = answered(drop(before, budget=400, seed=seed), after)
        found = named(dict(unmoved_groups(trial, after, before, LABELS)))
        wrong = found - {f"g{group}" for group in moves}
        shares.append(len(wrong) / max(1, len(found)))
        hits += len(found) - len(wrong)
    assert float(np.mean(shares)) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / SIMULATIONS)
    assert hits / (len(moves) * SIMULATIONS) > 0.3


def test_groups_of_a_baseline_on_a_part_of_the_cases_are_compared_on_that_part() -> None:
    before, after = models({0: 24}, np.random.default_rng(5))
    cases = np.flatnonzero(np.arange(CASES) % 2 == 0)
    units = Units.of([IDS[case] for case in cases])
    trial = Trial(
        AtLeast(half(0.5), 0.25),
        units,
        cases,
        alpha=ALPHA,
        gates=1,
        budget=CASES,
        baseline=before[cases],
    )
    answered(trial, after)
    partly = np.where(np.arange(CASES) % 2 == 0, before, np.nan)
    found = unmoved_groups(trial, after, partly, LABELS)
    own = cases[cases < SIZE]
    assert found["g0"].complete
    assert found["g0"].difference == pytest.approx((after[own] - before[own]).mean())
    assert {label for label, each in found.items() if each.log_evidence == math.inf} == {
        f"g{n}" for n in range(GROUPS) if (after[cases] - before[cases])[cases // SIZE == n].sum()
    }


def test_a_whole_run_knows_what_moved() -> None:
    before, after = models({3: 6}, np.random.default_rng(6))
    trial = drop(before)
    answered(trial, after)
    found = unmoved_groups(trial, after, before, LABELS)
    assert named(dict(found)) == {"g3"}
    assert found["g3"].difference == pytest.approx(-0.1)
    whole = unmoved(trial)
    assert whole is not None
    assert (whole.complete, whole.log_evidence) == (True, math.inf)
    assert whole.difference == pytest.approx(-0.01)


def test_groups_that_share_a_cluster_or_weigh_its_cases_differently_are_no_groups() -> None:
    before, after = models({}, np.random.default_rng(7))
    across = Units.of(IDS, clusters=[f"c{n % SIZE}" for n in range(CASES)])
    within = Units.of(IDS, clusters=[f"c{n // 3}" for n in range(CASES)])
    uneven = Units.of(IDS, groups=["a" if n < 40 else "b" for n in range(CASES)])
    found = []
    for units in (across, within, uneven):
        trial = drop(before, units=units)
        answered(trial, after)
        found.append(len(unmoved_groups(trial, after, before, LABELS)))
    assert found == [0, GROUPS, 0]
    even = drop(before, units=Units.of(IDS, groups=LABELS))
    answered(even, after)
    assert len(unmoved_groups(even, after, before, LABELS)) == GROUPS


def test_what_nothing_was_seen_of_is_compared_and_has_no_evidence() -> None:
    before, _ = models({}, np.random.default_rng(8))
    trial = drop(before)
    whole, groups = unmoved(trial), unmoved_groups(trial, before, before, LABELS)
    assert whole is not None
    assert (whole.log_evidence, whole.complete, len(groups)) == (0.0, False, GROUPS)
    assert {each.log_evidence for each in groups.values()} == {0.0}
    assert named(dict(groups)) == set()
