"""Every command runs to its end over a repository of traps, and does what it promises alone."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from audit import Audited, audited, outside

from evalc.cli.app import evalc
from evalc.hooks.worker import _BOOT
from workspaces import QUIZ, SUMS, Workspace, quiz_rows, sum_rows

MODULES = (
    *("tomli", "numpy", "torch", "click", "rich", "sitecustomize", "usercustomize", "conftest"),
    *("hooks", "lmdb", "pathlib", "json", "transformers", "evalc_plugin", "setup", "peft"),
)
ESCAPES = (
    "{{ cycler.__init__.__globals__.os.system('touch CANARY') }}"
    "{{ lipsum.__globals__['os'].system('touch CANARY') }}"
    "{{ ''.__class__.__mro__[1].__subclasses__() }}{{ messages[0]['content'] }}"
)
TRIGGERS = '[tiers.smoke]\ncases = 2\n[[triggers]]\ndefault = true\ntier = "smoke"\n'


class Bomb:
    """Unpickled it leaves a canary."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.canary}",)


def traps(workspace: Workspace) -> Workspace:
    """The workspace with a trap of every kind in it; no spec needs one of them."""
    root, canary = workspace.root, workspace.root / "canary"
    touched = f"import os; os.close(os.open({str(canary)!r}, os.O_CREAT | os.O_WRONLY))\n"
    for name in MODULES:
        (root / f"{name}.py").write_text(touched)
    (root / "evil.pth").write_text(touched)
    plugin = root / "evalc_plugin-1.dist-info"
    plugin.mkdir()
    (plugin / "entry_points.txt").write_text("[evalc]\na = evalc_plugin\n[pytest11]\na = hooks\n")
    (plugin / "METADATA").write_text("Name: evalc_plugin\nVersion: 1\n")
    for name in ("evalc.toml", ".evalc.toml", "pyproject.toml"):
        (root / name).write_text('[tool.evalc]\nplugins = ["hooks"]\n[plugins]\na = "hooks:run"\n')
    (root / ".env").write_text("PYTHONSTARTUP=hooks.py\n")
    model = root / "model"
    shutil.copytree(workspace.model, model)
    _arm(model, touched, canary)
    modules = root / "modules" / "transformers_modules"
    modules.mkdir(parents=True)
    (modules / "__init__.py").write_text(touched)
    return Workspace(root, model)


def _arm(model: Path, touched: str, canary: Path) -> None:
    """Code, pickles, kernels and templates in a model's folder."""
    for name in (
        "modeling_own",
        "tokenization_own",
        "configuration_own",
        "custom_generate/generate",
    ):
        (model / f"{name}.py").parent.mkdir(exist_ok=True)
        (model / f"{name}.py").write_text(touched)
    for name in ("pytorch_model.bin", "model.pt", "training_args.bin", "adapter_model.bin"):
        (model / name).write_bytes(pickle.dumps(Bomb(canary)))
    (model / "chat_template.jinja").write_text(ESCAPES.replace("CANARY", str(canary)))
    (model / "additional_chat_templates").mkdir()
    shutil.copy(model / "chat_template.jinja", model / "additional_chat_templates" / "a.jinja")
    for name, classes in (
        (
            "config.json",
            {"AutoConfig": "configuration_own.A", "AutoModelForCausalLM": "modeling_own.A"},
        ),
        ("tokenizer_config.json", {"AutoTokenizer": ["tokenization_own.A", None]}),
    ):
        content = json.loads((model / name).read_text())
        (model / name).write_text(json.dumps({**content, "auto_map": classes}))


def _git(workspace: Workspace) -> None:
    """A repository whose own configuration runs programs."""
    root = workspace.root
    canary = f"touch {root / 'canary'}; false"

    def git(*arguments: str) -> None:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        subprocess.run(command, cwd=root, check=True, capture_output=True)

    git("init", "-q")
    (root / ".gitattributes").write_text("*.jsonl diff=own filter=own\n")
    (root / ".gitignore").write_text("cache/\nspare/\n")
    git("add", "specs", ".gitattributes", ".gitignore")
    git("commit", "-q", "-m", "first")
    for key in ("core.fsmonitor", "core.pager", "diff.external", "diff.own.textconv",
                "diff.own.command", "core.sshCommand", "filter.own.clean", "filter.own.process",
                "filter.own.smudge", "core.editor", "core.askPass"):  # fmt: skip
        git("config", key, canary)
    (root / ".git" / "config").open("a").write("[include]\n\tpath = more\n")
    (root / ".git" / "more").write_text(f'[filter "own"]\n\tclean = "{canary}"\n')
    for name in ("post-index-change", "fsmonitor-watchman", "reference-transaction"):
        hook = root / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{canary}\n")
        hook.chmod(0o755)
    workspace.rows("quiz.jsonl", quiz_rows(5))


