"""BLEU and chrF keep their statistics by case, and score the same with them as without."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cell_builders import generate_cell

from evalc.score import CellRecords, Column, Scoring, score_cell
from evalc.score.cache import ScoreCache
from evalc.store import Store
from evalc.store.environment import SCORES

METRICS = ("bleu", "chrf")
WANTED = ["the cat sat on the mat", ["a dog", "one dog ran"], "no answer here at all"]


def cell(*texts: str) -> CellRecords:
    return generate_cell([[text, text + " too"] for text in texts], WANTED)


def columns(subject: CellRecords, store: Store | None) -> dict[str, Column]:
    return score_cell(subject, Scoring(METRICS), cache=ScoreCache(store)).columns


def numbers(found: dict[str, Column]) -> list[list[float]]:
    return [
        [*column.values, column.aggregate.combine(column.aggregate.statistics.sum(axis=0))]  # type: ignore[union-attr]
        for column in found.values()
    ]


def test_values_are_the_same_cold_warm_and_without_a_store(tmp_path: Path) -> None:
    subject = cell("the cat sat on a mat", "one dog walked", "")
    with Store.open(tmp_path) as store:
        cold, warm = columns(subject, store), columns(subject, store)
    assert numbers(cold) == numbers(warm) == numbers(columns(subject, None))


def test_one_changed_answer_is_counted_alone(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        columns(cell("the cat", "a dog", "x"), store)
        assert store.count(SCORES) == 2 * 3
        columns(cell("the cat", "a dog ran", "x"), store)
        assert store.count(SCORES) == 2 * 4


def test_what_is_kept_is_what_is_reported(tmp_path: Path) -> None:
    """The statistics are really read: others in their place are another value."""
    subject = cell("the cat sat on a mat", "one dog walked", "no")
    with Store.open(tmp_path) as store:
        before = columns(subject, store)
        names = [name for batch in store.scan(SCORES) for name, _ in batch]
        kept = [json.loads(value or b"") for value in store.read(names, SCORES)]
        store.commit(names, [json.dumps([0] * len(own)).encode() for own in kept], SCORES)
        after = columns(subject, store)
    for name in METRICS:
        assert np.nanmax(before[name].values) > 0
        assert np.nanmax(after[name].values) == pytest.approx(0)
