"""What asks no model imports neither torch nor transformers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evalc.plan import tokenizers
from evalc.spec import load
from workspaces import ROOT, Done, Workspace

BLOCKED = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers", "peft", "accelerate"):
            raise ImportError(f"{name} is imported")

sys.meta_path.insert(0, Refuse())
from evalc.cli import main
main(sys.argv[1:])
"""


def run(workspace: Workspace, *arguments: str) -> Done:
    """Run a command in a process that cannot import torch or transformers."""
    return workspace.python(BLOCKED, *arguments)


@pytest.fixture(scope="module")
def asked(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, bundles: Path
) -> Iterator[Workspace]:
    """A workspace whose every request is answered."""
    root = tmp_path_factory.mktemp("asked")
    (root / "cache").mkdir()
    (root / "cache" / "tokenizers").symlink_to(bundles)
    made = Workspace(root, tiny_model)
    made.both(5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALC_CACHE", str(made.cache))
        assert made.call("exec", "specs", "--no-report").code == 0
        yield made


def test_a_model_cannot_be_asked_without_torch(workspace: Workspace) -> None:
    workspace.quiz()
    done = run(workspace, "exec", "specs")
    assert (done.code, "missing-package" in done.err) == (1, True)
    assert "torch is imported" in done.err
    assert workspace.untouched()


def test_the_doctor_says_what_is_missing_where_torch_is(workspace: Workspace) -> None:
    done = run(workspace, "doctor", "--json")
    assert (done.code, done.json["models"], done.json["machine"]["devices"]) == (0, [], [])
    assert [(d["code"], d["severity"]) for d in done.json["diagnostics"]] == [
        ("missing-package", "warning")
    ]
    workspace.quiz()
    done = run(workspace, "doctor", "specs")
    assert (done.code, "error[missing-package]" in done.err) == (1, True)
    assert "m: float32 on cpu" in done.out
    assert "cannot be run" in done.out


@pytest.mark.parametrize(
    "command",
    [
        ["plan", "specs"],
        ["plan", "specs", "--json"],
        ["check", "specs"],
        ["report", "specs"],
        ["report", "specs", "--markdown", "--slices", "--cases", "2"],
        ["diff", "m", "m", "specs"],
        ["exec", "specs"],
        ["exec", "specs", "--json"],
        ["schema"],
        ["init", "elsewhere"],
        ["--help"],
    ],
    ids=" ".join,
)
def test_commands_without_a_question_run_without_torch(
    asked: Workspace, command: list[str]
) -> None:
    done = run(asked, *command)
    assert (done.code, "imported" in done.err) == (0, False), done.err


def test_a_second_exec_asks_nothing(asked: Workspace) -> None:
    with asked.store() as store:
        before = store.records(), store.runs()
    done = run(asked, "exec", "specs")
    assert "nothing to run" in done.err
    with asked.store() as store:
        assert (store.records(), store.runs()) == before


LOADED = """
import sys
from evalc.cli import main
try:
    main(sys.argv[1:])
finally:
    print(sorted(set(sys.modules) & {"torch", "transformers", "peft"}), file=sys.stderr)
"""


def test_only_the_child_that_reads_a_new_tokenizer_imports_transformers(
    workspace: Workspace,
) -> None:
    workspace.quiz()
    for bundle in (workspace.cache / "tokenizers").iterdir():
        bundle.unlink()
    done = workspace.python(LOADED, "plan", "specs", "--json")
    assert (done.code, done.err) == (0, "[]\n")
    assert done.json["total"]["to_run"] == 24
    assert len(list((workspace.cache / "tokenizers").iterdir())) == 1


def model_of_the_specs(workspace: Workspace, name: str, specs: Path, shared: Path) -> list[str]:
    """Overrides that make shipped specs use the tiny model and the benchmark files here."""
    workspace.cache.mkdir(exist_ok=True)
    tokenizers.bundle(workspace.model, workspace.cache, trust_remote_code=False, place=None)
    moved = [f"models.{name}.path={workspace.model}", f"models.{name}.max_length=100000"]
    if specs.name == "specs":
        moved += [f"paths.data={shared / 'data'}"]
    return [part for override in moved for part in ("--set", override)]


def test_planning_the_demo_imports_neither(workspace: Workspace) -> None:
    specs = ROOT / "specs" / "demo"
    overrides = model_of_the_specs(workspace, "smollm2", specs, Path())
    done = run(workspace, "plan", str(specs), "--json", *overrides)
    assert done.code == 0, done.err
    assert done.json["total"]["cases"] == 72
    assert done.json["total"]["requests"] == 252


def test_planning_all_shipped_specs_imports_neither(workspace: Workspace, shared: Path) -> None:
    specs = ROOT / "specs"
    (name,) = load([specs]).spec.models
    overrides = model_of_the_specs(workspace, name, specs, shared)
    done = run(workspace, "plan", str(specs), "--json", "--tier", "smoke", *overrides)
    assert done.code == 0, done.text
    assert len(done.json["cells"]) > 50
