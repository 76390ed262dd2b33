from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalc.decide import paired
from evalc.decide.paired import bonett_price

stats = pytest.importorskip("scipy.stats")

PAIRS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=80)


@given(PAIRS)
def test_binary_pairs_have_mcnemars_exact_p(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs, dtype=np.float64).T
    found = paired(a, b, binary=True)
    fixed, broken = pairs.count((0, 1)), pairs.count((1, 0))
    assert (found.up, found.down) == (fixed, broken)
    n = fixed + broken
    wanted = stats.binomtest(min(fixed, broken), n, 0.5).pvalue if n else 1.0
    assert found.p == pytest.approx(wanted)
    assert found.delta == pytest.approx(b.mean() - a.mean())
    assert found.low is not None and found.high is not None and found.delta is not None
    assert -1 <= found.low <= found.high <= 1


def test_graded_pairs_have_the_paired_t_test() -> None:
    rng = np.random.default_rng(2)
    a = rng.uniform(size=50)
    b = np.clip(a + rng.normal(0.03, 0.1, 50), 0, 1)
    wanted = stats.ttest_rel(b, a)
    interval = wanted.confidence_interval(0.95)
    found = paired(a, b)
    assert found.test == "student"
    assert found.p == pytest.approx(wanted.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_clusters_widen_the_comparison() -> None:
    a = np.zeros(40)
    b = np.repeat([1.0, 0, 1, 0, 1, 0, 0, 0], 5)
    names = [str(i) for i in np.repeat(np.arange(8), 5)]
    alone, together = paired(a, b, binary=True), paired(a, b, binary=True, clusters=names)
    assert together.test == "clustered"
    assert together.stderr > alone.stderr  # type: ignore[operator]
    assert together.p > alone.p  # type: ignore[operator]


def test_strata_weigh_equally() -> None:
    a = np.array([0, 0, 0, 0, 0, 0.0])
    b = np.array([1, 0, 1, 0, 0, 0.0])
    found = paired(a, b, binary=True, strata=["x", "x", "x", "x", "y", "y"])
    assert found.delta == pytest.approx(0.25)
    assert found.p is None


def test_equal_values_up_to_rounding_are_unchanged() -> None:
    found = paired(np.array([0.1, 0.2]), np.array([0.1 + 1e-13, 0.2]))
    assert (found.up, found.down, found.delta, found.p) == (0, 0, 0.0, 1.0)


def test_no_common_case_compares_to_nothing() -> None:
    found = paired(np.zeros(0), np.zeros(0), binary=True)
    assert (found.n, found.delta, found.p, found.test) == (0, None, None, "none")


def test_the_inputs_are_left_as_they_are() -> None:
    a, b = np.array([0.0, 1.0]), np.array([1e-12, 1.0])
    paired(a, b)
    assert b[0] == 1e-12


def test_bonett_price_covers_the_true_difference() -> None:
    rng = np.random.default_rng(4)
    up, down, n = 0.10, 0.06, 60
    hits = 0
    for _ in range(2000):
        rose, fell, _ = rng.multinomial(n, [up, down, 1 - up - down])
        low, high = bonett_price(int(rose), int(fell), n)
        hits += low <= up - down <= high
    assert 0.935 <= hits / 2000 <= 0.98


def test_an_effect_that_is_detectable_is_found_four_times_in_five() -> None:
    rng = np.random.default_rng(5)
    n, changed = 500, 0.1
    even = paired(*_pair(25, 25, n), binary=True)
    assert even.detectable is not None
    up, down = (changed + even.detectable) / 2, (changed - even.detectable) / 2
    found = 0
    for _ in range(2000):
        rose, fell, _ = rng.multinomial(n, [up, down, 1 - up - down])
        low, high = bonett_price(int(rose), int(fell), n)
        found += low > 0 or high < 0
    assert 0.77 <= found / 2000 <= 0.85


def test_no_change_seen_does_not_make_every_effect_detectable() -> None:
    still = paired(*_pair(0, 0, 100), binary=True)
    assert still.detectable == pytest.approx(2.8016 * np.sqrt(2 / 102 / 102), rel=1e-4)
    graded = paired(np.full(5, 0.5), np.full(5, 0.5))
    assert graded.detectable is None


def _pair(up: int, down: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.zeros(n), np.zeros(n)
    b[:up], a[up : up + down] = 1.0, 1.0
    return a, b
