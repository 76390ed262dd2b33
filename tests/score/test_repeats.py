from __future__ import annotations

from itertools import combinations
from math import comb

import pytest
from cell_builders import generate_cell
from hypothesis import given
from hypothesis import strategies as st

from evalc.diagnostics import Faults
from evalc.score import Extract, Scoring, score_cell
from evalc.score.metrics.repeats import pass_all_k, pass_at_k


def values(cell, metric: str, **extract: object) -> list[float]:
    scoring = Scoring((metric,), {"": Extract(**extract)})  # type: ignore[arg-type]
    return score_cell(cell, scoring).columns[metric].values.tolist()


@st.composite
def draws(draw: st.DrawFn) -> tuple[int, int, int]:
    n = draw(st.integers(1, 12))
    return n, draw(st.integers(0, n)), draw(st.integers(1, n))


@given(draws())
def test_pass_at_k_is_the_share_of_k_subsets_with_a_right_answer(
    case: tuple[int, int, int],
) -> None:
    n, correct, k = case
    right = [i < correct for i in range(n)]
    subsets = list(combinations(right, k))
    assert pass_at_k(n, correct, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


@given(st.integers(1, 2000), st.data())
def test_pass_at_k_equals_the_formula_with_exact_binomials(n: int, data: st.DataObject) -> None:
    correct, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    exact = 1 - comb(n - correct, k) / comb(n, k)
    assert pass_at_k(n, correct, k) == pytest.approx(exact, abs=1e-9)


@given(draws())
def test_pass_at_k_grows_with_k_and_with_right_answers(case: tuple[int, int, int]) -> None:
    n, correct, k = case
    assert pass_at_k(n, correct, 1) == pytest.approx(correct / n)
    if k < n:
        assert pass_at_k(n, correct, k + 1) >= pass_at_k(n, correct, k) - 1e-12
    if correct < n:
        assert pass_at_k(n, correct + 1, k) >= pass_at_k(n, correct, k) - 1e-12


def test_pass_at_k_reads_exact_match_over_the_repeats() -> None:
    cell = generate_cell([["a", "b", "a", "c"], ["b", "b", "b", "b"]], ["a", "a"])
    assert values(cell, "pass@1") == [0.5, 0]
    assert values(cell, "pass@2") == [pytest.approx(1 - 1 / 6), 0]


@given(draws())
def test_pass_all_k_is_the_share_of_k_subsets_without_a_wrong_answer(
    case: tuple[int, int, int],
) -> None:
    n, correct, k = case
    right = [i < correct for i in range(n)]
    subsets = list(combinations(right, k))
    assert pass_all_k(n, correct, k) == pytest.approx(sum(map(all, subsets)) / len(subsets))
    assert pass_all_k(n, correct, k) == pytest.approx(comb(correct, k) / comb(n, k), abs=1e-12)
    assert pass_all_k(n, correct, k) <= pass_at_k(n, correct, k) + 1e-12


def test_pass_all_k_reads_exact_match_over_the_repeats() -> None:
    cell = generate_cell([["a", "b", "a", "c"], ["a", "a", "a", "a"]], ["a", "a"])
    assert values(cell, "pass^1") == [0.5, 1]
    assert values(cell, "pass^2") == [pytest.approx(1 / 6), 1]
    assert values(cell, "pass^3") == [0, 1]


def test_maj_at_k_takes_the_commonest_of_the_first_k() -> None:
    cell = generate_cell([["b", "a", "a", "b", "b"]], ["a"])
    assert values(cell, "maj@3") == [1]
    assert values(cell, "maj@5") == [0]


def test_a_tied_vote_goes_to_the_answer_given_first() -> None:
    assert values(generate_cell([["b", "a"], ["a", "b"]], ["a", "a"]), "maj@2") == [0, 1]


def test_answers_that_were_not_found_vote_together_and_are_wrong() -> None:
    assert values(generate_cell([["x", "y", "1"]], ["1"]), "maj@3", regex=r"\d") == [0]


@pytest.mark.parametrize("metric", ["pass@3", "pass^3", "maj@3"])
def test_fewer_repeats_than_k_is_a_fault(metric: str) -> None:
    with pytest.raises(Faults) as caught:
        values(generate_cell([["a", "b"]], ["a"]), metric)
    assert caught.value.diagnostics[0].code == "too-few-repeats"
    assert f"`{metric}`" in caught.value.diagnostics[0].message
    assert "generate.repeats" in (caught.value.diagnostics[0].hint or "")
