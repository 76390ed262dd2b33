"""A workspace whose specs are in a git repository, with a commit to compare with."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

AUTHOR = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


def git(root: Path, *arguments: str) -> str:
    """Run git in a repository and return what it says."""
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(
        command, env={**os.environ, **AUTHOR}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def repository(root: Path) -> None:
    """Make a folder a repository on the branch `main`, without its cache."""
    git(root, "init", "-q", "-b", "main")
    (root / ".gitignore").write_text("cache/\n")


def commit(root: Path, message: str = "work") -> str:
    """Commit all that is there; returns the commit."""
    git(root, "add", "-A")
    git(root, "commit", "-q", "--allow-empty", "-m", message)
    return git(root, "rev-parse", "HEAD")
