from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalc.decide import cluster_codes, estimate, macro, mean, wilson
from evalc.decide.estimates import JACKKNIFE_GROUPS, ratio_stderr
from evalc.score import Column, Corpus, Mean, Ratio

stats = pytest.importorskip("scipy.stats")


def column(values, aggregate=None, *, binary=False) -> Column:
    own = np.array(values, dtype=np.float64)
    return Column("m", "m", "", own, ~np.isnan(own), aggregate or Mean(), binary, "higher")


GRADES = st.lists(st.floats(0, 1), min_size=2, max_size=60)


@given(GRADES)
def test_a_mean_has_the_harness_standard_error_and_students_interval(grades: list[float]) -> None:
    found = mean(np.array(grades))
    n = len(grades)
    wanted = np.std(grades, ddof=1) / math.sqrt(n)
    assert found.value == pytest.approx(np.mean(grades))
    assert found.stderr == pytest.approx(wanted, abs=1e-12)
    half = stats.t.ppf(0.975, n - 1) * wanted
    assert found.low == pytest.approx(np.mean(grades) - half, abs=1e-9)
    assert found.high == pytest.approx(np.mean(grades) + half, abs=1e-9)


@pytest.mark.parametrize(("right", "n"), [(0, 5), (5, 5), (1, 7), (41, 200), (999, 1000)])
def test_binary_values_have_wilsons_interval(right: int, n: int) -> None:
    found = mean(np.array([1.0] * right + [0.0] * (n - right)), binary=True)
    wanted = stats.binomtest(right, n).proportion_ci(method="wilson")
    assert found.method == "wilson"
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-9)
    assert wilson(right / n, n) == (found.low, found.high)


def test_one_case_has_a_value_but_no_standard_error() -> None:
    found = mean(np.array([0.3]))
    assert (found.value, found.stderr, found.low, found.high) == (0.3, None, None, None)


def test_clusters_of_one_case_change_nothing_but_the_interval_of_binary_values() -> None:
    values = np.array([0, 1, 1, 0, 1, 1.0])
    alone = mean(values, np.arange(6), binary=True)
    assert alone.stderr == pytest.approx(mean(values).stderr)
    assert alone.method == "clustered"


def test_a_clustered_mean_has_the_cr1_standard_error() -> None:
    rng = np.random.default_rng(3)
    codes = np.repeat(np.arange(12), rng.integers(1, 6, 12))
    values = rng.normal(size=12)[codes] + rng.normal(size=len(codes)) / 3
    sums = np.array([(values - values.mean())[codes == g].sum() for g in range(12)])
    wanted = math.sqrt(12 / 11 * (sums**2).sum()) / len(values)
    found = mean(values, codes)
    assert found.stderr == pytest.approx(wanted)
    half = stats.t.ppf(0.975, 11) * wanted
    assert found.high == pytest.approx(values.mean() + half)
    single = mean(values).stderr
    assert single is not None and wanted > single


def test_copying_every_case_into_its_cluster_keeps_the_standard_error() -> None:
    values = np.array([0.1, 0.9, 0.4, 0.6])
    doubled = mean(np.repeat(values, 2), np.repeat(np.arange(4), 2))
    assert doubled.stderr == pytest.approx(mean(values).stderr)


def test_one_cluster_says_nothing_about_the_spread() -> None:
    assert mean(np.array([0.1, 0.9]), np.zeros(2, dtype=np.int64)).stderr is None


def test_missing_cases_are_left_out_and_counted() -> None:
    found = estimate(column([1, math.nan, 0, 1], binary=True))
    assert (found.value, found.n, found.total) == (pytest.approx(2 / 3), 3, 4)
    assert not found.complete
    whole = estimate(column([1, 0, 1], binary=True))
    assert whole.complete and whole.low == found.low


def test_no_case_has_no_value() -> None:
    for values in ([], [math.nan]):
        found = estimate(column(values))
        assert (found.value, found.stderr, found.n, found.total) == (None, None, 0, len(values))


def test_a_slice_is_estimated_from_its_own_cases() -> None:
    found = estimate(column([0.1, 0.2, 0.9]), within=np.array([0, 1]))
    assert (found.value, found.total) == (pytest.approx(0.15), 2)


def test_the_delta_method_equals_the_spread_over_simulated_corpora() -> None:
    rng = np.random.default_rng(1)

    def corpus() -> Ratio:
        words = rng.integers(20, 200, 300).astype(np.float64)
        return Ratio(words * rng.normal(3, 0.3, 300), words, True)

    found = [estimate(column(np.zeros(300), corpus())) for _ in range(400)]
    spread = np.std([one.value for one in found], ddof=1)
    assert np.mean([one.stderr for one in found]) == pytest.approx(spread, rel=0.12)
    covered = np.mean([one.low < math.exp(3) < one.high for one in found])
    assert 0.91 <= covered <= 0.98


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(5).normal(size=(40, 1))
    stats_ = np.column_stack([values, np.ones(40)])
    found = estimate(column(values[:, 0], Corpus(stats_, lambda s: s[0] / s[1])))
    assert found.stderr == pytest.approx(mean(values[:, 0]).stderr)
    assert found.method == "jackknife"


def test_the_jackknife_groups_many_cases() -> None:
    calls = []

    def combine(sums: np.ndarray) -> float:
        calls.append(1)
        return float(sums[0] / sums[1])

    values = np.random.default_rng(5).normal(size=5000)
    found = estimate(column(values, Corpus(np.column_stack([values, np.ones(5000)]), combine)))
    assert len(calls) == JACKKNIFE_GROUPS + 1
    assert found.stderr == pytest.approx(mean(values).stderr, rel=0.15)


def test_a_jackknife_over_clusters_leaves_out_clusters() -> None:
    values = np.repeat([0.1, 0.9, 0.4, 0.6], 2)
    corpus = Corpus(np.column_stack([values, np.ones(8)]), lambda s: float(s[0] / s[1]))
    found = estimate(column(values, corpus), cluster_codes(list("aabbccdd")))
    assert found.stderr == pytest.approx(mean(np.array([0.1, 0.9, 0.4, 0.6])).stderr)


def test_a_macro_average_weighs_slices_equally() -> None:
    parts = [mean(np.array([1.0, 0, 1, 1])), mean(np.array([0.0, 0, 1]))]
    found = macro("m", parts)
    assert found.value == pytest.approx((0.75 + 1 / 3) / 2)
    assert found.stderr == pytest.approx(math.hypot(parts[0].stderr, parts[1].stderr) / 2)
    assert (found.n, found.total) == (7, 7)


def test_a_macro_average_has_welchs_degrees_of_freedom() -> None:
    a, b = np.array([0.1, 0.4, 0.35, 0.8]), np.array([0.2, 0.9, 0.4])
    found = macro("m", [mean(a), mean(-b)])
    wanted = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((wanted.low / 2, wanted.high / 2))


def test_a_macro_average_with_an_empty_slice_has_no_value() -> None:
    empty = estimate(column([math.nan]))
    found = macro("m", [mean(np.array([1.0, 0.0])), empty])
    assert (found.value, found.n, found.total) == (None, 2, 3)


def test_a_ratio_without_units_has_no_value() -> None:
    assert estimate(column([1.0], Ratio(np.ones(1), np.zeros(1), True))).value is None


def test_the_linearised_ratio_of_equal_units_is_a_mean() -> None:
    values = np.array([0.2, 0.5, 0.9])
    assert ratio_stderr(values * 4, np.full(3, 4.0), None) == pytest.approx(mean(values).stderr)
