"""Our few distributions against scipy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalc.decide.distributions import mcnemar_p, normal_quantile, t_quantile, t_tail

stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize("df", [1, 1.7, 2, 3, 10, 33.3, 1000, 1e5, 1e7])
@pytest.mark.parametrize("p", [0.5, 0.6, 0.9, 0.975, 0.999])
def test_t_quantiles_equal_scipy(df: float, p: float) -> None:
    assert t_quantile(p, df) == pytest.approx(stats.t.ppf(p, df), rel=1e-8, abs=1e-12)


@given(st.floats(0, 40), st.floats(1, 1e6))
def test_t_tails_equal_scipy(t: float, df: float) -> None:
    assert t_tail(t, df) == pytest.approx(stats.t.sf(t, df), rel=1e-7, abs=1e-280)


def test_normal_quantiles_equal_scipy() -> None:
    assert normal_quantile(0.975) == pytest.approx(stats.norm.ppf(0.975))


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_mcnemar_equals_scipys_exact_binomial_test(fixed: int, broken: int) -> None:
    n = fixed + broken
    wanted = stats.binomtest(min(fixed, broken), n, 0.5).pvalue if n else 1.0
    assert mcnemar_p(fixed, broken) == pytest.approx(wanted, rel=1e-8, abs=1e-280)


@pytest.mark.parametrize(("fixed", "broken"), [(20_000, 20_500), (3, 4000), (60_000, 59_000)])
def test_mcnemar_holds_for_many_flips(fixed: int, broken: int) -> None:
    wanted = stats.binomtest(min(fixed, broken), fixed + broken, 0.5).pvalue
    assert mcnemar_p(fixed, broken) == pytest.approx(wanted, rel=1e-7, abs=1e-280)
