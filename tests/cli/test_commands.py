"""The frame around the commands: help, schema, init, exit codes, output streams."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from evalc import __version__
from evalc.cli.app import COMMANDS
from evalc.cli.commands import plan as planning
from workspaces import QUIZ, Workspace


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(workspace: Workspace, command: str) -> None:
    done = workspace.call(command, "--help")
    assert done.code == 0
    assert done.out.startswith(f"Usage: evalc {command}")


def test_help_lists_the_commands_in_the_order_of_the_work(workspace: Workspace) -> None:
    out = workspace.call("--help").out
    places = [out.index(f"\n  {command} ") for command in COMMANDS]
    assert places == sorted(places)
    assert __version__ in workspace.call("--version").out


def test_schema_is_a_json_schema(workspace: Workspace) -> None:
    done = workspace.call("schema")
    schema = done.json
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert {"models", "datasets", "tasks"} <= set(schema["properties"])


def test_the_starter_runs_from_plan_to_report(workspace: Workspace) -> None:
    done = workspace.call("init", "mine", "--model", str(workspace.model))
    assert done.code == 0
    written = done.out.split()
    assert "mine/evalc.toml" in written
    assert all((workspace.root / name).is_file() for name in written)
    assert workspace.call("check", "mine").code == 0
    assert workspace.call("plan", "mine", "--detailed-exitcode").code == 6
    smoke = workspace.call("exec", "mine", "--tier", "smoke")
    assert smoke.code == 0, smoke.err
    assert workspace.call("exec", "mine").code == 0
    found = workspace.call("report", "mine", "--json").json
    assert found["complete"]
    assert {result["task"] for result in found["results"]} == {"capitals", "sums", "sentences"}


def test_init_overwrites_nothing(workspace: Workspace) -> None:
    (workspace.root / "mine").mkdir()
    kept = workspace.root / "mine" / "evalc.toml"
    kept.write_text("mine\n")
    done = workspace.call("init", "mine")
    assert (done.code, "file-exists" in done.err) == (2, True)
    assert kept.read_text() == "mine\n"
    assert list((workspace.root / "mine").iterdir()) == [kept]


def test_init_where_no_folder_can_be_made_is_a_fault(workspace: Workspace) -> None:
    (workspace.root / "file").write_text("")
    done = workspace.call("init", "file/specs")
    assert (done.code, "file-unwritable" in done.err) == (2, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["plan", "--frobnicate"],
        ["plan", "specs", "--tier"],
        ["report", "specs", "--cases", "many"],
        ["diff", "one"],
        ["check", "specs", "--format", "xml"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_refused(workspace: Workspace, arguments: list[str]) -> None:
    workspace.quiz()
    done = workspace.call(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert "Traceback" not in done.err
    assert workspace.untouched()


def test_diagnostics_go_to_stderr_for_people_and_to_stdout_for_machines(
    workspace: Workspace,
) -> None:
    workspace.quiz(1)
    workspace.write(QUIZ.replace("prompt", "promt"))
    people = workspace.call("check", "specs")
    assert (people.code, people.out) == (2, "")
    assert "did you mean `prompt`?" in people.err
    assert "spec.toml:" in people.err
    machine = workspace.call("check", "specs", "--format", "json")
    assert (machine.code, machine.err) == (2, "")
    assert "unknown-key" in json.dumps(machine.json)
    assert workspace.call("plan", "specs", "--json").json == machine.json
    github = workspace.call("check", "specs", "--format", "github")
    assert github.out.startswith("::error ")
    line = workspace.call("check", "specs", "--format=line")
    assert len(line.err.strip().splitlines()) == len(github.out.strip().splitlines())


def test_check_reads_the_data_unless_told_not_to(workspace: Workspace) -> None:
    workspace.write(QUIZ)
    done = workspace.call("check", "specs")
    assert (done.code, "missing-data" in done.err) == (2, True)
    assert workspace.call("check", "specs", "--specs-only").code == 0


def test_check_says_ok_and_writes_no_store(workspace: Workspace) -> None:
    workspace.quiz()
    done = workspace.call("check", "specs")
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("ok: 1 model, 1 dataset, 1 task, 0 suites")
    assert not (workspace.cache / "store").exists()
    assert workspace.call("check", "specs", "--format", "json").code == 0


def test_a_reader_that_goes_away_is_no_traceback(workspace: Workspace) -> None:
    workspace.quiz(400)
    command = f"{sys.executable} -m evalc schema | head -c 1"
    for shell in (command, command.replace("schema", "plan specs --json")):
        done = subprocess.run(
            ["sh", "-c", shell],
            cwd=workspace.root,
            env=workspace.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout == "{"
        assert "Traceback" not in done.stderr
        assert "BrokenPipe" not in done.stderr


def test_a_bug_of_ours_is_one_line_unless_the_traceback_is_asked_for(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by design")

    workspace.quiz()
    monkeypatch.setattr(planning, "plan_table", broken)
    done = workspace.call("plan", "specs")
    assert done.code == 1
    assert done.err.startswith("internal error: ZeroDivisionError: by design\n")
    assert "EVALC_TRACEBACK" in done.err
    monkeypatch.setenv("EVALC_TRACEBACK", "1")
    told = workspace.call("plan", "specs")
    assert told.code == 1
    assert told.err.startswith("Traceback (most recent call last):\n")
    assert told.err.endswith("ZeroDivisionError: by design\n")
    monkeypatch.setenv("EVALC_TRACEBACK", "0")
    assert "Traceback" not in workspace.call("plan", "specs").err


def test_the_module_can_be_run(workspace: Workspace) -> None:
    assert workspace.run("--version").out.strip().endswith(__version__)
    done = workspace.run("plan", "nowhere")
    assert (done.code, done.out) == (2, "")
    assert "Traceback" not in done.err
