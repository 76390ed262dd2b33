"""What decisions are expected to cost: told by the plan, and beside what they did cost after."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workspaces import QUIZ, Workspace, quiz_rows

CASES = 400
TIERS = """
[tiers.quick]
stop = "decided"
[tiers.small]
cases = 40
stop = "decided"
[tiers.whole]
"""


def write(workspace: Workspace, **keys: Any) -> None:
    gate = {"metric": "quiz.acc", **keys}
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in gate.items())
    workspace.write(QUIZ, TIERS, "\n[gates.g]\n" + lines)


@pytest.fixture
def costed(workspace: Workspace) -> Workspace:
    workspace.rows("quiz.jsonl", quiz_rows(CASES))
    return workspace


def test_a_plan_tells_what_each_decision_should_need_and_what_that_rests_on(
    costed: Workspace,
) -> None:
    write(costed, min=0.9)
    plan = costed.call("plan", "--tier", "quick", "--json").json
    (entry,) = plan["decisions"]
    assert (entry["gate"], entry["key"], entry["total"]) == ("g", "min", CASES)
    assert 0 < entry["cases"] < CASES
    assert entry["assumes"] == "it is 5 points from its bound"
    expected, whole = plan["total"]["expected"], plan["total"]["estimate"]
    assert expected["cases"] == entry["cases"]
    share = entry["cases"] / CASES
    assert expected["seconds"] == pytest.approx(share * whole["seconds"])
    text = costed.call("plan", "--tier", "quick").text
    assert "decided after about" in text
    assert "ends when its gates are decided" in text


def test_a_tier_that_does_not_end_early_expects_its_budget(costed: Workspace) -> None:
    write(costed, min=0.9)
    expected = costed.call("plan", "--tier", "whole", "--json").json["total"]["expected"]
    assert (expected["early"], expected["cases"]) == (False, CASES)
    assert 'stop = "decided"' in costed.call("plan", "--tier", "whole").text


def test_a_budget_bounds_what_is_expected(costed: Workspace) -> None:
    write(costed, half_width=0.01)
    plan = costed.call("plan", "--tier", "small", "--json").json
    assert plan["decisions"][0]["cases"] == 40
    assert plan["total"]["expected"]["cases"] == 40


def test_a_recorded_baseline_says_how_far_the_bound_is(costed: Workspace) -> None:
    write(costed, min=0.9)
    recorded = costed.call("exec", "--record", "main", "--json").json
    value = recorded["results"][0]["metrics"][0]["value"]
    write(costed, min=0.9, baseline="main", max_drop=0.5)
    by_key = {
        entry["key"]: entry
        for entry in costed.call("plan", "--tier", "quick", "--json").json["decisions"]
    }
    assert by_key["min"]["assumes"].startswith(f"it scores {value:.4f}, as main")
    assert by_key["max_drop"]["assumes"].startswith("nothing has changed since main")
    assert by_key["max_drop"]["cases"] < 64


def test_a_baseline_that_is_not_there_is_a_warning_of_the_plan(costed: Workspace) -> None:
    write(costed, baseline="main", max_drop=0.1)
    done = costed.call("plan", "--tier", "quick")
    assert done.code == 0
    assert "warning: gate g: no result is recorded as `main`" in " ".join(done.text.split())


def test_what_is_answered_already_costs_nothing_more(costed: Workspace) -> None:
    write(costed, min=0.9)
    assert costed.call("exec", "--tier", "quick", "--no-report").code == 0
    expected = costed.call("plan", "--tier", "quick", "--json").json["total"]["expected"]
    assert expected["cases"] > 0
    assert (
        expected["seconds"] <= 1e-9
        or expected["seconds"]
        < costed.call("plan", "--json", "--tier", "whole").json["total"]["estimate"]["seconds"]
    )


def test_a_report_has_the_predicted_beside_the_actual(costed: Workspace) -> None:
    write(costed, min=0.9)
    plan = costed.call("plan", "--tier", "quick", "--json").json
    done = costed.call("exec", "--tier", "quick", "--json").json
    (condition,) = done["gates"][0]["conditions"]
    assert condition["expected"] == plan["decisions"][0]["cases"]
    assert condition["seen"] != condition["total"]
    (run,) = done["runs"]
    assert run["predicted_seconds"] < run["whole_seconds"]
    text = " ".join(costed.call("report", "--tier", "quick").text.split())
    assert f"predicted {condition['expected']}" in text
