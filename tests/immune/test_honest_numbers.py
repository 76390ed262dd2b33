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
from workspaces import QUIZ, SUMS, Workspace, quiz_rows, sum_rows

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


CAVEAT = "the continuation starts inside a token"


def test_a_score_says_what_it_has_to_be_read_with(workspace: Workspace) -> None:
    """I35: truncated contexts and split tokens were told by `plan` alone."""
    model = f"[models.short]\npath = {json.dumps(str(workspace.model))}\nmax_length = 12\n"
    gate = '[gates.g]\nmetric = "quiz.acc"\nmin = 0.0\n'
    task = QUIZ + 'overflow = "truncate"\n'
    sums = SUMS + 'overflow = "truncate"\n'
    workspace.write(model, task, sums, gate)
    workspace.rows("quiz.jsonl", quiz_rows(6))
    workspace.rows("sums.jsonl", sum_rows(3))
    told = "in 6 of 6 cases the context was cut at the left"
    ran = command(workspace, "exec", "specs", "--model", "short", "--junit", "j.xml")
    assert told in " ".join(ran.out.split())
    assert "max_new_tokens" in ran.out
    assert told in (workspace.root / "j.xml").read_text()
    for flag in ("--markdown", "--json"):
        found = command(workspace, "report", "specs", "--model", "short", flag).out
        assert told in found or '"kind": "truncated"' in found
    (first, second) = report(workspace, "--model", "short")["results"]
    assert {"kind": "truncated", "cases": 6} in first["caveats"]
    assert {"kind": "cut_off", "cases": 3} in second["caveats"]
    done = command(workspace, "report", "specs", "--model", "short", "--html", "p.html")
    assert done.code == 0, done.text
    assert told in (workspace.root / "p.html").read_text()
    compared = command(workspace, "diff", "m", "short", "--task", "quiz").out
    assert "note on B: quiz (short): " + told in " ".join(compared.split())
    planned = command(workspace, "plan", "specs", "--model", "short").out
    assert "nothing to run" in planned
    assert "contexts were cut at the left" in planned


def test_each_metric_shows_its_own_pick(workspace: Workspace) -> None:
    """I35: `report --cases`, `diff` and JSON showed the pick of `acc` under `acc_norm`."""
    workspace.write(QUIZ)
    longer = ["a", "ten times as long as that", "b", "c"]
    workspace.rows("quiz.jsonl", [{**row, "choices": longer} for row in quiz_rows(8)])
    asked(workspace)
    (result,) = results(workspace)
    cases_ = result["cases"]
    for case in cases_:
        assert set(case["picks"]) == {"acc", "acc_norm"}
        assert case["picks"]["acc"] == case["picked"]
        for metric, pick in case["picks"].items():
            assert case["scores"][metric] == float(pick == case["target"])
    apart = [case for case in cases_ if case["picks"]["acc"] != case["picks"]["acc_norm"]]
    assert apart
    one = apart[0]["picks"]
    shown = command(workspace, "report", "specs", "--cases", "8").out
    assert f"choice {one['acc']} (acc), choice {one['acc_norm']} (acc_norm)" in shown
