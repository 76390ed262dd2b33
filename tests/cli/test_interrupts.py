"""Ctrl-C during `exec`: the commit in flight is finished, and a second run continues."""

from __future__ import annotations

import signal
import time

from workspaces import QUIZ, Workspace, quiz_rows

ROWS = 1500


def records(workspace: Workspace) -> int:
    with workspace.store() as store:
        return store.records()


def test_an_interrupted_run_says_how_to_continue_and_continues(workspace: Workspace) -> None:
    workspace.write(QUIZ)
    workspace.rows("quiz.jsonl", quiz_rows(ROWS))
    process = workspace.start("exec", "specs", "--no-report")
    while records(workspace) == 0 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    done = records(workspace)
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
