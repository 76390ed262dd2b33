"""Comparisons and samples that say what they are."""

from __future__ import annotations

import json
import random
from string import ascii_lowercase
from typing import Any

import numpy as np
import pytest
from ledger import asked, command, report, results

from evalc.decide import paired
from tiny_models import write_model
from workspaces import QUIZ, Workspace, quiz_rows

stats = pytest.importorskip("scipy.stats")
ROWS = 60
TIERS = "[tiers.few]\ncases = 6\n[tiers.some]\ncases = 20\n"


def exact(up: int, down: int) -> float:
    """McNemar's exact p from scipy."""
    return float(stats.binomtest(min(up, down), up + down, 0.5).pvalue) if up + down else 1.0


def hits(result: dict[str, Any]) -> dict[str, float]:
    """Accuracy of every case."""
    return {case["id"]: case["scores"]["acc"] for case in result["cases"]}


def test_a_difference_has_mcnemars_exact_p(workspace: Workspace) -> None:
    """I21, lm-eval #3831: two runs on the same cases compared as if they were independent."""
    other = write_model(workspace.root / "other", seed=8)
    workspace.write(QUIZ, f"[models.other]\npath = {json.dumps(str(other))}\n")
    draw = random.Random(3)
    words = [["".join(draw.choices(ascii_lowercase, k=3)) for _ in range(4)] for _ in range(ROWS)]
    rows = [{**row, "choices": four} for row, four in zip(quiz_rows(ROWS), words, strict=True)]
    workspace.rows("quiz.jsonl", rows)
    assert asked(workspace) == 2 * 4 * ROWS
    one, two = (hits(result) for result in results(workspace))
    assert list(one) == list(two)
    up = sum(one[case] < two[case] for case in one)
    down = sum(one[case] > two[case] for case in one)
    assert up + down > 5
    done = command(workspace, "diff", "m", "other", "--json")
    assert done.code == 0, done.text
    found = [metric for metric in entries(done.json) if metric.get("metric") == "acc"]
    (acc,) = found
    assert (acc["fixed"], acc["broken"], acc["test"]) == (up, down, "mcnemar")
    assert acc["p"] == pytest.approx(exact(up, down))


def entries(content: Any) -> list[dict[str, Any]]:
    """Every comparison with a p value in a document."""
    if isinstance(content, list):
        return [entry for part in content for entry in entries(part)]
    if not isinstance(content, dict):
        return []
    own = [content] if "p" in content else []
    return own + [entry for part in content.values() for entry in entries(part)]


@pytest.mark.parametrize(("up", "down"), [(0, 0), (1, 0), (3, 9), (10, 10), (40, 12)])
def test_the_paired_test_is_mcnemars(up: int, down: int) -> None:
    """I21, lm-eval #3831: the number itself, against scipy's."""
    a = np.array([0.0] * up + [1.0] * down + [1.0] * 5 + [0.0] * 5)
    b = np.array([1.0] * up + [0.0] * down + [1.0] * 5 + [0.0] * 5)
    assert paired(a, b, binary=True).p == pytest.approx(exact(up, down))


@pytest.fixture
def tiered(workspace: Workspace) -> Workspace:
    """Sixty rows, and tiers of six and twenty."""
    workspace.write(QUIZ, TIERS)
    workspace.rows("quiz.jsonl", quiz_rows(ROWS))
    return workspace


def cases(workspace: Workspace, *arguments: str) -> list[str]:
    """Ids of the cases that a report has."""
    return [case["id"] for case in results(workspace, *arguments)[0]["cases"]]


def test_limits_are_random_seeded_and_nested(tiered: Workspace) -> None:
    """I22, lm-eval #2598: a limit took the first rows, which are sorted by subject."""
    full, some, few = (cases(tiered, "--tier", t) for t in ("full", "some", "few"))
    assert (len(full), len(some), len(few)) == (ROWS, 20, 6)
    assert set(few) < set(some) < set(full)
    assert set(some) not in (set(full[:20]), set(full[-20:]))
    assert cases(tiered, "--tier", "some") == some
    assert asked(tiered, "--tier", "few") == 24
    assert asked(tiered, "--tier", "some") == 4 * 14


def test_a_subset_never_passes_for_a_full_run(tiered: Workspace) -> None:
    """I22, lighteval #1040: results of a limited run were taken for those of the whole task."""
    assert asked(tiered, "--tier", "few") == 24
    full, few = report(tiered), report(tiered, "--tier", "few")
    assert (full["complete"], full["results"][0]["scored"]) == (False, 6)
    assert few["tier"] == "few"
    assert full["plan"]["to_run"] == 4 * (ROWS - 6)
    assert full["runs"] == [] or full["runs"][0]["tier"] == "few"
    shown = command(tiered, "report", "--tier", "few")
    assert "6 of 60" in shown.out
    assert asked(tiered) == 4 * (ROWS - 6)
    assert report(tiered)["complete"]
