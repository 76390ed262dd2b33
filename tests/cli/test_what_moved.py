"""A report says what moved against the baselines of gates: metrics, and groups of cases."""

from __future__ import annotations

import pytest

from workspaces import QUIZ, Workspace, quiz_rows

CASES = 240
KINDS = "abc"
SLICED = QUIZ.replace('"quiz.jsonl"', '"quiz.jsonl"\nid = "{{ id }}"', 1)
SLICED += 'slices = ["{{ kind }}"]\n'
OTHER = SLICED.replace("quiz", "other")
TIERS = "\n[tiers.part]\ncases = 120\n"


def drops(*tasks: str) -> str:
    return "".join(
        f'\n[gates.{task}_drop]\nmetric = "{task}.acc"\nbaseline = "before.json"\nmax_drop = 0.9\n'
        for task in tasks
    )


@pytest.fixture
def moving(workspace: Workspace) -> Workspace:
    """Two tasks of which every case was right before; now all of kind `a` of the quiz are wrong."""
    rows = [{**row, "id": n, "kind": KINDS[n % 3]} for n, row in enumerate(quiz_rows(CASES))]
    workspace.write(SLICED, OTHER)
    for task in ("quiz", "other"):
        workspace.rows(f"{task}.jsonl", rows)
    picked = {
        (result["task"], int(case["id"])): case["picked"]
        for result in workspace.call("exec", "--json").json["results"]
        for case in result["cases"]
    }
    for task in ("quiz", "other"):
        right = [{**row, "answer": picked[task, row["id"]]} for row in rows]
        workspace.rows(f"{task}.jsonl", right)
    (workspace.specs / "before.json").write_text(workspace.call("report", "--json").out)
    wrong = [
        {**row, "answer": (picked["quiz", row["id"]] + (row["kind"] == "a")) % 4} for row in rows
    ]
    workspace.rows("quiz.jsonl", wrong)
    workspace.write(SLICED, OTHER, TIERS, drops("quiz", "other"))
    return workspace


@pytest.fixture
def partly(moving: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Half of the cases asked, into another cache."""
    monkeypatch.setenv("EVALC_CACHE", str(moving.root / "part"))
    assert moving.call("exec", "--tier", "part", "--no-report").code == 0
    return moving


def test_a_part_of_the_cases_tells_which_metric_and_which_group_moved(partly: Workspace) -> None:
    done = partly.call("report", "--tier", "part", "--json")
    assert [result["scored"] for result in done.json["results"]] == [120, 120]
    metrics, other, quiz = done.json["moves"]
    assert (metrics["slice"], metrics["compared"], metrics["rate"]) == (None, 2, 0.05)
    assert [entry["name"] for entry in metrics["moved"]] == ["quiz_drop (m)"]
    assert metrics["moved"][0]["difference"] == pytest.approx(-1 / 3, abs=0.12)
    assert (other["gate"], other["compared"], other["moved"]) == ("other_drop", 3, [])
    assert (quiz["gate"], quiz["model"], quiz["compared"]) == ("quiz_drop", "m", 3)
    assert quiz["moved"] == [{"name": "a", "difference": pytest.approx(-1.0)}]
    # a description: the gates allow more
    assert (done.code, {gate["state"] for gate in done.json["gates"]}) == (0, {"pass"})


def test_what_moved_is_told_with_the_bound_on_what_is_wrongly_named(partly: Workspace) -> None:
    page = partly.root / "page.html"
    shown = partly.call("report", "--tier", "part", "--html", page).out
    comment = partly.call("report", "--tier", "part", "--markdown").out
    line = (
        "moved: a by -1.0000; 1 of 3 groups by kind of quiz_drop (m) "
        "(false discovery rate at most 5 %)"
    )
    assert line in shown
    assert line in page.read_text()
    assert line.replace("_", "\\_") in comment
    assert "1 of 2 metrics of gates (false discovery rate at most 5 %)" in shown
    assert "other_drop (m) (false" not in shown


def test_a_gate_twice_on_one_metric_is_compared_once(partly: Workspace) -> None:
    twin = drops("quiz").replace("gates.quiz_drop", "gates.twin")
    partly.write(SLICED, OTHER, TIERS, drops("quiz", "other"), twin)
    found = partly.call("report", "--tier", "part", "--json").json["moves"]
    assert [entry["gate"] for entry in found] == [None, "other_drop", "quiz_drop"]
    assert found[0]["compared"] == 2


def test_a_whole_run_leaves_nothing_to_infer(moving: Workspace) -> None:
    done = moving.call("exec", "--json")
    assert done.json["complete"]
    assert "moves" not in done.json
