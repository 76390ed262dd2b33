"""Gates that a selection leaves without a verdict: the report says which, and why."""

from __future__ import annotations

import json

import pytest

from workspaces import QUIZ, SUMS, Workspace, quiz_rows, sum_rows

GATES = """
[gates.floor]
metric = "quiz.acc"
min    = 0.0
[gates.sum_floor]
metric = "sums.exact_match"
min    = 0.0
[gates.best]
metric = "quiz.acc"
among  = ["m", "m2", "m3"]
[gates.drop]
metric   = "quiz.acc"
models   = ["m2"]
baseline = "m"
max_drop = 1.0
"""


@pytest.fixture
def several(workspace: Workspace) -> Workspace:
    """Three models by other names of one, two tasks, and a gate of each kind."""
    path = json.dumps(str(workspace.model))
    models = "".join(f"[models.{name}]\npath = {path}\n" for name in ("m2", "m3"))
    workspace.write(models, QUIZ, SUMS, GATES)
    workspace.rows("quiz.jsonl", quiz_rows(8))
    workspace.rows("sums.jsonl", sum_rows(4))
    return workspace


def whys(workspace: Workspace, *selection: str) -> tuple[set[str], dict[str, str]]:
    """The gates that are judged in a selection, and why the others are not."""
    report = workspace.call("report", "--json", *selection).json
    assert ("unjudged" in report) == bool(report.get("unjudged"))
    others = {entry["gate"]: entry["why"] for entry in report.get("unjudged", [])}
    return {entry["gate"] for entry in report.get("gates", [])}, others


def test_every_gate_is_judged_or_it_is_said_why_not(several: Workspace) -> None:
    every = {"floor", "sum_floor", "best", "drop"}
    assert whys(several) == (every, {})
    assert whys(several, "--task", "quiz") == (
        every - {"sum_floor"},
        {"sum_floor": "task not selected"},
    )
    assert whys(several, "--task", "quiz", "--model", "m", "--model", "m3") == (
        {"floor"},
        {
            "best": "candidates not selected: `m2`",
            "drop": "models not selected",
            "sum_floor": "task not selected",
        },
    )


def test_a_selection_in_which_no_gate_is_judged_says_so_too(several: Workspace) -> None:
    several.write(QUIZ, SUMS, '\n[gates.g]\nmetric = "quiz.acc"\nmin = 0.0\n')
    assert whys(several, "--task", "sums") == (set(), {"g": "task not selected"})


def test_a_gate_that_is_not_judged_leaves_the_exit_code_to_the_others(several: Workspace) -> None:
    failing = '\n[gates.high]\nmetric = "sums.exact_match"\nmin = 1.1\n'
    passing = '\n[gates.low]\nmetric = "quiz.acc"\nmin = 0.0\n'
    several.write(QUIZ, SUMS, passing, failing)
    assert several.call("exec").code == 3
    done = several.call("exec", "--task", "quiz")
    assert done.code == 0, done.text
    assert "not judged high: task not selected" in done.out
    assert several.call("report", "--task", "sums").code == 3


def test_a_gate_that_judges_only_its_baseline_has_nothing_to_judge(several: Workspace) -> None:
    alone = '\n[gates.drop]\nmetric = "quiz.acc"\nbaseline = "m"\nmax_drop = 0.1\n'
    several.write(QUIZ, alone)
    assert whys(several) == (set(), {"drop": "no model but its baseline"})


def test_a_baseline_that_is_recorded_for_the_first_time_is_such_a_reason(
    several: Workspace,
) -> None:
    several.write(QUIZ, '\n[gates.r]\nmetric = "quiz.acc"\nbaseline = "main"\nmax_drop = 0.1\n')
    first = several.call("exec", "--record", "main", "--json")
    assert first.json["unjudged"] == [
        {"gate": "r", "task": "quiz", "why": "`main` is recorded for the first time"}
    ]
    assert "unjudged" not in several.call("report", "--json").json


def test_every_form_of_the_report_lists_what_was_not_judged(several: Workspace) -> None:
    file, page = several.root / "gates.xml", several.root / "page.html"
    line = "sum_floor: task not selected"
    shown = several.call("report", "--task", "quiz", "--junit", file, "--html", page)
    assert f"not judged {line}" in shown.out
    assert f"Not judged: {line}" in page.read_text()
    assert '<skipped type="not-judged" message="task not selected"' in file.read_text()
    comment = several.call("report", "--task", "quiz", "--markdown").out
    assert "- Not judged: sum\\_floor: task not selected" in comment
    assert ", 1 not judged" in comment.splitlines()[1]
