"""What is recorded under a name: of how many cases, and whether gates can compare with it."""

from __future__ import annotations

import json

import pytest

from workspaces import QUIZ, Workspace, quiz_rows

CASES = 240
TIERS = """
[tiers.quick]
stop = "decided"
[tiers.small]
cases = 40
"""
FLOOR = '\n[gates.floor]\nmetric = "quiz.acc"\nmin = 0.9\n'
DROP = '\n[gates.drop]\nmetric = "quiz.acc"\nbaseline = "main"\nmax_drop = 0.02\n'


@pytest.fixture
def judged(workspace: Workspace) -> Workspace:
    """A workspace with a long quiz and a gate that a part of it decides."""
    workspace.write(QUIZ, TIERS, FLOOR)
    workspace.rows("quiz.jsonl", quiz_rows(CASES))
    return workspace


def record(workspace: Workspace, *arguments: str) -> str:
    """What a run says of its record."""
    done = workspace.call("exec", "--record", "main", "--no-report", *arguments)
    assert done.code in (0, 3, 4), done.text
    return done.err


def test_a_record_of_a_run_that_its_gates_ended_says_of_how_many_cases_it_is(
    judged: Workspace,
) -> None:
    told = record(judged, "--tier", "quick")
    (result,) = judged.call("report", "--tier", "quick", "--json").json["results"]
    seen = result["scored"]
    assert (result["ended"], 0 < seen < CASES) == ("decided", True)
    assert f"recorded as `main`: {seen} scored cases" in told
    assert f"`main` on a part of its cases alone, as it has quiz (m) on {seen} of {CASES}" in told
    judged.write(QUIZ, TIERS, DROP)
    done = judged.call("exec", "--json")
    (entry,) = done.json["gates"]
    assert entry["recorded"] == {"scored": seen, "total": CASES}
    assert entry["conditions"][0]["total"] == seen
    phrase = f"{seen} of {seen} cases that main, recorded on {seen} of {CASES} cases, has answered"
    file, page = judged.root / "gates.xml", judged.root / "page.html"
    shown = judged.call("report", "--junit", file, "--html", page)
    assert phrase in " ".join(shown.out.split())
    assert phrase in judged.call("report", "--markdown").out
    assert phrase in file.read_text()
    assert f"All {phrase.partition(' of ')[2]} were looked at" in page.read_text()


def test_a_record_of_a_sample_is_of_a_part_too(judged: Workspace) -> None:
    judged.write(QUIZ, TIERS)
    assert f"quiz (m) on 40 of {CASES} cases" in record(judged, "--tier", "small")
    judged.write(QUIZ, TIERS, DROP)
    (entry,) = judged.call("exec", "--json").json["gates"]
    assert entry["recorded"] == {"scored": 40, "total": CASES}


def test_a_record_of_all_cases_is_of_no_part(judged: Workspace) -> None:
    assert "warning" not in record(judged)
    judged.write(QUIZ, TIERS, DROP)
    done = judged.call("report", "--json")
    assert "recorded" not in done.json["gates"][0]
    assert "recorded on" not in judged.call("report").out


def test_a_record_by_the_name_of_a_model_is_told_to_be_compared_with_by_no_gate(
    judged: Workspace,
) -> None:
    done = judged.call("exec", "--record", "m", "--no-report")
    assert done.code == 0
    assert "warning[shadowed-result]: gates compare with the model `m`, not with what" in done.err
    assert "spec.toml:2:" in done.err
    assert "recorded as `m`: 240 scored cases" in done.err
    assert "shadowed-result" not in judged.call("report").err


def test_a_baseline_that_is_both_a_model_and_a_record_is_told_to_be_the_model(
    judged: Workspace,
) -> None:
    record(judged)
    path = json.dumps(str(judged.model))
    both = judged.write(QUIZ, TIERS, DROP, f"\n[models.main]\npath = {path}\n")
    line = both.read_text().splitlines().index('baseline = "main"') + 1
    for command in ("exec", "report"):
        done = judged.call(command, "--json")
        assert done.code == 0, done.text
        assert done.json["gates"][0]["conditions"][0]["scope"] == "value"
        assert done.err.count("warning[shadowed-result]") == 1
        assert f"spec.toml:{line}:" in done.err
    again = judged.call("exec", "--record", "main", "--no-report")
    assert again.err.count("warning[shadowed-result]") == 1


def test_on_github_a_record_by_the_name_of_a_model_is_annotated(
    judged: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(judged.root))
    done = judged.call("exec", "--record", "m", "--no-report")
    assert "::warning file=specs/spec.toml,line=2," in done.err
