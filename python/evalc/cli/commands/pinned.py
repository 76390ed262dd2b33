"""`evalc plan --show`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evalc.cli import output
from evalc.cli.terminal import TERMINAL
from evalc.cli.views.plan import plan_table
from evalc.diagnostics import Diagnostic, Faults, render
from evalc.plan.pinned import read_pinned
from evalc.run.pinned import refuse_selection, repeated
from evalc.run.request import Request


def show(path: Path, asked: Request, as_json: bool) -> tuple[dict[str, Any], bool]:
    """Print a pinned plan, stale or not; returns the priced plan and whether it is stale."""
    refuse_selection(asked, path, others=bool(asked.paths))
    content = read_pinned(path)
    plan: dict[str, Any] = content["plan"]
    found: tuple[Diagnostic, ...] = ()
    try:
        with repeated(path, asked, TERMINAL):
            pass
    except Faults as faults:
        found = faults.diagnostics
    if as_json:
        told = json.loads(render(found[1:] or found, "json", root=Path.cwd()))["diagnostics"]
        output.document({**plan, "pinned": {"stale": bool(found), "changes": told}})
    else:
        for renderable in plan_table(plan):
            output.table(renderable)
        output.talk(f"`{path}` can be run as it is" if not found else f"`{path}` is stale:")
        for diagnostic in found[1:] or found:
            output.talk(f"  {diagnostic.message}")
    return plan, bool(found)
