"""Verdicts for CI systems, end to end: JUnit files, annotations, job summaries, comments."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from evalc.cli.files import ci
from workspaces import QUIZ, Workspace, quiz_rows

CASES = 240
TIERS = "[tiers.quick]\nstop = 'decided'\n[tiers.small]\ncases = 40\nstop = 'decided'\n"


def gate(name: str, **keys: Any) -> str:
    lines = [
        f"{key} = {json.dumps(value)}" for key, value in {"metric": "quiz.acc", **keys}.items()
    ]
    return f"\n[gates.{name}]\n" + "\n".join(lines) + "\n"


@pytest.fixture
def judged(workspace: Workspace) -> Workspace:
    """Gates that pass, fail and stay open within 40 cases."""
    soft = gate("soft", min=0.26, on_inconclusive="warn")
    workspace.write(QUIZ, TIERS, gate("low", min=0.02), gate("high", min=0.9), soft)
    workspace.rows("quiz.jsonl", quiz_rows(CASES))
    return workspace


@pytest.fixture
def summary(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Path:
    """GitHub around the commands; the file of the job's summary."""
    path = workspace.root / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(workspace.root))
    return path


def outcomes(path: Path) -> dict[str, str]:
    root = ElementTree.fromstring(path.read_text())
    return {
        case.attrib["name"]: next((c.tag for c in case if c.tag != "system-out"), "passed")
        for case in root.iter("testcase")
    }


def test_exec_and_report_write_the_same_verdicts_as_junit(judged: Workspace) -> None:
    file = judged.root / "out" / "evalc.xml"
    file.parent.mkdir()
    done = judged.call("exec", "--tier", "small", "--junit", file, "--json")
    assert done.code == 3, done.text
    verdicts = {"low (m)": "passed", "high (m)": "failure", "soft (m)": "skipped"}
    assert outcomes(file) == verdicts
    assert [entry.name for entry in file.parent.iterdir()] == ["evalc.xml"]
    seen = {entry["gate"]: entry["conditions"][0]["seen"] for entry in done.json["gates"]}
    properties = {
        p.attrib["name"]: p.attrib["value"]
        for p in ElementTree.fromstring(file.read_text()).iter("property")
    }
    assert {name: int(properties[f"{name}.min.seen"]) for name in seen} == seen
    again = judged.root / "again.xml"
    assert judged.call("report", "--tier", "small", "--junit", again).code == 3
    assert again.read_text() == file.read_text()


def test_a_wrong_spec_is_an_error_in_the_junit_file_in_place_of_old_verdicts(
    judged: Workspace,
) -> None:
    file = judged.root / "evalc.xml"
    judged.call("exec", "--tier", "small", "--junit", file)
    judged.write(QUIZ, TIERS, gate("low", min=0.02), "[models.n]\npath = 1\n")
    assert judged.call("exec", "--junit", file).code == 2
    (name,) = outcomes(file)
    assert (name, outcomes(file)[name]) == ("1: wrong-type specs/spec.toml:24:8", "error")


def test_a_junit_file_that_cannot_be_written_is_said_before_anything_is_asked(
    judged: Workspace,
) -> None:
    (judged.root / "file").write_text("")
    done = judged.call("exec", "--tier", "small", "--junit", judged.root / "file" / "evalc.xml")
    assert (done.code, "[file-unwritable]" in done.err) == (1, True)
    assert judged.untouched()


