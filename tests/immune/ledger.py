"""What a run asked, by three independent counts, and what it recorded."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from evalc.store.environment import KEY_BYTES
from evalc.store.records import decode_likelihoods
from workspaces import Done, Workspace

CLOSE = 1e-4
"""Log-likelihoods of one request, computed in batches of other shapes, differ by less."""


def command(workspace: Workspace, *arguments: str | Path) -> Done:
    """A command on the workspace's own cache."""
    return workspace.call(*arguments, "--cache", workspace.cache)


def plan(workspace: Workspace, *arguments: str | Path) -> dict[str, Any]:
    """The plan as JSON."""
    done = command(workspace, "plan", "--json", *arguments)
    assert done.code == 0, done.text
    found: dict[str, Any] = done.json
    return found


def to_run(workspace: Workspace, *arguments: str | Path) -> int:
    """Requests that the plan says remain."""
    return int(plan(workspace, *arguments)["total"]["to_run"])


def remaining(workspace: Workspace, *arguments: str | Path) -> dict[tuple[str, str], int]:
    """Requests that remain by model and task, without the cells where none do."""
    cells = plan(workspace, *arguments)["cells"]
    return {(c["model"], c["task"]): c["to_run"] for c in cells if c["to_run"]}


def manifests(workspace: Workspace) -> list[dict[str, Any]]:
    """Every recorded run, the oldest first."""
    with workspace.store() as store:
        return [json.loads(content) for _, content in store.runs()]


def asked(workspace: Workspace, *arguments: str | Path) -> int:
    """Run what remains; how many requests were asked.

    The plan's count before, the run's own count and the records that came must be one number, the
    records that were there must stay as they were, and nothing may remain.
    """
    expected, before, runs = (
        to_run(workspace, *arguments),
        workspace.records(),
        manifests(workspace),
    )
    done = command(workspace, "exec", "--no-report", *arguments)
    assert done.code == 0, done.text
    after = workspace.records()
    assert before.items() <= after.items(), "a record was lost or changed"
    new = manifests(workspace)[len(runs) :]
    assert sum(run["asked"] for run in new) == expected == len(after) - len(before)
    assert to_run(workspace, *arguments) == 0
    return expected


def report(workspace: Workspace, *arguments: str | Path) -> dict[str, Any]:
    """The report as JSON."""
    done = command(workspace, "report", "--json", *arguments)
    assert done.code == 0, done.text
    found: dict[str, Any] = done.json
    return found


def results(workspace: Workspace, *arguments: str | Path) -> list[dict[str, Any]]:
    """The results of a report, with every case."""
    found: list[dict[str, Any]] = report(workspace, *arguments)["results"]
    return found


def fresh(workspace: Workspace, name: str) -> Workspace:
    """The same specs and data beside an empty cache that knows the tokenizers."""
    root = workspace.root / name
    shutil.copytree(workspace.specs, root / "specs")
    shutil.copytree(workspace.cache / "tokenizers", root / "cache" / "tokenizers")
    return replace(workspace, root=root)


def payloads(workspace: Workspace) -> dict[bytes, bytes]:
    """Every record without its seal, by key."""
    keys = sorted(workspace.records())
    with workspace.store() as store:
        return {key: p for key, p in zip(keys, store.read(keys), strict=True) if p is not None}


def likelihoods(workspace: Workspace) -> dict[bytes, float]:
    """Log-likelihoods by key."""
    found = {key: payload for key, payload in payloads(workspace).items() if payload[:1] != b"{"}
    sums, _ = decode_likelihoods(list(found.values()))
    return dict(zip(found, sums.tolist(), strict=True))


def generations(workspace: Workspace) -> dict[bytes, dict[str, Any]]:
    """Generated answers by key."""
    found = payloads(workspace).items()
    return {key: json.loads(payload) for key, payload in found if payload[:1] == b"{"}


def in_order(workspace: Workspace, model: str, task: str) -> list[bytes]:
    """Payloads of a cell, in the order of its cases and their requests."""
    planned = workspace.planned(models=(model,), tasks=(task,))
    indices = memoryview(planned.cell(0)["requests"]).cast("I").tolist()
    keys = [planned.keys[at * KEY_BYTES : (at + 1) * KEY_BYTES] for at in indices]
    with workspace.store() as store:
        found = store.read(keys)
    assert None not in found, "a request without a record"
    return [payload for payload in found if payload is not None]
