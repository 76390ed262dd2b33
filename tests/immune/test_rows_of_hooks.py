"""A row that hooks and programs are given is the row, or it is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workspaces import Workspace

PICK = """
[tasks.t]
dataset = "d"
type    = "multiple_choice"
prompt  = "{{ q }}"
choices = ["a", "b"]
target  = "{{ 0 | int }}"
metrics = ["acc"]
"""
SAY = """
[tasks.t]
dataset  = "d"
type     = "generate"
prompt   = "{{ q }}"
target   = "1"
generate = { max_new_tokens = 1 }
metrics  = ["exact_match"]
"""
TEXT = """
[tasks.t]
dataset = "d"
type    = "perplexity"
prompt  = "{{ q }}"
metrics = ["word_perplexity"]
"""
HOOKS = """
def score(case):
    return 1.0 if case["row"].get("x", "none") == "none" else 0.0


def found(text, case):
    return str(case["row"].get("x", "none"))


def make(rows):
    return [{"q": str(row.get("x", "none"))} for row in rows]
"""
ODD = {
    "12345678901234567890123": "an integer beyond 64 bits",
    "NaN": "NaN",
    "-Infinity": "an infinity",
    "1e400": "a number too large for 64 bits",
    '[0, {"y": [NaN]}]': "NaN",
}
GIVEN = {
    "metric of choices": PICK.replace('"acc"', '"acc", "own:score"'),
    "metric of texts": SAY.replace('"exact_match"', '"own:score"'),
    "metric of perplexity": TEXT.replace('"word_perplexity"', '"word_perplexity", "own:score"'),
    "extraction": SAY + 'extract = { python = "own:found" }\n',
    "named extraction": SAY + 'extract.a = { python = "own:found" }\n',
    "program": SAY.replace("exact_match", "code_pass@1")
    + "code = { program = \"x = '{{ x | default('none') }}'\" }\n",
}
PLACES = {
    "metric of choices": '"own:score"',
    "extraction": '"own:found"',
    "named extraction": '"own:found"',
    "program": "default('none')",
}


def put(workspace: Workspace, task: str, *values: str, more: str = "") -> None:
    workspace.write(f'[datasets.d]\npath = "d.jsonl"\n{more}', task)
    lines = [f'{{"q": "Q{at}", "x": {value}}}\n' for at, value in enumerate(values)]
    (workspace.specs / "d.jsonl").write_text("".join(lines))
    (workspace.specs / "own.py").write_text(HOOKS)


def refused(workspace: Workspace, *commands: tuple[str, ...]) -> str:
    said = ""
    for command in commands:
        done = workspace.call(*command)
        assert done.code == 2, done.text
        assert "[missing-column]" in done.err
        said = done.err
    assert workspace.untouched()
    return said


COMMANDS = (("check", "specs"), ("plan", "specs"), ("exec", "specs"))


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("value", ODD)
def test_a_row_that_would_reach_a_hook_without_a_column_is_refused(
    workspace: Workspace, given: str, value: str
) -> None:
    """The hook was given the row without it, so that `row.get("x", "none")` scored it as such."""
    put(workspace, GIVEN[given], "1", value)
    said = refused(workspace, *COMMANDS)
    assert f"the row on line 2 has {ODD[value]} in `x`" in said
    assert "d.jsonl:2" in said
    assert PLACES.get(given, '"own:score"') in said
    assert "write it as a text, or `null` where there is no value" in said


@pytest.mark.parametrize("task", [PICK, SAY, TEXT])
@pytest.mark.parametrize("value", ODD)
def test_a_row_that_would_reach_prepare_without_a_column_is_refused(
    workspace: Workspace, task: str, value: str
) -> None:
    """`prepare` was given the row without it."""
    put(workspace, task, "1", value, more='prepare = "own:make"\n')
    said = refused(workspace, *COMMANDS, ("check", "specs", "--allow-code"))
    assert f"the row on line 2 has {ODD[value]} in `x`" in said
    assert "d.jsonl:2" in said
    assert '"own:make"' in said
    assert "write it as a text" in said


def test_many_rows_of_prepare_are_one_fault(workspace: Workspace) -> None:
    put(workspace, SAY, *["NaN"] * 7, more='prepare = "own:make"\n')
    said = refused(workspace, ("plan", "specs"))
    assert said.count("[missing-column]") == 1
    assert "7 rows are like this: lines 1, 2, 3, 4, 5 and 2 more" in said


def test_rows_that_were_planned_without_a_hook_are_looked_at_again_for_one(
    workspace: Workspace,
) -> None:
    put(workspace, SAY, "1", "NaN")
    assert workspace.call("plan", "specs").code == 0
    put(workspace, GIVEN["extraction"], "1", "NaN")
    refused(workspace, ("plan", "specs"))


def test_a_column_that_no_program_reads_refuses_nobody(workspace: Workspace) -> None:
    put(workspace, GIVEN["program"].replace("x | default('none')", "completion"), "1", "NaN")
    assert workspace.call("plan", "specs").code == 0
    put(workspace, PICK, "1", "NaN")
    assert workspace.call("plan", "specs").code == 0


def test_the_target_of_a_case_does_not_stand_in_for_a_column_of_that_name(
    workspace: Workspace,
) -> None:
    """A program reads the column `target` before the target of the case."""
    put(workspace, GIVEN["program"].replace("x | default('none')", "target"), "1")
    (workspace.specs / "d.jsonl").write_text('{"q": "Q", "target": 1e999}\n')
    assert "has a number too large for 64 bits in `target`" in refused(workspace, *COMMANDS)


def test_a_shot_with_such_a_number_says_so(workspace: Workspace) -> None:
    shots = 'fewshot = { dataset = "s", k = 2, template = "{{ x }}" }\n'
    put(workspace, SAY + shots, "1", more='[datasets.s]\npath = "s.jsonl"\n')
    (workspace.specs / "s.jsonl").write_text('{"x": 1}\n{"x": NaN}\n')
    assert "the row on line 2 has NaN in `x`" in refused(workspace, *COMMANDS)


def test_a_row_of_parquet_is_told_by_its_own_file(workspace: Workspace, tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    put(workspace, SAY, "1", more='prepare = "own:make"\n')
    spec = workspace.specs / "spec.toml"
    spec.write_text(spec.read_text().replace("d.jsonl", "d.parquet"))
    table = arrow.table({"q": ["a", "b"], "x": [0.5, float("nan")]})
    parquet.write_table(table, workspace.specs / "d.parquet")
    said = refused(workspace, ("plan", "specs"))
    assert "d.parquet:2" in said
    assert "snapshots" not in said


def test_the_largest_numbers_that_are_kept_reach_a_hook_as_they_are(workspace: Workspace) -> None:
    largest = str(2**64 - 1)
    put(workspace, SAY + 'extract = { python = "own:found" }\n', largest)
    spec = workspace.specs / "spec.toml"
    spec.write_text(spec.read_text().replace('target   = "1"', f'target   = "{largest}"'))
    done = workspace.call("exec", "specs", "--json")
    assert json.loads(done.out)["results"][0]["metrics"][0]["value"] == 1, done.text
