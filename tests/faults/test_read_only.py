"""A cache that cannot be written, for a user who may not: answers serve, asking is refused."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tiny_models import write_model
from workspaces import SUMS, Done, Workspace, sum_rows

NOBODY = 65534
RUN = """
import os, sys
from evalc.cli import main
from evalc.cli.commands import exec as executing
from evalc.cli.commands import plan as planning
from evalc.cli.commands import report as reporting
from evalc.exec import loop
import transformers
transformers.LlamaForCausalLM, transformers.PreTrainedTokenizerFast
if os.getuid() == 0:
    os.setgid(int(sys.argv[1]))
    os.setuid(int(sys.argv[1]))
main(sys.argv[2:])
"""
"""Imports come before rights are given up: an interpreter may lie where only root reads."""


@pytest.fixture
def closed(workspace: Workspace) -> Workspace:
    """Sums that are answered, in a cache that nobody but its owner's group may read."""
    if not hasattr(os, "getuid"):
        pytest.skip("there are no user ids here")
    workspace = Workspace(workspace.root, write_model(workspace.root / "mine"))
    workspace.write(SUMS)
    workspace.rows("sums.jsonl", sum_rows(3))
    assert workspace.call("exec", "specs", "--no-report").code == 0
    if os.getuid() == 0:
        # pytest's own folders are closed to others
        base = Path(tempfile.gettempdir())
        for folder in (workspace.root, *workspace.root.parents):
            if base in folder.parents:
                folder.chmod(0o755)
        for path in workspace.root.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
    for path in (workspace.cache, *workspace.cache.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield workspace
    for path in (workspace.cache, *workspace.cache.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def ask(workspace: Workspace, *arguments: str) -> Done:
    """Run a command without the right to write into the cache."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(NOBODY), *arguments],
        cwd=workspace.root,
        env=workspace.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def test_a_read_only_cache_plans_reports_and_refuses_to_ask(closed: Workspace) -> None:
    planned = ask(closed, "plan", "specs", "--json")
    assert planned.code == 0, planned.text
    assert planned.json["nothing_to_run"]
    for command in ("report", "exec"):
        done = ask(closed, command, "specs", "--json")
        assert done.code == 0, done.text
        assert done.json["complete"]
    longer = ("--set", "tasks.sums.generate.max_new_tokens=5")
    refused = ask(closed, "exec", "specs", *longer)
    assert refused.code == 1, refused.text
    assert "error[cache-read-only]" in refused.err
    assert "Traceback" not in refused.text
