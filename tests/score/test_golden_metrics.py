"""Metrics recomputed from the reference harness's stored results equal its own, case by case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cell_builders import choice_cell, generate_cell

from evalc.score import Extract, Scoring, score_cell

pytestmark = pytest.mark.golden

# In lm-evaluation-harness 0.4.13's gsm8k both sides lose commas, dollars and the final point, and
# the target its reasoning.
IGNORED = (",", r"\$", r"(?s).*#### ", r"\.$")
STRICT = Extract(regex=r"#### (\-?[0-9\.\,]+)", take="first", lower=True, ignore=IGNORED)
FLEXIBLE = Extract(regex=r"(-?[$0-9.,]{2,})|(-?[0-9]+)", take="last", lower=True, ignore=IGNORED)


def _lines(shared: Path, name: str) -> list[dict[str, Any]]:
    with (shared / "golden" / f"{name}.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _cell(lines: list[dict[str, Any]], delimiter: str = " ") -> Any:
    return choice_cell(
        [[r["loglikelihood"] for r in line["requests"]] for line in lines],
        [int(line["target"]) for line in lines],
        choices=[
            [r["continuation"].removeprefix(delimiter) for r in line["requests"]] for line in lines
        ],
    )


@pytest.mark.parametrize(
    ("name", "metrics", "cases"),
    [
        ("hellaswag0", ("acc", "acc_norm"), 200),
        ("hellaswag10", ("acc", "acc_norm"), 20),
        ("mmlu_high_school_psychology_local", ("acc",), 50),
        ("mmlu_world_religions_local", ("acc",), 50),
        ("truthfulqa_mc1", ("acc",), 60),
    ],
)
def test_every_choice_metric_equals_the_harness_on_every_case(
    shared: Path, name: str, metrics: tuple[str, ...], cases: int
) -> None:
    lines = _lines(shared, name)
    scores = score_cell(_cell(lines), Scoring(metrics))
    assert len(lines) == cases
    for metric in metrics:
        theirs = np.array([line["metrics"][metric] for line in lines])
        assert np.array_equal(scores.columns[metric].values, theirs)


def test_crows_pairs_equals_the_harness_on_every_case(shared: Path) -> None:
    lines = _lines(shared, "crows_pairs")
    scores = score_cell(_cell(lines, ""), Scoring(("acc", "likelihood_diff")))
    theirs = {m: np.array([line["metrics"][m] for line in lines]) for m in lines[0]["metrics"]}
    assert np.array_equal(scores.columns["acc"].values, theirs["pct_stereotype"])
    assert np.allclose(
        scores.columns["likelihood_diff"].values, theirs["likelihood_diff"], rtol=0, atol=1e-9
    )


def test_both_gsm8k_filters_equal_the_harness_on_every_case(shared: Path) -> None:
    lines = _lines(shared, "gsm8k")
    strict = [line for line in lines if line["filter"] == "strict-match"]
    flexible = [line for line in lines if line["filter"] == "flexible-extract"]
    assert len(strict) == len(flexible) == 20
    cell = generate_cell(
        [[line["requests"][0]["text"]] for line in strict], [line["target"] for line in strict]
    )
    scoring = Scoring(("exact_match",), {"strict": STRICT, "flexible": FLEXIBLE})
    scores = score_cell(cell, scoring)
    for name, own in (("strict", strict), ("flexible", flexible)):
        theirs = [line["metrics"]["exact_match"] for line in own]
        assert scores.columns[f"exact_match@{name}"].values.tolist() == theirs


def test_both_gsm8k_filters_extract_the_harness_texts(shared: Path) -> None:
    plain = {
        "strict-match": Extract(regex=STRICT.regex, take="first"),
        "flexible-extract": Extract(regex=FLEXIBLE.regex, take="last"),
    }
    for line in _lines(shared, "gsm8k"):
        cell = generate_cell([[line["requests"][0]["text"]]], [line["target"]])
        found = score_cell(cell, Scoring(("exact_match",), {"": plain[line["filter"]]}))
        assert found.answers[""][0] == [line["requests"][0]["filtered"]]
