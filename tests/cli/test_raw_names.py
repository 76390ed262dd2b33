"""Arguments and names of files that are bytes of no encoding, and outputs that take nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workspaces import Done, Workspace, quiz_rows

RAW = os.fsdecode(b"c\x80")


@pytest.fixture
def quiz(workspace: Workspace) -> Workspace:
    workspace.quiz(2)
    return workspace


def said(done: Done, code: int, phrase: str) -> None:
    assert (done.code, phrase in done.err) == (code, True), done.text
    assert "internal error" not in done.err


@pytest.mark.parametrize("command", ["check", "plan", "exec", "report", "doctor", "lock"])
@pytest.mark.parametrize("argument", [("--set", RAW), ("--set", f"paths.x={RAW}"), (f"--{RAW}",)])
def test_arguments_of_no_encoding_are_refused(
    quiz: Workspace, command: str, argument: tuple[str, ...]
) -> None:
    done = quiz.call(command, "specs", *argument)
    said(done, 2, r"\udc80" if argument[0] != "--set" else "is not UTF-8")


@pytest.mark.parametrize("command", ["check", "plan", "exec", "report"])
def test_data_in_a_folder_of_no_encoding_is_refused(quiz: Workspace, command: str) -> None:
    quiz.specs.rename(quiz.root / RAW)
    said(quiz.call(command, RAW), 2, "error[path-not-utf8]")


def test_a_spec_and_a_pinned_plan_may_lie_in_such_a_folder(quiz: Workspace) -> None:
    folder = quiz.root / RAW
    folder.mkdir()
    text = (quiz.specs / "spec.toml").read_text()
    rows = quiz.rows("quiz.jsonl", quiz_rows(2))
    (folder / f"{RAW}.toml").write_text(text.replace('"quiz.jsonl"', f'"{rows}"'))
    plan = f"{RAW}/{RAW}.plan"
    assert quiz.call("plan", RAW, "--out", plan).code == 0
    assert quiz.call("plan", "--show", plan).code == 0
    assert quiz.call("exec", plan, "--no-report").code == 0


def test_a_cache_or_a_segment_of_no_encoding_is_refused_or_written(quiz: Workspace) -> None:
    said(quiz.call("plan", "specs", "--cache", RAW), 1, "error[cache-unusable]")
    said(quiz.call("cache", "export", f"{RAW}/x"), 2, "error[segment-unwritable]")
    said(quiz.call("init", "new", "--model", RAW), 2, "cannot be written into a spec")


FULL = ["plan specs", "plan specs --json", "report specs --markdown", "exec specs --json",
        "check specs --format json", "diff m m specs", "doctor specs", "--help"]  # fmt: skip


@pytest.mark.parametrize("command", FULL)
def test_a_full_stdout_is_told_on_stderr(quiz: Workspace, command: str) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    shell = f"{sys.executable} -m evalc {command} > /dev/full"
    done = subprocess.run(
        ["sh", "-c", shell], cwd=quiz.root, env=quiz.environment(), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    said(Done(done.returncode, done.stdout, done.stderr), 1, "error[output-unwritable]")
