"""Nothing that came with a repository runs uninvited: every command over a repository of traps."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from workspaces import QUIZ, Done, Workspace, quiz_rows

MODULES = ("tomli", "numpy", "torch", "click", "rich", "sitecustomize", "conftest", "hooks", "lmdb")
WATCHED = """
import json, os, sys
root, cache, log = sys.argv[1] + os.sep, sys.argv[2], sys.argv[3]
found = []
def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        path, mode, flags = arguments
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes and os.path.abspath(path).startswith((root, cache)):
            found.append(["write", os.path.abspath(path)])
    elif event == "exec" and getattr(arguments[0], "co_filename", "").startswith(root):
        found.append(["exec", arguments[0].co_filename])
    elif event == "subprocess.Popen":
        found.append(["start", os.path.basename(str(arguments[0]))])
    elif event in ("socket.connect", "os.exec", "os.system"):
        found.append([event, repr(arguments)])
del sys.path[0]
from evalc.cli import main
sys.addaudithook(watch)
try:
    main(sys.argv[4:])
finally:
    sys.addaudithook(lambda *_: None)
    with open(log, "w") as file:
        json.dump(found, file)
"""
PROMISED: dict[str, set[str]] = {
    "check": set(),
    "plan": {"cache"},
    "report": {"cache"},
    "explain": {"cache"},
    "exec": {"cache"},
}
"""What each command may write into, beside nothing of the repository."""


@pytest.fixture
def hostile(workspace: Workspace) -> Workspace:
    """A repository with a trap of every kind; each leaves a canary when it runs."""
    root = workspace.root
    canary = f"open({str(root / 'canary')!r}, 'a').write(__name__ + chr(10))\n"
    for name in MODULES:
        (root / f"{name}.py").write_text(canary)
    model = root / "model"
    shutil.copytree(workspace.model, model)
    for name in ("modeling_own", "tokenization_own", "configuration_own"):
        (model / f"{name}.py").write_text(canary)
    config = json.loads((model / "config.json").read_text())
    config["auto_map"] = {
        "AutoConfig": "configuration_own.Own",
        "AutoModelForCausalLM": "modeling_own.Own",
    }
    (model / "config.json").write_text(json.dumps(config))
    path = model / "tokenizer_config.json"
    named = {
        **json.loads(path.read_text()),
        "auto_map": {"AutoTokenizer": ["tokenization_own.Own", None]},
    }
    path.write_text(json.dumps(named))
    workspace.write(
        f"[models.own]\npath = {json.dumps(str(model))}\ntrust_remote_code = true\n",
        QUIZ.replace("[tasks", 'prepare = "hooks:prepare"\n[tasks', 1).replace(
            '"acc", "acc_norm"', '"acc", "hooks:metric"'
        ),
    )
    workspace.rows("quiz.jsonl", quiz_rows(4))
    (workspace.specs / "hooks.py").write_text(
        canary + "def prepare(rows):\n    return rows\ndef metric(case):\n    return 1.0\n"
    )
    return workspace


def watched(workspace: Workspace, *arguments: str) -> tuple[Done, list[list[str]]]:
    """A command in a process whose audit events are written down."""
    log = workspace.root.parent / f"{workspace.root.name}.log"
    root, cache = str(workspace.root), str(workspace.cache)
    done = workspace.python(WATCHED, root, cache, str(log), *arguments)
    return done, json.loads(log.read_text())


def uninvited(workspace: Workspace, command: str, found: list[list[str]]) -> list[list[str]]:
    """What a command did that it does not promise."""
    cache = str(workspace.cache)
    allowed = "cache" in PROMISED.get(command, set())
    return [e for e in found if not (e[0] == "write" and e[1].startswith(cache) and allowed)]


COMMANDS = (
    ("plan", "specs"),
    ("exec", "specs"),
    ("report", "specs"),
    ("explain", "quiz", "specs"),
    ("diff", "m", "own", "specs"),
    ("doctor", "specs"),
    ("cache", "audit", "specs"),
)


@pytest.mark.parametrize(
    ("command", "option"),
    [*((command, "--no-code") for command in COMMANDS), (("plan", "specs"), "--no-hooks")],
)
def test_no_code_names_every_place_and_runs_none(
    hostile: Workspace, command: tuple[str, ...], option: str
) -> None:
    done, found = watched(hostile, *command, option)
    assert done.code == 2, done.text
    assert "hook-refused" in done.err
    assert "`own`" in done.err
    if command[0] != "doctor":
        assert "hooks:prepare" in done.err and "hooks:metric" in done.err
    assert uninvited(hostile, command[0], found) == []
    assert not (hostile.root / "canary").exists()


def test_check_runs_nothing_writes_nothing_and_says_what_it_left_out(hostile: Workspace) -> None:
    before = set(hostile.root.rglob("*"))
    done, found = watched(hostile, "check", "specs")
    assert done.code == 0, done.text
    assert "not checked" in done.err and "`quiz`" in done.err and "--allow-code" in done.err
    assert uninvited(hostile, "check", found) == []
    assert set(hostile.root.rglob("*")) == before


def test_check_prepares_where_that_is_allowed_and_still_writes_nothing(hostile: Workspace) -> None:
    before = set(hostile.cache.rglob("*"))
    done = hostile.call("check", "specs", "--allow-code")
    assert done.code == 0, done.text
    assert "not checked" not in done.err
    assert (hostile.root / "canary").read_text() == "hooks\n"
    assert set(hostile.cache.rglob("*")) == before


def test_modules_of_the_working_directory_shadow_none_of_ours(hostile: Workspace) -> None:
    """Also in the child that reads a tokenizer, which is started here: the cache is empty."""
    shutil.rmtree(hostile.cache)
    hostile.quiz()
    done = hostile.run("plan", "specs", "--no-code")
    assert done.code == 0, done.text
    assert not (hostile.root / "canary").exists()


def test_options_that_contradict_each_other_are_refused(hostile: Workspace) -> None:
    assert hostile.call("check", "specs", "--no-code", "--allow-code").code == 2
    for command in ("exec", "report"):
        done = hostile.call(command, "specs", "--no-code", "--allow-code-execution")
        assert done.code == 2 and "--no-code" in done.err


def test_since_runs_nothing_that_the_repository_configures(hostile: Workspace) -> None:
    hostile.quiz()
    with (hostile.specs / "spec.toml").open("a") as file:
        file.write('[tiers.smoke]\ncases = 2\n[[triggers]]\ndefault = true\ntier = "smoke"\n')
    canary = f"touch {hostile.root / 'canary'}; false"

    def git(*arguments: str) -> None:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        subprocess.run(command, cwd=hostile.root, check=True, capture_output=True)

    git("init", "-q")
    (hostile.root / ".gitattributes").write_text("*.jsonl diff=own filter=own=x\n")
    git("add", "specs", ".gitattributes")
    git("commit", "-q", "-m", "first")
    inner = hostile.root / "inner"
    inner.mkdir()
    (inner / ".gitattributes").write_text("* filter=inner\n")
    (inner / "file").write_text("one")
    for each in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "first")):
        git("-C", "inner", *each)
    git("add", "inner")
    git("commit", "-q", "-m", "a repository inside")
    git("-C", "inner", "config", "filter.inner.clean", canary)
    (inner / "file").write_text("two")
    for key in ("core.fsmonitor", "core.pager", "diff.external", "diff.own.textconv",
                "diff.own.command", "core.sshCommand", "filter.own=x.clean", "core.editor",
                "filter.own=x.process", "core.askPass", "gpg.program"):  # fmt: skip
        git("config", key, canary)
    git("config", "filter.own=x.required", "true")
    git("config", "core.hooksPath", str(hostile.root / ".git" / "hooks"))
    (hostile.root / ".git" / "hooks").mkdir(exist_ok=True)
    for name in ("post-index-change", "fsmonitor-watchman", "reference-transaction"):
        hook = hostile.root / ".git" / "hooks" / name
        hook.write_text(f"#!/bin/sh\n{canary}\n")
        hook.chmod(0o755)
    hostile.rows("quiz.jsonl", quiz_rows(5))
    done = hostile.run("plan", "specs", "--no-code", "--since", "HEAD")
    assert done.code == 0, done.text
    assert "smoke" in done.err
    assert not (hostile.root / "canary").exists()


@pytest.mark.parametrize("name", ["link.toml", "data.jsonl"])
def test_no_file_outside_the_repository_is_quoted(
    workspace: Workspace, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret = tmp_path_factory.mktemp("outside") / "secret"
    secret.write_text("root:x-secret-x\n")
    workspace.write(QUIZ.replace("quiz.jsonl", "data.jsonl"))
    workspace.rows("data.jsonl", quiz_rows(4))
    (workspace.specs / name).unlink(missing_ok=True)
    (workspace.specs / name).symlink_to(secret)
    done = workspace.run("check", "specs")
    assert done.code == 2
    assert name in done.err
    assert "secret-x" not in done.text
