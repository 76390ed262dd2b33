"""Ctrl-C during `exec`: the commit in flight is finished, and a second run continues."""

from __future__ import annotations

import signal
import time

from workspaces import QUIZ, SMALL_PACKS, Workspace, quiz_rows

ROWS = 120


def test_an_interrupted_run_says_how_to_continue_and_continues(workspace: Workspace) -> None:
    workspace.write(QUIZ)
    workspace.rows("quiz.jsonl", quiz_rows(ROWS))
    process = workspace.start("exec", "specs", "--no-report", script=SMALL_PACKS)
    while not workspace.records() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    done = len(workspace.records())
    assert process.returncode == 130, err
    assert 0 < done < 4 * ROWS
    assert out == ""
    assert "run the same command again to continue" in err
    assert "Traceback" not in err
    with workspace.store() as store:
        assert store.runs() == [], "a run that did not end has no manifest"
    again = workspace.call("exec", "specs", "--json")
    assert again.code == 0, again.err
    (run,) = again.json["runs"]
    assert run["asked"] == 4 * ROWS - done
    assert again.json["complete"]
