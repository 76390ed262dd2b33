"""One content in two formats is two datasets, for whatever is kept of it."""

from __future__ import annotations

import pytest

from workspaces import Workspace

TWO = """
[datasets.c]
path = "d.csv"
{more}
[datasets.t]
path = "d.tsv"
{more}
"""
TASK = """
[tasks.{name}]
dataset  = "{name}"
type     = "generate"
prompt   = "{{{{ q }}}}"
target   = "{{{{ q }}}}|"
generate = {{ max_new_tokens = 1 }}
metrics  = ["exact_match"]
"""


def prompts(workspace: Workspace) -> list[str]:
    planned = workspace.planned()
    return [planned.case(cell, 0)["prompt"] for cell in range(2)]


def test_a_row_of_a_csv_is_none_of_a_tsv(workspace: Workspace) -> None:
    """The memo took one for the other: their column names and the row's bytes are the same."""
    workspace.write(TWO.format(more=""), TASK.format(name="c"), TASK.format(name="t"))
    (workspace.specs / "d.csv").write_text("q,t\na,b\tc\n")
    (workspace.specs / "d.tsv").write_text("q\tt\na,b\tc\n")
    assert prompts(workspace) == ["a", "a,b"]
    for name, wanted in (("csv", "a|"), ("tsv", "a,b|")):
        own = TWO.format(more="").replace("d.csv", f"d.{name}")
        workspace.write(own, TASK.format(name="c"))
        done = workspace.call("report", "specs", "--json", "--cases", "1")
        assert done.code == 0, done.text
        assert workspace.planned().case(0, 0)["target"] == wanted, name


def test_what_prepare_made_of_a_csv_is_not_that_of_a_tsv(workspace: Workspace) -> None:
    more = 'prepare = "own:keep"'
    workspace.write(TWO.format(more=more), TASK.format(name="c"), TASK.format(name="t"))
    (workspace.specs / "own.py").write_text("def keep(rows):\n    return rows\n")
    (workspace.specs / "d.csv").write_text("q,t\ta\nx,y\tz\n")
    (workspace.specs / "d.tsv").write_text("q,t\ta\nx,y\tz\n")
    done = workspace.call("plan", "specs")
    assert done.code == 2
    assert "the dataset's columns are: q,t, a" in " ".join(done.err.split()), done.err


@pytest.mark.parametrize("nested", [["b"], {"t": 1}])
def test_a_list_or_a_table_is_no_choice(nested: object, workspace: Workspace) -> None:
    text = '[datasets.d]\npath = "d.jsonl"\n[tasks.t]\ndataset = "d"\ntype = "multiple_choice"\n'
    text += 'prompt = "{{ q }}"\nchoices = "{{ c }}"\ntarget = 0\nmetrics = ["acc"]\n'
    workspace.write(text)
    workspace.rows("d.jsonl", [{"q": "x", "c": ["a", nested]}])
    done = workspace.call("plan", "specs")
    assert done.code == 2
    assert "bad-choices" in done.err and "choice 1 of a case is a" in done.err


@pytest.mark.parametrize("name", ["full", "none"])
def test_no_tier_is_called_as_those_that_every_spec_has(name: str, workspace: Workspace) -> None:
    workspace.quiz()
    (workspace.specs / "tiers.toml").write_text(f"evalc = 1\n[tiers.{name}]\ncases = 1\n")
    done = workspace.call("check", "specs")
    assert done.code == 2
    assert "error[bad-name]" in done.err


def test_a_relative_module_that_a_hook_names_is_part_of_it(workspace: Workspace) -> None:
    """A score was served after `pk/w.py` had changed."""
    from evalc.plan.imports import files_of

    folder = workspace.specs / "pk"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    load = 'from importlib import import_module\nW = import_module(".w", __package__).W\n'
    (folder / "hk.py").write_text(load)
    (folder / "w.py").write_text("W = 1\n")
    assert folder / "w.py" in files_of("pk.hk", workspace.specs)
