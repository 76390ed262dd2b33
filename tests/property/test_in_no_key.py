"""What is in no key: each line of the list is edited in a workspace that was asked and scored."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace

import pytest

from evalc.plan.tokenizers import bundle
from evalc.store.environment import SCORES
from workspaces import SUMS, Workspace, sum_rows

SPEC = (
    SUMS.replace('["exact_match"]', '["listed_hook:judge", "code_pass@1"]')
    + """code = { program = "print(1) # {{ completion | length }}", timeout = 30 }
extract = { regex = "(?s).*" }
[tasks.sums.fewshot]
dataset  = "shots"
k        = 1
template = "{{ question }}\\n"
[datasets.shots]
path = "shots.jsonl"
"""
)


class Everything:
    """A workspace that was asked and scored."""

    def __init__(self, workspace: Workspace) -> None:
        copy = workspace.root / "own"
        shutil.copytree(workspace.model, copy)
        self.workspace = replace(workspace, model=copy)
        self.specs = workspace.specs
        self.text = SPEC
        self.extra = ""
        self.specs.mkdir()
        self.rows = sum_rows(3)
        self.shots = [{"question": "1 + 1", "answer": "2", "note": "a"}]
        (self.specs / "listed_hook.py").write_text("def judge(case):\n    return 1\n")
        self.write()

    def write(self) -> None:
        self.workspace.write(self.text, self.extra)
        self.workspace.rows("sums.jsonl", self.rows)
        self.workspace.rows("shots.jsonl", self.shots)

    def spec(self, old: str, new: str) -> None:
        assert old in self.text
        self.text = self.text.replace(old, new)

    def keys(self, *options: str) -> tuple[str, str, set[bytes], set[bytes]]:
        """Model, engine, what is asked, and every score after a report."""
        planned = self.workspace.planned()
        flat = planned.keys
        asked = {flat[at : at + 32] for at in range(0, len(flat), 32)}
        found = planned.models[0].identity
        done = self.workspace.call("exec", "specs", "--allow-code-execution", *options)
        assert done.code == 0, done.text
        with self.workspace.store() as store:
            scores = {key for batch in store.scan(SCORES) for key, _ in batch}
        return found.model_id, found.engine_id, asked, scores


def _moved(e: Everything) -> None:
    there = e.workspace.root / "moved"
    e.workspace.model.rename(there)
    e.workspace = replace(e.workspace, model=there)


def _renamed_model(e: Everything) -> None:
    e.workspace = _Named(e.workspace.root, e.workspace.model)


class _Named(Workspace):
    """A workspace whose model has another name."""

    def header(self) -> str:
        return super().header().replace("[models.m]", "[models.other]")


def _moved_data(e: Everything) -> None:
    e.spec('path = "sums.jsonl"', 'path = "more/sums2.jsonl"')
    (e.specs / "more").mkdir()
    e.workspace.rows("more/sums2.jsonl", e.rows)


def _tokenizer(e: Everything) -> None:
    path = e.workspace.model / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()), indent=1))
    bundle(e.workspace.model, e.workspace.cache, False, None)


def _dates(e: Everything) -> None:
    for path in [*e.workspace.model.iterdir(), *e.specs.iterdir()]:
        path.touch()


NOTHING: dict[str, Callable[[Everything], object]] = {
    "the path of a model": _moved,
    "the name of a model": _renamed_model,
    "the name of a task": lambda e: e.spec("tasks.sums", "tasks.other"),
    "the name of a dataset": lambda e: (
        e.spec("datasets.sums", "datasets.other"),
        e.spec('dataset  = "sums"', 'dataset  = "other"'),
    ),
    "the path of a data file": _moved_data,
    "the dates of files": _dates,
    "the order of rows": lambda e: e.rows.reverse(),
    "a comment in a spec": lambda e: e.spec("[tasks.sums]", "# said\n[tasks.sums]"),
    "a tag": lambda e: e.spec("[tasks.sums]", '[tasks.sums]\ntags = ["new"]'),
    "a tier": lambda e: setattr(e, "extra", "[tiers.all]\ncases = 99\n"),
    "the template, where it writes the same text": lambda e: e.spec(
        "{{ question }} =", "{{ question ~ '' }} ="
    ),
    "the tokenizer's files, where they give the same ids and texts": _tokenizer,
    "the few-shot set, where no prompt shows the difference": lambda e: e.shots[0].update(note="b"),
    "the seed of a greedy generation": lambda e: e.spec(
        "max_new_tokens = 4", "max_new_tokens = 4, seed = 9"
    ),
    "the metrics beside a metric": lambda e: e.spec('"code_pass@1"', '"code_pass@1", "f1"'),
    "the name of an extraction": lambda e: e.spec("extract = {", "extract.whole = {"),
    "the pattern of an extraction, where it finds the same answer": lambda e: e.spec(
        "(?s).*", "(?s)^.*$"
    ),
    "the template of a program, where it writes the same text": lambda e: e.spec(
        "completion | length", "completion | trim('') | length"
    ),
    "a file of the spec's folder that no hook imports": lambda e: (
        e.specs / "unrelated.py"
    ).write_text("A = 1\n"),
    "the limits of hooks: time, memory, processes": lambda e: setattr(
        e, "extra", '[hooks]\nseconds = 30\nmemory = "1G"\nworkers = 1\n'
    ),
}
OPTIONS = {"a tier": ("--tier", "all")}


@pytest.mark.parametrize("line", NOTHING)
def test_what_is_in_no_key_changes_none(line: str, workspace: Workspace) -> None:
    everything = Everything(workspace)
    before = everything.keys()
    assert len(before[2]) == 3
    assert len(before[3]) >= 4
    NOTHING[line](everything)
    everything.write()
    assert everything.keys(*OPTIONS.get(line, ())) == before
