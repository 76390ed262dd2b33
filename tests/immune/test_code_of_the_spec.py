"""Whatever a hook does, it does not decide how evalc ends, what it prints or how long it takes."""

from __future__ import annotations

import json

import pytest

from workspaces import SUMS, Done, Workspace, sum_rows

JUDGED = SUMS.replace('["exact_match"]', '["judges:judge"]')
LIMITED = "[hooks]\nseconds = 1\n"
"""Where something hangs: the other tests are read by a tree that knows no `[hooks]` too."""
GATE = '[gates.good]\nmetric = "sums.judges:judge"\nmin = 0.9\n'


def limited(body: str) -> str:
    return LIMITED if body.startswith("while") else ""


def asked(workspace: Workspace, code: str, spec: str = JUDGED + GATE) -> Workspace:
    """A workspace whose answers are all in the cache: a report is all that is to be done."""
    workspace.write(SUMS)
    workspace.rows("sums.jsonl", sum_rows(4))
    assert workspace.call("exec", "specs", "--no-report").code == 0
    workspace.write(spec)
    (workspace.specs / "judges.py").write_text(code)
    return workspace


def judge(body: str, head: str = "") -> str:
    """A hook that runs `body` on the third of four cases."""
    return (
        f"import os, sys\n{head}\ndef judge(case):\n"
        f"    if case['row']['question'] == '2 + 3':\n        {body}\n    return 0\n"
    )


def failed(done: Done) -> None:
    assert done.code == 7, done.text
    assert "internal error" not in done.text and "Traceback" not in done.err
    (found, *_) = json.loads(done.out)["diagnostics"]
    assert "`judges:judge`" in found["message"]


CALLS = {
    "sys.exit(0)": "sys.exit(0)",
    "sys.exit(3)": "sys.exit(3)",
    "os._exit(0)": "exit status 0",
    "os.kill(os.getpid(), 9)": "SIGKILL",
    "return 10**400": "not a finite number",
    "return 1e308": "beyond",
    "return Bad()": "cannot be shown",
    "raise Bad()": "cannot be shown",
    "raise ValueError('\\udc80')": "udc80",
    "raise KeyboardInterrupt": "KeyboardInterrupt",
    "while True: pass": "longer than 1 s",
}
BAD = "class Bad(Exception):\n    def __repr__(self): 1 / 0\n    __str__ = __repr__\n"


@pytest.mark.parametrize("body", CALLS)
def test_a_call_that_ends_hangs_or_gives_nonsense_is_code_7_and_named(
    workspace: Workspace, body: str
) -> None:
    """I36: `sys.exit(0)` in a call ended a failed gate with 0 and without a word."""
    # a process of its own where the tree before could end or hang the tests
    done = asked(workspace, judge(body, BAD), JUDGED + GATE + limited(body)).run(
        "report", "specs", "--json"
    )
    failed(done)
    assert CALLS[body] in done.out
    assert "case" in done.out


@pytest.mark.parametrize("line", ["sys.exit(0)", "os._exit(0)", "1 / 0", "while True: pass"])
def test_an_import_that_ends_hangs_or_raises_is_code_7_and_named(
    workspace: Workspace, line: str
) -> None:
    """I36: at import too."""
    own = asked(workspace, judge("pass", line), JUDGED + GATE + limited(line))
    failed(own.run("report", "specs", "--json"))


def test_what_a_hook_prints_is_not_in_the_json(workspace: Workspace) -> None:
    """I36: `print` stood in front of the document."""
    code = judge("print('seen'); os.write(1, b'heard')", "print('imported')")
    done = asked(workspace, code).run("report", "specs", "--json")
    assert done.code == 3, "the gate fails, as its metric is 0"
    assert done.json["results"]
    assert 'note: `judges:judge` wrote to stdout or stderr: "imported' in done.err


def test_exec_and_diff_end_with_7_as_well(workspace: Workspace) -> None:
    """I36: and nothing of a failed hook is kept."""
    asked(workspace, judge("sys.exit(0)"))
    for command in (("exec", "specs"), ("diff", "m", "m", "specs")):
        assert workspace.call(*command).code == 7
    (workspace.specs / "judges.py").write_text("def judge(case):\n    return 1\n")
    assert workspace.call("report", "specs").code == 0


PREPARES = {
    "sys.exit(0)": "sys.exit(0)",
    "return [0] * 10**7": "row 0",
    "while True: yield rows[0]": "longer than 1 s",
    "return [{'question': '\\udc80'}]": "UnicodeEncodeError",
}


@pytest.mark.parametrize("body", PREPARES)
def test_a_prepare_that_fails_is_code_7(workspace: Workspace, body: str) -> None:
    """I36: a list of 10^7 numbers took 15 s and was blamed on a file of the cache."""
    spec = SUMS.replace('path = "sums.jsonl"', 'path = "sums.jsonl"\nprepare = "makers:make"')
    workspace.write(spec + limited(body))
    workspace.rows("sums.jsonl", sum_rows(4))
    (workspace.specs / "makers.py").write_text(f"import sys\ndef make(rows):\n    {body}\n")
    done = workspace.run("plan", "specs")
    assert done.code == 7, done.text
    assert "`makers:make` failed" in done.err and PREPARES[body] in done.err


def test_a_wrong_signature_is_told_before_a_model_is_asked(workspace: Workspace) -> None:
    """I36: every answer was paid for before the first call failed."""
    workspace.write(JUDGED)
    workspace.rows("sums.jsonl", sum_rows(4))
    (workspace.specs / "judges.py").write_text(
        "open('ran', 'w')\ndef judge(prediction, reference):\n    return 1\n"
    )
    for command in ("check", "plan", "exec", "report"):
        done = workspace.run(command, "specs")
        assert done.code == 2, done.text
        assert "error[unfit-hook]" in done.err
        assert "takes 2 arguments" in done.err and "judges.py:2" in done.err
    assert workspace.untouched()
    assert not (workspace.root / "ran").exists()
