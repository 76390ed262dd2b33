"""A command whose every process writes down what it does, by Python's audit events.

`sitecustomize` on PYTHONPATH puts the hook into every Python process, children too. What is no
Python (git, Rust below an interpreter) is seen by what it leaves: folders are compared.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workspaces import ROOT, Done, Workspace

SITE = """
import json, os, sys
ROOT = os.environ["AUDIT_ROOT"] + os.sep
LOG = os.open(os.environ["AUDIT_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
WHO = " ".join(sys.orig_argv)[:400]
CHANGES = {
    "os.mkdir": 1, "os.remove": 1, "os.rmdir": 1, "os.truncate": 1, "os.chmod": 1, "os.chown": 1,
    "os.utime": 1, "os.setxattr": 1, "os.rename": 2, "os.link": 2, "os.symlink": 2,
}
STARTS = {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.fork",
          "os.forkpty", "pty.spawn"}
def told(what, value, os=os, json=json):
    os.write(LOG, (json.dumps([WHO, what, value]) + chr(10)).encode())
def text(path, os=os):
    return os.path.abspath(os.fsdecode(path)) if isinstance(path, (str, bytes)) else None
def watch(event, arguments, os=os):
    if event == "open":
        path, mode, flags = arguments
        wrote = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        if isinstance(flags, int) and flags & wrote and text(path):
            told("write", text(path))
    elif event in CHANGES:
        for path in arguments[: CHANGES[event]]:
            if text(path):
                told("write", text(path))
    elif event == "exec":
        name = getattr(arguments[0], "co_filename", "")
        if name.startswith(ROOT):
            told("exec", name)
    elif event == "pickle.find_class":
        told("pickle", f"{arguments[0]}.{arguments[1]}")
    elif event in STARTS:
        told("start", " ".join(map(str, arguments[1])) if len(arguments) > 1 and
             isinstance(arguments[1], (list, tuple)) else str(arguments[:1]))
    elif event in ("socket.connect", "socket.getaddrinfo"):
        told("network", repr(arguments[1:]))
    elif event == "ctypes.dlopen" and str(arguments[0]).startswith(ROOT):
        told("exec", str(arguments[0]))
sys.addaudithook(watch)
"""


@dataclass(frozen=True)
class Act:
    """What a process did: its command line, what kind of thing, and to what."""

    who: str
    what: str
    value: str


@dataclass(frozen=True)
class Audited:
    """How a command ended, what its processes did, and which files differ, by folder."""

    done: Done
    acts: list[Act]
    changed: dict[str, set[str]]

    def of(self, what: str) -> list[str]:
        return [act.value for act in self.acts if act.what == what]


def audited(workspace: Workspace, scratch: Path, *arguments: str, **more: str) -> Audited:
    """Run a command in the workspace's root with a home and a folder for temporary files."""
    folders = {"root": workspace.root, "home": scratch / "home", "tmp": scratch / "tmp"}
    site, log = scratch / "site", scratch / "log"
    for folder in (site, folders["home"], folders["tmp"]):
        folder.mkdir(parents=True, exist_ok=True)
    (site / "sitecustomize.py").write_text(SITE)
    log.unlink(missing_ok=True)
    own = {
        "PYTHONPATH": os.pathsep.join([str(site), str(ROOT / "python")]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(folders["home"]),
        "TMPDIR": str(folders["tmp"]),
        "AUDIT_ROOT": str(workspace.root),
        "AUDIT_LOG": str(log),
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    given = workspace.environment({**own, **more})
    # torch writes into the environment where it once put its own folder
    given.pop("TORCHINDUCTOR_CACHE_DIR", None)
    before = {name: _held(folder) for name, folder in folders.items()}
    done = subprocess.run(
        [sys.executable, "-m", "evalc", *arguments],
        cwd=workspace.root,
        env=given,
        capture_output=True,
        text=True,
        check=False,
    )
    after = {name: _held(folder) for name, folder in folders.items()}
    acts = [Act(*json.loads(line)) for line in log.read_text().splitlines()]
    changed = {
        name: {path for path, _ in before[name].items() ^ after[name].items()} for name in folders
    }
    return Audited(Done(done.returncode, done.stdout, done.stderr), acts, changed)


def _held(folder: Path) -> dict[str, Any]:
    """Every path below a folder but git's own, with what tells whether it was written."""
    found: dict[str, Any] = {}
    for path in folder.rglob("*"):
        state = path.lstat()
        found[str(path)] = (state.st_mtime_ns, state.st_size, state.st_ino, state.st_mode)
    return found


def outside(paths: Iterable[str], *places: Path) -> set[str]:
    """Those of the paths that lie in none of the places."""
    tops = tuple(str(place) for place in places)
    return {p for p in paths if not any(p == top or p.startswith(top + os.sep) for top in tops)}
