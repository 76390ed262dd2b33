"""What the full run would print: a point when it ran, else an interval that holds at any end."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from evalc.decide.benchmark import of_benchmark
from evalc.decide.units import Units
from evalc.report import build_report
from evalc.score import CellRecords, CellScores, Scoring, score_cell

SIMULATIONS = 300


def scored(
    right: npt.NDArray[np.bool_], answered: npt.NDArray[np.bool_], population: int | None = None
) -> CellScores:
    """A multiple-choice cell of two choices: case i is answered, and answered rightly."""
    n = len(right)
    loglik = np.tile([-1.0, -2.0], n)
    wrong = np.flatnonzero(~right)
    loglik[2 * wrong], loglik[2 * wrong + 1] = -2.0, -1.0
    loglik[np.repeat(~answered, 2)] = math.nan
    cell = CellRecords(
        model="m",
        task="t",
        kind="multiple_choice",
        case_ids=[f"c{i}" for i in range(n)],
        targets=[json.dumps(0)] * n,
        offsets=np.arange(0, 2 * n + 1, 2, dtype=np.uint32),
        row=lambda _: {},
        choice_texts_chars=np.full(2 * n, 3, dtype=np.uint32),
        choice_bytes=np.full(2 * n, 3, dtype=np.uint32),
        cont_tokens=np.full(2 * n, 1, dtype=np.uint32),
        loglik=loglik,
        greedy=np.zeros(2 * n, dtype=np.bool_),
        slices={"half": ["low" if i < n / 2 else "high" for i in range(n)]},
        population=population,
    )
    return score_cell(cell, Scoring(metrics=("acc",)))


def prefix(n: int, seen: int) -> npt.NDArray[np.bool_]:
    """Answers of the first units of the order."""
    answered = np.zeros(n, dtype=np.bool_)
    answered[Units.of([f"c{i}" for i in range(n)]).cases(0, seen)] = True
    return answered


def found(scores: CellScores) -> Any:
    column = scores.columns["acc"]
    whole = float(np.nanmean(column.values)) if column.present.any() else None
    return of_benchmark(scores, column, whole)


def test_a_full_run_is_a_point() -> None:
    right = np.arange(40) % 3 == 0
    at = found(scored(right, np.ones(40, dtype=np.bool_)))
    assert at.low == at.high == right.mean()


def test_the_truth_lies_inside_even_when_the_run_ends_where_it_looks_best() -> None:
    """The end is chosen, of ten looks, where the mean is furthest from the truth."""
    outside = 0
    for seed in range(SIMULATIONS):
        draw = np.random.default_rng([11, seed])
        right = draw.random(200) < 0.6
        order = Units.of([f"c{i}" for i in range(200)]).cases(0, 200)
        means = {k: abs(right[order[:k]].mean() - right.mean()) for k in range(20, 200, 18)}
        worst = max(means, key=lambda k: means[k])
        at = found(scored(right, prefix(200, worst)))
        outside += not at.low - 1e-12 <= right.mean() <= at.high + 1e-12
    assert outside / SIMULATIONS <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / SIMULATIONS)


def test_what_was_answered_out_of_turn_says_nothing() -> None:
    right = np.arange(100) % 2 == 0
    answered = prefix(100, 50)
    with_more = answered | right
    assert found(scored(right, answered)).high < 1.0
    last = Units.of([f"c{i}" for i in range(100)]).cases(50, 51)
    with_more[last] = False
    assert found(scored(right, with_more)) == found(scored(right, answered))


def test_a_sample_of_a_tier_speaks_of_the_whole_population() -> None:
    right = np.arange(300) % 4 != 0
    at = found(scored(right, np.ones(300, dtype=np.bool_), population=3000))
    assert at.low < 0.75 < at.high
    assert 0.02 < at.high - at.low < 0.3


def test_a_report_of_a_run_that_ended_early_prints_no_interval_of_a_fixed_size() -> None:
    right = np.arange(200) % 3 == 0
    scores = scored(right, prefix(200, 60))
    report = build_report([scores], ended={("m", "t"): "decided"})
    (metric,) = report["results"][0]["metrics"]
    at = found(scores)
    assert (metric["method"], metric["stderr"]) == ("anytime", None)
    assert (metric["low"], metric["high"]) == (at.low, at.high)
    assert metric["benchmark"] == {"value": at.value, "low": at.low, "high": at.high}
    assert {part["low"] for part in metric["slices"]["half"].values()} == {None}


def test_a_budget_that_was_fixed_before_keeps_its_interval() -> None:
    scores = scored(np.arange(200) % 3 == 0, prefix(200, 60))
    report = build_report([scores], ended={("m", "t"): "budget"})
    (metric,) = report["results"][0]["metrics"]
    assert metric["method"] == "wilson"
    assert metric["benchmark"]["low"] <= metric["low"]
