"""The examples run, and say what they promise."""

from __future__ import annotations

import re
import subprocess
import sys

from workspaces import ROOT, Workspace


def example(workspace: Workspace, name: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *arguments],
        cwd=workspace.root,
        env=workspace.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_training_loop_evaluates_its_checkpoints_and_asks_each_once(workspace: Workspace) -> None:
    workspace.quiz()
    asked = [str(workspace.model), "--specs", "specs", "--name", "m", "--task", "quiz"]
    asked += ["--steps", "4", "--every", "2"]
    first = example(workspace, "training_loop.py", *asked)
    assert re.findall(r"step (\d): .*, (\d+) asked", first) == [("2", "24"), ("4", "24")]
    assert re.search(r"acc_norm: \d+ fixed, \d+ broken", first)
    again = example(workspace, "training_loop.py", *asked)
    assert re.findall(r"step (\d): .*, (\d+) asked", again) == [("2", "0"), ("4", "0")]
    assert re.sub(r"\d+ asked", "", again) == re.sub(r"\d+ asked", "", first)
