"""Ctrl-C during `exec`: the commit in flight is finished, and a second run continues."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

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


def test_a_terminated_run_says_how_to_continue(workspace: Workspace) -> None:
    workspace.write(QUIZ)
    workspace.rows("quiz.jsonl", quiz_rows(ROWS))
    process = workspace.start("exec", "specs", "--no-report", script=SMALL_PACKS)
    while not workspace.records() and process.poll() is None:
        time.sleep(0.01)
    process.terminate()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 143, err
    assert 0 < len(workspace.records()) < 4 * ROWS
    assert out == ""
    assert "run the same command again to continue" in err
    assert err.splitlines()[-1] == "terminated"
    assert "Traceback" not in err


EARLY = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
class Hurry:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), getattr(signal, sys.argv[2]))
sys.meta_path.insert(0, Hurry())
from evalc.entry import main
main()
"""
"""The command line, with a signal that comes when a module is about to be imported."""


@pytest.mark.parametrize("module", ["evalc.cli", "evalc.cli.app", "click", "rich"])
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_while_evalc_is_imported_is_answered_without_a_traceback(
    workspace: Workspace, module: str, name: str, code: int
) -> None:
    done = workspace.python(EARLY, module, name)
    assert done.code == code, done.err
    assert done.err == ("interrupted\n" if name == "SIGINT" else "terminated\n")


LATE = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
class Late:
    def __del__(self, kill=os.kill, me=os.getpid(), number=getattr(signal, sys.argv.pop(1))):
        kill(me, number)
late = Late()
from evalc.entry import main
main()
"""
"""The command line, with a signal that comes when Python has given up its handlers."""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["check", "nowhere"], 2)])
def test_a_signal_when_all_is_done_leaves_the_exit_code(
    workspace: Workspace, name: str, arguments: list[str], code: int
) -> None:
    done = workspace.python(LATE, name, *arguments)
    assert done.code == code, done.err


def test_a_report_after_an_interrupted_run_says_how_to_go_on(workspace: Workspace) -> None:
    """It said that the budget ended, of which there was none."""
    floor = '[gates.floor]\nmetric = "quiz.acc"\nhalf_width = 0.001\n'
    workspace.write(QUIZ, floor)
    workspace.rows("quiz.jsonl", quiz_rows(ROWS))
    process = workspace.start("exec", "specs", script=SMALL_PACKS)
    while not workspace.records() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 130
    said = workspace.call("report", "specs").text
    assert "the run was not finished before it was decided; `evalc exec` goes on" in said
    assert "budget ended" not in said


def test_a_background_job_goes_on_where_ctrl_c_is_ignored(workspace: Workspace) -> None:
    script = EARLY.replace("default_int_handler", "SIG_IGN")
    done = workspace.python(script, "click", "SIGINT")
    assert "Traceback" not in done.err
    assert done.code != 130


def test_the_command_begins_where_signals_are_answered() -> None:
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    assert 'evalc = "evalc.entry:main"' in project.read_text()
