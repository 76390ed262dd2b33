from __future__ import annotations

import numpy as np
import pytest
from cell_builders import choice_cell, generate_cell

from evalc.diagnostics import Faults
from evalc.score import METRICS, Extract, Scoring, score_cell
from evalc.spec.metrics import METRICS as KNOWN


def test_every_metric_of_the_spec_language_is_computed() -> None:
    assert list(METRICS) == list(KNOWN)


@pytest.mark.parametrize(
    ("metric", "code"),
    [("acc_nrm", "unknown-metric"), ("pass", "unknown-metric"), ("f1", "misplaced-metric")],
)
def test_a_metric_that_does_not_exist_or_fit_is_a_fault(metric: str, code: str) -> None:
    with pytest.raises(Faults) as caught:
        score_cell(choice_cell([[-1, -2]], [0]), Scoring((metric,)))
    assert caught.value.diagnostics[0].code == code


def test_a_near_miss_is_suggested() -> None:
    with pytest.raises(Faults) as caught:
        score_cell(choice_cell([[-1, -2]], [0]), Scoring(("acc_nrm",)))
    assert caught.value.diagnostics[0].hint == "did you mean `acc_norm`?"


def test_columns_stand_in_the_order_of_the_spec_by_metric_then_extraction() -> None:
    scoring = Scoring(("f1", "exact_match"), {"b": Extract(), "a": Extract(regex=r"\d")})
    scores = score_cell(generate_cell([["1"]], ["1"]), scoring)
    assert list(scores.columns) == ["f1@b", "f1@a", "exact_match@b", "exact_match@a"]


def test_only_better_is_higher_metrics_of_0_and_1_are_binary() -> None:
    cell = choice_cell([[-1, -2], [0, -1]], [0, 1])
    scores = score_cell(cell, Scoring(("acc", "likelihood_diff", "mc2")))
    assert [column.binary for column in scores.columns.values()] == [True, False, False]


def test_scoring_asks_for_no_row_when_targets_are_indices() -> None:
    def row(_: int) -> dict[str, object]:
        raise AssertionError("a row was read")

    scores = score_cell(choice_cell([[-1, -2]], [0], row=row), Scoring(("acc", "acc_norm")))
    assert scores.columns["acc"].values.tolist() == [1]


def test_a_hundred_thousand_cases_are_scored_as_columns() -> None:
    n = 100_000
    rng = np.random.default_rng(0)
    logs = rng.normal(-30, 5, size=(n, 4))
    targets = rng.integers(0, 4, n)
    cell = choice_cell([[0.0]], [0])
    wide = type(cell)(
        model="m",
        task="t",
        kind="multiple_choice",
        case_ids=[str(i) for i in range(n)],
        targets=[str(t) for t in targets],
        offsets=np.arange(0, 4 * n + 1, 4, dtype=np.uint32),
        loglik=logs.ravel(),
        choice_texts_chars=np.full(4 * n, 7, dtype=np.uint32),
        choice_bytes=np.full(4 * n, 7, dtype=np.uint32),
        row=cell.row,
    )
    scores = score_cell(wide, Scoring(("acc", "acc_norm")))
    assert np.array_equal(scores.columns["acc"].values, logs.argmax(axis=1) == targets)
