"""What is wrong is told before a model is asked, and for what it is."""

from __future__ import annotations

import json
import warnings
from xml.etree import ElementTree

import pytest

from workspaces import QUIZ, SUMS, Workspace, sum_rows

CODE = SUMS.replace("exact_match", "code_pass@1") + 'code = { program = "PROGRAM" }\n'
FLOOR = '[gates.floor]\nmetric = "sums.exact_match"\nmin = 0.0\n'


def code(workspace: Workspace, program: str) -> None:
    workspace.write(CODE.replace("PROGRAM", program))
    workspace.rows("sums.jsonl", sum_rows(3))


@pytest.mark.parametrize("command", ["check", "plan", "exec"])
def test_a_program_that_names_no_column_is_refused_before_anything_runs(
    workspace: Workspace, command: str
) -> None:
    code(workspace, "{{ completin }}{{ tests }}")
    done = workspace.call(command, "specs")
    assert done.code == 2
    assert done.err.count("error[undefined-variable]") == 2
    assert "did you mean `completion`?" in done.err
    assert "spec.toml:14:" in done.err
    assert "a program also sees: completion, prompt, target" in done.err


def test_a_program_sees_what_evalc_gives_it_and_its_row(workspace: Workspace) -> None:
    code(workspace, "{{ prompt }}{{ completion }}{{ target }}{{ answer }}{{ x | default('') }}")
    assert workspace.call("check", "specs").code == 0
    rows = [*sum_rows(3), {"question": "1 + 1"}]
    workspace.rows("sums.jsonl", rows)
    code_of = CODE.replace("PROGRAM", "{{ answer }}").replace('target   = "{{ answer }}"\n', "")
    workspace.write(code_of)
    for command in ("check", "plan"):
        done = workspace.call(command, "specs")
        assert done.code == 2
        assert "the row on line 4 has no `answer`" in done.err


def test_another_program_writes_no_case_anew(workspace: Workspace) -> None:
    code(workspace, "{{ completion }}")
    assert workspace.planned().handle.fresh == 3
    code(workspace, "{{ completion }} # another")
    assert workspace.planned().handle.fresh == 0


def test_an_answer_as_long_as_the_model_takes_is_told_of_itself(workspace: Workspace) -> None:
    workspace.write(SUMS.replace("max_new_tokens = 4", "max_new_tokens = 500000"))
    workspace.rows("sums.jsonl", sum_rows(2))
    said = workspace.call("plan", "specs").err
    assert "`max_new_tokens` of 500000 leaves no room for a prompt" in said
    assert "hint: lower `max_new_tokens` below " in said
    assert "truncate" not in said
    assert said.count("[context-too-long]") == 1


def test_a_pattern_that_python_warns_of_is_a_warning_with_its_place(workspace: Workspace) -> None:
    workspace.write(SUMS, "extract = { regex = '[[b]' }\n")
    workspace.rows("sums.jsonl", sum_rows(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        done = workspace.call("check", "specs")
    assert done.code == 0
    assert "warning[doubtful-pattern]" in done.err
    assert "spec.toml:14:23" in done.err
    assert "FutureWarning" not in done.err


@pytest.mark.parametrize("hook", ["os:nope", "json:nope", "math:nope"])
def test_a_function_that_a_module_of_python_lacks_is_told_by_check(
    workspace: Workspace, hook: str
) -> None:
    workspace.write(SUMS.replace('["exact_match"]', json.dumps([hook])))
    workspace.rows("sums.jsonl", sum_rows(1))
    done = workspace.call("check", "specs")
    assert done.code == 2
    assert f"hook `{hook}` cannot be loaded: its module has no function `nope`" in done.err


def test_a_report_before_any_run_says_that_nothing_was_asked(workspace: Workspace) -> None:
    workspace.write(SUMS, FLOOR)
    workspace.rows("sums.jsonl", sum_rows(2))
    said = workspace.call("report", "specs").text
    assert "nothing has been asked yet" in said
    assert "budget ended" not in said


def test_a_side_of_a_diff_that_is_not_there_is_a_missing_file(workspace: Workspace) -> None:
    workspace.both(1)
    (workspace.root / "main.json").write_text("{}")
    done = workspace.call("diff", "man.json", "out/new.json")
    assert done.code == 2
    assert "`man.json` does not exist" in done.err
    assert "did you mean `main.json`?" in done.err
    assert "`out/new.json` does not exist" in done.err
    assert "evalc report --json > out/new.json" in done.err
    assert "`./specs` is a folder, not a report" in workspace.call("diff", "./specs", "m").err
    (workspace.root / "m").mkdir()
    assert "is a folder" not in workspace.call("diff", "m", "m").err


def test_gates_that_a_failing_hook_leaves_open_are_errors_in_the_junit_file(
    workspace: Workspace,
) -> None:
    workspace.write(SUMS.replace('["exact_match"]', '["exact_match", "own:f"]'), FLOOR)
    workspace.rows("sums.jsonl", sum_rows(2))
    (workspace.specs / "own.py").write_text("def f(case):\n    raise ValueError('no')\n")
    assert workspace.call("exec", "specs", "--junit", "out.xml").code == 7
    cases = ElementTree.parse(workspace.root / "out.xml").iter("testcase")
    found = {(case.get("classname"), case.get("name")): case.find("error") for case in cases}
    error = found["sums", "floor (m)"]
    assert error is not None
    assert str(error.get("message")).startswith("not judged: hook `own:f` failed on case")
    # two cases failed, and what to do about it is said once
    said = workspace.call("report", "specs").err
    assert (said.count("[hook-failed]"), said.count("hint: ")) == (2, 1)


def test_numbers_of_things_agree_with_their_nouns(workspace: Workspace) -> None:
    workspace.write(QUIZ)
    workspace.rows("quiz.jsonl", [{"question": "Q", "choices": ["a", "b"], "answer": 0}])
    assert "ok: 1 model, 1 dataset, 1 task, 0 suites" in workspace.call("check", "specs").err
    assert "0 of 1 case is scored" in workspace.call("report", "specs").out
