"""Units, weights and their one order."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalc.decide.rounds import Budget, next_round
from evalc.decide.units import Units

IDS = st.lists(st.text(min_size=1, max_size=6), min_size=2, max_size=30, unique=True)


def names(units: Units, cases: list[str]) -> list[str]:
    return [cases[int(c)] for c in units.cases(0, len(units))]


@given(IDS, st.integers(0, 1000), st.data())
def test_another_row_leaves_the_others_in_order(
    ids: list[str], seed: int, data: st.DataObject
) -> None:
    gone = data.draw(st.sampled_from(ids))
    fewer = [case for case in ids if case != gone]
    whole = names(Units.of(ids, seed=seed), ids)
    assert [case for case in whole if case != gone] == names(Units.of(fewer, seed=seed), fewer)


@given(IDS, st.randoms(use_true_random=False))
def test_the_order_of_a_file_does_not_matter(ids: list[str], shuffle: object) -> None:
    other = list(ids)
    shuffle.shuffle(other)  # type: ignore[attr-defined]
    assert names(Units.of(ids), ids) == names(Units.of(other), other)


def test_clusters_run_whole_and_count_as_much_as_they_hold() -> None:
    cases = [f"c{i}" for i in range(10)]
    clusters = ["a"] * 5 + ["b"] * 3 + ["c"] * 2
    units = Units.of(cases, clusters)
    assert sorted(units.weights.tolist()) == pytest.approx([0.2, 0.3, 0.5])
    for k in range(3):
        assert len({clusters[int(c)] for c in units.cases(k, k + 1)}) == 1
    scores = np.arange(10) / 10
    assert units.weights @ units.values(scores) == pytest.approx(scores.mean())


def test_groups_of_a_macro_average_weigh_equally() -> None:
    cases = [f"c{i}" for i in range(12)]
    groups = ["x"] * 9 + ["y"] * 3
    units = Units.of(cases, groups=groups)
    scores = np.array([1.0] * 9 + [0.0] * 3)
    assert units.weights @ units.values(scores) == pytest.approx(0.5)
    assert units.weights.sum() == pytest.approx(1.0)


def test_heavier_units_tend_to_come_first() -> None:
    cases = [f"c{i}" for i in range(60)]
    groups = ["x"] * 57 + ["y"] * 3
    first = Counter(
        groups[int(Units.of(cases, groups=groups, seed=seed).members[0])] for seed in range(400)
    )
    assert 150 < first["y"] < 250, "half of the weight is theirs"


def test_values_of_a_stretch_are_those_of_the_whole() -> None:
    cases = [f"c{i}" for i in range(30)]
    units = Units.of(cases, [f"k{i // 4}" for i in range(30)])
    scores = np.random.default_rng(0).random(30)
    whole = units.values(scores)
    parts = [units.values(scores, k, min(k + 3, len(units))) for k in range(0, len(units), 3)]
    assert np.array_equal(np.concatenate(parts), whole)
    assert not len(units.values(scores, 2, 2))


def test_rounds_grow_by_a_tenth_and_end_with_the_cases() -> None:
    seen, sizes = 0, []
    while seen < 1000:
        size = next_round(seen, 1000, 16)
        sizes.append(size)
        seen += size
    assert (sizes[0], seen) == (16, 1000)
    assert sizes[-2] == pytest.approx(0.1 * (1000 - sizes[-1] - sizes[-2]), abs=1)


def test_a_budget_allows_a_prefix() -> None:
    assert Budget(cases=50).cases_of(1000) == 50
    assert Budget(cases=50, fraction=0.01).cases_of(1000) == 10
    assert Budget(fraction=0.0001).cases_of(100) == 1
    assert Budget().cases_of(7) == 7
    assert Budget(seconds=5).spent(5.0, None)
    assert Budget(dollars=1).spent(0.0, 1.0)
    assert not Budget(dollars=1).spent(1e9, None)
