"""What libraries print, log, warn of and write natively passes the boundary that our lines pass."""

from __future__ import annotations

import json

import pytest

from hostile import commands, raw
from workspaces import Workspace

SCRIPT = r"""
import logging, os, sys, warnings
from evalc.cli import main
from evalc.exec import loop
from transformers.utils import logging as theirs
plain = loop.asking
def asking(*arguments, **named):
    print("printed \x1b[2J\n::error::a")
    os.write(2, b"native \x1b[2J\n::error::b\n\xff half")
    os.write(1, b"native stdout\n")
    warnings.warn("warned \x1b[2J\n::error::c\u202e")
    logging.getLogger("x").warning("logged \x1b]0;a\x07\n  ::stop-commands::t")
    theirs.get_logger("transformers.z").error("theirs \x1b[2J\n::error::d")
    sys.stdout.buffer.write(b"bytes \x1b\n")
    sys.stderr.write("not ended")
    return plain(*arguments, **named)
loop.asking = asking
main(sys.argv[1:])
"""
TOLD = ("printed", "native", "native stdout", "warned", "logged", "theirs", "bytes", "not ended")


@pytest.mark.parametrize("github", ["", "true"])
def test_others_are_heard_on_stderr_alone_and_steer_nothing(
    workspace: Workspace, github: str
) -> None:
    workspace.quiz(2)
    done = workspace.python(SCRIPT, "exec", "specs", "--json", GITHUB_ACTIONS=github)
    assert done.code == 0, done.err
    assert json.loads(done.out)["complete"]
    assert not raw(done.err) and not commands(done.err, ours=bool(github))
    assert [word for word in TOLD if word not in done.err] == []
    assert r"\x1b[2J" in done.err


def test_what_a_process_says_last_before_it_aborts_is_heard(workspace: Workspace) -> None:
    workspace.quiz(2)
    script = SCRIPT.replace(
        "return plain", "os.write(2, b'\\x1b last words\\n'); os.abort(); plain"
    )
    done = workspace.python(script, "exec", "specs")
    assert done.code == -6
    assert r"\x1b last words" in done.err


def test_help_and_versions_are_data(workspace: Workspace) -> None:
    assert "Usage" in workspace.run("plan", "--help").out
    assert "version" in workspace.run("--version").out
