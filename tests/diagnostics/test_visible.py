"""What is not our own wording is seen for what it is."""

from __future__ import annotations

import json
import subprocess
import sys
import unicodedata

import pytest

from evalc.diagnostics.visible import visible, visible_json, visible_lines
from workspaces import Workspace

UNSEEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def test_every_character_that_nobody_sees_is_written_as_an_escape() -> None:
    every = [chr(code) for code in range(0x110000)]
    hidden = [char for char in every if unicodedata.category(char) in UNSEEN]
    assert len(hidden) > 100_000
    assert not [char for char in hidden if char in visible(f"x{char}x")]


@pytest.mark.parametrize("text", ["é 中文 עברית", "❤️ 1️⃣ 👩‍👩‍👧", "می‌خواهم", "a::b ## [x] #1 @x \\d"])
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    "text", ["::error::x", " \t::error::x", "\u3000::a", "a\n::b", "\x1b[1m::x"]
)
def test_no_line_begins_a_workflow_command(text: str) -> None:
    lines = visible_lines(text).split("\n")
    assert not [line for line in lines if line.strip().startswith("::")]


@pytest.mark.parametrize("text", ["a ##[error]x", "###vso[task.setvariable]x", "##teamcity[x]"])
def test_commands_that_runners_look_for_inside_a_line_are_broken(text: str) -> None:
    assert "##[" not in visible(text).replace("vso", "").replace("teamcity", "")


def test_json_says_the_same_without_what_nobody_sees() -> None:
    value = {"\u202e": ["\x7f\x9b", "\ud800", "\U000e0041", "##[error]", "é\u2028"]}
    text = visible_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value
    assert visible(text) == text


def test_arguments_are_visible_in_usage_errors(workspace: Workspace) -> None:
    done = workspace.call("plan", "--x\n::stop-commands::t\x1b[2J")
    assert done.code == 2
    assert "\x1b" not in done.text
    assert not [line for line in done.err.splitlines() if line.strip().startswith("::")]


def test_a_mistyped_command_is_told_the_near_one(workspace: Workspace) -> None:
    done = workspace.call("exce")
    assert (done.code, "Did you mean 'exec'?" in done.err) == (2, True)


@pytest.mark.parametrize(("stream", "why"), [("> /dev/full", "no space"), (">&-", "closed")])
def test_an_output_that_takes_nothing_is_a_diagnostic(
    workspace: Workspace, stream: str, why: str
) -> None:
    shell = f"{sys.executable} -m evalc schema {stream}"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "error[output-unwritable]" in done.stderr and why in done.stderr
