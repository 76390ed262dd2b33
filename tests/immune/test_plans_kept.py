"""What a plan counted is what a run does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ledger import asked, command, manifests, plan, report, results, to_run

from workspaces import QUIZ, SUMS, Workspace, quiz_rows, sum_rows

WITHOUT_TORCH = """
import sys
from evalc.cli import main

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers"):
            raise ImportError(f"{name} is imported")

sys.meta_path.insert(0, Refuse())
main(sys.argv[1:])
"""
LOADED = """
import sys
from evalc.cli import main
try:
    main(sys.argv[1:])
finally:
    print(sorted(set(sys.modules) & {"torch", "transformers", "peft"}), file=sys.stderr)
"""
SUITES = """
[suites.one]
models = ["m"]
tasks  = ["quiz", "sums"]
[suites.two]
models = ["m"]
tasks  = ["quiz", "tag:more"]
"""
AGAIN = QUIZ.partition("[tasks.quiz]")[2] + 'tags = ["more"]\n'
STALE = 5


def test_a_run_with_everything_cached_never_imports_torch(workspace: Workspace) -> None:
    """I10: other harnesses load the model to find that there is nothing to ask."""
    workspace.both()
    assert asked(workspace) == 30
    expected, runs = report(workspace), manifests(workspace)
    done = workspace.python(WITHOUT_TORCH, "exec", "--json")
    assert done.code == 0, done.text
    assert "nothing to run" in done.err
    assert json.loads(done.out) == expected
    assert manifests(workspace) == runs


def test_overlapping_suites_ask_and_report_each_task_once(workspace: Workspace) -> None:
    """I11, lm-eval #3401: a task of two groups was run twice, or lost from one of them."""
    workspace.both()
    workspace.write(QUIZ, SUMS, "[tasks.again]", AGAIN, SUITES)
    both = ("--suite", "one", "--suite", "two")
    found = plan(workspace, *both)
    assert [cell["task"] for cell in found["cells"]] == ["again", "quiz", "sums"]
    assert (found["total"]["to_run"], found["total"]["deduped"]) == (30, 24)
    assert asked(workspace, *both) == 30
    for suite in ("one", "two"):
        assert asked(workspace, "--suite", suite) == 0
    scored = {result["task"]: result for result in results(workspace, *both)}
    assert list(scored) == ["again", "quiz", "sums"]
    assert scored["again"]["metrics"] == scored["quiz"]["metrics"]
    assert scored["again"]["scored"] == 6


@pytest.mark.parametrize("answered", [False, True], ids=["first", "later"])
def test_a_stale_plan_is_refused_and_still_shown(workspace: Workspace, answered: bool) -> None:
    """I18: a plan from before an edit asks nothing, the first one of a cache too."""
    workspace.both()
    if answered:
        assert asked(workspace, "--task", "sums") == 6
    before = workspace.records() if answered else {}
    done = command(workspace, "plan", "--out", "p.plan")
    assert done.code == 0, done.text
    fresh = command(workspace, "plan", "--show", "p.plan")
    rows = quiz_rows(6)
    rows[0]["question"] = "Edited since?"
    workspace.rows("quiz.jsonl", rows)
    refused = command(workspace, "exec", "p.plan")
    assert refused.code == STALE, refused.text
    assert "error[stale-plan]" in refused.err
    assert workspace.records() == before
    shown = command(workspace, "plan", "--show", "p.plan")
    assert (shown.code, shown.out) == (0, fresh.out)
    assert "is stale" in shown.err
    assert command(workspace, "plan", "--out", "p.plan").code == 0
    assert command(workspace, "exec", "p.plan", "--no-report").code == 0
    assert to_run(workspace) == 0


def test_the_hits_of_a_plan_are_the_hits_of_its_run(workspace: Workspace) -> None:
    """I19: partly answered, with requests that several tasks share and rows that came since."""
    workspace.both()
    workspace.write(QUIZ, SUMS, "[tasks.again]", AGAIN)
    assert asked(workspace, "--task", "again") == 24
    workspace.rows("quiz.jsonl", quiz_rows(9))
    workspace.rows("sums.jsonl", sum_rows(8))
    total = plan(workspace)["total"]
    assert (total["cached"], total["deduped"], total["to_run"]) == (24, 36, 12 + 8)
    assert total["requests"] == total["cached"] + total["deduped"] + total["to_run"]
    planned, records = workspace.planned(), len(workspace.records())
    assert sum(planned.hits) == records == 24
    assert asked(workspace) == 20
    assert manifests(workspace)[-1]["asked"] == len(planned.hits) - sum(planned.hits)


def test_a_hundred_thousand_cases_are_planned_cold_without_a_model_library(
    workspace: Workspace,
) -> None:
    """I20: other harnesses build requests with the model loaded, minutes before the first one."""
    workspace.write(QUIZ)
    rows = '{"question": "Q %d?", "choices": ["red", "blue"], "answer": 0}\n'
    path: Path = workspace.specs / "quiz.jsonl"
    path.write_text("".join(rows % n for n in range(100_000)))
    done = workspace.python(LOADED, "plan", "--json")
    assert (done.code, done.err) == (0, "[]\n")
    total = done.json["total"]
    assert (total["cases"], total["requests"], total["to_run"]) == (100_000, 200_000, 200_000)
    assert workspace.untouched()