def test_an_interrupted_run_leaves_no_verdict_in_the_junit_file(
    judged: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    file = judged.root / "evalc.xml"
    monkeypatch.setattr("evalc.run.execute.ask_all", interrupt)
    assert judged.call("exec", "--tier", "small", "--junit", file).code == 130
    assert outcomes(file) == {"run": "error"}


def test_a_junit_file_that_is_a_link_or_a_pipe_stays_one(judged: Workspace) -> None:
    real, link, pipe = (judged.root / name for name in ("real.xml", "link.xml", "pipe"))
    link.symlink_to(real)
    judged.call("exec", "--tier", "small", "--junit", link)
    assert link.is_symlink()
    assert outcomes(real)["low (m)"] == "passed"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as threads:
        read = threads.submit(pipe.read_text)
        judged.call("report", "--tier", "small", "--junit", pipe)
        assert read.result(timeout=30) == real.read_text()
    assert pipe.is_fifo()


def test_verdicts_without_a_report_are_refused(judged: Workspace) -> None:
    done = judged.call("exec", "--junit", judged.root / "x.xml", "--no-report")
    assert (done.code, "leave out --no-report" in done.err) == (2, True)
    assert not (judged.root / "x.xml").exists()


def test_on_github_gates_are_annotated_at_their_lines_and_json_stays_whole(
    judged: Workspace, summary: Path
) -> None:
    done = judged.call("exec", "--tier", "small", "--json")
    assert [entry["gate"] for entry in done.json["gates"]] == ["high", "low", "soft"]
    found = [line for line in done.err.splitlines() if line.startswith("::")]
    lines = (judged.specs / "spec.toml").read_text().splitlines()
    at = {name: lines.index(f"[gates.{name}]") + 1 for name in ("low", "high", "soft")}
    for line, level, name, mark in zip(
        found, ("error", "warning", "notice"), ("high", "soft", "low"), ("FAIL", "open", "pass"),
        strict=True,
    ):  # fmt: skip
        place = f"file=specs/spec.toml,line={at[name]}"
        title = f"title=evalc gate {name} (m)%3A {mark}"
        assert line.startswith(f"::{level} {place},{title}::quiz.acc: wanted at least")
    text = summary.read_text()
    assert "## ❌ evalc: 1 of 3 gates failed, 1 is not decided (tier `small`)" in text


def test_elsewhere_nothing_is_annotated(judged: Workspace) -> None:
    done = judged.call("exec", "--tier", "small")
    assert "::" not in done.text
    assert not (judged.root / "summary.md").exists()


def test_a_comment_is_printed_and_not_annotated_again(judged: Workspace, summary: Path) -> None:
    judged.call("exec", "--tier", "small", "--no-report")
    done = judged.call("report", "--tier", "small", "--markdown")
    assert done.out.startswith("<!-- evalc -->\n## ❌ evalc: 1 of 3 gates failed")
    assert "::" not in done.err
    assert not summary.exists()


def test_a_wrong_spec_is_annotated_on_github_beside_what_a_person_reads(
    judged: Workspace, summary: Path
) -> None:
    judged.write(QUIZ, "[models.n]\npath = 1\n")
    done = judged.call("plan")
    assert (done.code, done.out) == (2, "")
    assert "error[wrong-type]" in done.err
    assert "::error file=specs/spec.toml,line=" in done.err
    machine = judged.call("check", "--format", "github")
    assert machine.text.count("::error ") == 1


def test_a_summary_is_added_to_and_keeps_within_what_github_shows(
    judged: Workspace, summary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary.write_text("# before\n")
    judged.call("exec", "--tier", "small")
    first = summary.read_text()
    assert first.startswith("# before\n")
    assert "Left out" not in first
    monkeypatch.setattr(ci, "SUMMARY", len(first.encode()) + 2000)
    many = ("report", "--tier", "small", "--set", f"tasks.quiz.slices={['{{ question }}']}")
    judged.call(*many)
    text = summary.read_text()
    assert text.startswith(first)
    assert len(first.encode()) + 500 < len(text.encode()) <= len(first.encode()) + 2000
    assert "Left out to keep this short" in text
    assert "the job summary is full" in judged.call(*many).err
    assert summary.read_text() == text


def test_a_summary_that_cannot_be_written_does_not_fail_the_run(
    judged: Workspace, summary: Path
) -> None:
    summary.mkdir()
    done = judged.call("exec", "--tier", "small")
    assert done.code == 3
    assert "the job summary cannot be written" in done.err


def test_a_change_against_a_baseline_counts_flips_and_has_an_interval(judged: Workspace) -> None:
    # rows whose ids stay what they are when their answers change
    rows = [{**row, "id": n} for n, row in enumerate(quiz_rows(CASES))]
    judged.rows("quiz.jsonl", rows)
    quiz = QUIZ.replace('"quiz.jsonl"', '"quiz.jsonl"\nid = "{{ id }}"', 1)
    judged.write(quiz, TIERS)
    before = judged.call("exec", "--record", "main", "--json")
    value = before.json["results"][0]["metrics"][0]["value"]
    judged.rows("quiz.jsonl", [{**r, "answer": (r["answer"] + (r["id"] < 20)) % 4} for r in rows])
    judged.write(quiz, TIERS, gate("drop", baseline="main", max_drop=0.3))
    done = judged.call("report", "--json")
    (entry,) = done.json["gates"]
    after = done.json["results"][0]["metrics"][0]["value"]
    change = entry["change"]
    assert change["difference"] == pytest.approx(after - value)
    assert change["low"] == change["high"] == change["difference"]
    assert change["better"] - change["worse"] == round((after - value) * CASES)
    assert 0 < change["better"] + change["worse"] <= 20
    assert (change["compared"], change["total"]) == (CASES, CASES)
    assert 0 <= change["p"] <= 1
    row = next(
        line
        for line in judged.call("report", "--markdown").out.splitlines()
        if line.startswith("| drop | m | main |")
    )
    assert f"| {change['better']} | {change['worse']} | 240 of 240 |" in row


def test_a_change_that_ended_early_has_an_interval_that_holds_and_no_p(judged: Workspace) -> None:
    judged.write(QUIZ, TIERS)
    assert judged.call("exec", "--record", "main", "--no-report").code == 0
    judged.write(QUIZ, TIERS, gate("drop", baseline="main", max_drop=0.02))
    done = judged.call("report", "--json")
    assert done.json["gates"][0]["change"]["p"] == 1.0
    small = judged.call("exec", "--tier", "small", "--json", "--set", "models.m.numerics=fast")
    (entry,) = small.json["gates"]
    change = entry["change"]
    assert change["p"] is None
    assert change["compared"] < CASES
    assert change["low"] <= 0 <= change["high"]