@pytest.fixture(scope="module")
def trapped(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Workspace:
    """A repository of traps, whose spec has been run once."""
    root = tmp_path_factory.mktemp("traps")
    made = traps(Workspace(root, tiny_model))
    made.write(f"[models.n]\npath = {json.dumps(str(made.model))}\n", QUIZ, SUMS, TRIGGERS)
    made.rows("quiz.jsonl", quiz_rows(4))
    made.rows("sums.jsonl", sum_rows(3))
    _git(made)
    done = made.run("exec", "specs", "--no-code", "--record", "main")
    assert done.code == 0, done.text
    done = made.run("cache", "export", str(root.parent / f"{root.name}.evalc"))
    assert done.code == 0, done.text
    shutil.copytree(root / "cache", root / "spare")
    assert not (root / "canary").exists()
    return made


CACHE = ("cache",)
COMMANDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "check": (("check", "specs", "--no-code"), ()),
    "plan": (("plan", "specs", "--no-code"), CACHE),
    "plan, pinned": (("plan", "specs", "--no-code", "--out", "p.json"), (*CACHE, "p.json")),
    "plan, since": (("plan", "specs", "--no-code", "--since", "HEAD"), CACHE),
    "exec": (("exec", "specs", "--no-code"), CACHE),
    "exec, since": (("exec", "specs", "--no-code", "--since", "HEAD"), CACHE),
    "report": (("report", "specs", "--no-code"), CACHE),
    "report, files": (
        ("report", "specs", "--no-code", "--html", "p.html", "--junit", "j.xml"),
        (*CACHE, "p.html", "j.xml"),
    ),
    "explain": (("explain", "quiz", "specs", "--no-code"), CACHE),
    "diff": (("diff", "m", "n", "specs", "--no-code"), CACHE),
    "doctor": (("doctor", "specs", "--no-code"), CACHE),
    "lock": (("lock", "specs", "--no-code"), CACHE),
    "cache audit": (("cache", "audit", "specs", "--no-code"), CACHE),
    "cache stat": (("cache", "stat"), CACHE),
    "cache verify": (("cache", "verify"), CACHE),
    "cache gc": (("cache", "gc", "--older-than", "9999"), CACHE),
    "cache export": (("cache", "export", "out.evalc"), (*CACHE, "out.evalc")),
    "cache import": (("cache", "import", "SEGMENT"), CACHE),
    "cache merge": (("cache", "merge", "spare"), (*CACHE, "spare")),
    "schema": (("schema",), ()),
    "init": (("init", "made"), ("made",)),
}
"""Every command, and what below the working directory it may write."""


PROGRAMS = ("git", "bwrap", "ldconfig", "gcc", "cc", "ld", "objdump")
"""What is started besides ourselves: for `--since`, to try the sandbox (`doctor`), and by
`ctypes.util` where torch looks for libraries."""


def programs(found: Audited) -> set[str]:
    """Names of the programs that were started, and by what kind of process."""
    return {Path(line.split(" ")[0].strip("('\",")).name for line in found.of("start")}


def test_every_command_is_tried() -> None:
    context = click.Context(evalc)
    group = evalc.get_command(context, "cache")
    assert isinstance(group, click.Group)
    every = {*evalc.list_commands(context), *(f"cache {name}" for name in group.commands)}
    assert {name.split(",")[0] for name in COMMANDS} == every - {"cache"}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_runs_nothing_of_the_repository_and_writes_what_it_promises(
    name: str, trapped: Workspace, tmp_path: Path
) -> None:
    arguments, places = COMMANDS[name]
    segment = str(trapped.root.parent / f"{trapped.root.name}.evalc")
    arguments = tuple(segment if part == "SEGMENT" else part for part in arguments)
    modules = str(trapped.root / "modules")
    found = audited(trapped, tmp_path, *arguments, HF_MODULES_CACHE=modules)
    assert found.done.code == 0, found.done.text
    _require_promise(found, trapped, tmp_path, places)
    assert programs(found) <= {Path(sys.executable).name, *PROGRAMS}
    assert not [line for line in found.of("start") if line.startswith(str(trapped.root))]
    assert found.of("network") == []


def _require_promise(
    found: Audited, workspace: Workspace, scratch: Path, places: tuple[str, ...]
) -> None:
    allowed = [workspace.root / place for place in places]
    assert not (workspace.root / "canary").exists()
    assert found.of("exec") == []
    assert not [name for name in found.of("pickle") if "system" in name]
    temporary = [scratch / "tmp", Path(os.devnull), Path("/dev/shm")]
    wrote = outside(found.of("write"), *allowed, *temporary)
    # a file appears in one rename, and that of the user is the only one that stays
    assert {path for path in wrote if not path.endswith(".part")} == set()
    assert bool(wrote) <= bool(places)
    around = {str(workspace.root), *(str(path) for path in allowed)}
    assert outside(found.changed["root"] - around, *allowed) == set()
    assert found.changed["home"] == set()
    left = {Path(path).name for path in found.changed["tmp"]}
    assert {name for name in left if not name.startswith("torchinductor_")} == set()


HOOKS = """
import os
with open("ran", "a") as file:
    file.write(f"{os.getpid()}\\n")
def prepare(rows):
    return rows
def metric(case):
    return 1.0
def extract(text, case):
    return text.strip()
"""


def test_where_hooks_are_allowed_their_children_alone_run_them(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, tiny_model: Path
) -> None:
    made = traps(Workspace(tmp_path_factory.mktemp("allowed"), tiny_model))
    made.write(
        QUIZ.replace("[tasks", 'prepare = "rules:prepare"\n[tasks', 1).replace(
            '"acc", "acc_norm"', '"acc", "rules:metric"'
        ),
        SUMS.replace("metrics ", 'extract = { python = "rules:extract" }\nmetrics '),
    )
    made.rows("quiz.jsonl", quiz_rows(4))
    made.rows("sums.jsonl", sum_rows(3))
    (made.specs / "rules.py").write_text(HOOKS)
    for command, runs in (("exec", True), ("report", False)):  # what it scored is kept
        found = audited(made, tmp_path, command, "specs")
        assert found.done.code == 0, found.done.text
        ran = {act.who for act in found.acts if act.what == "exec"}
        assert bool(ran) == runs and all(_BOOT.splitlines()[0] in who for who in ran), ran
        own = [act for act in found.acts if act.who not in ran]
        _require_promise(Audited(found.done, own, found.changed), made, tmp_path, (*CACHE, "ran"))
    assert (made.root / "ran").exists()
