"""Verdicts as workflow commands, which GitHub shows beside the lines of the gates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from evalc.diagnostics import Place
from evalc.diagnostics.location import located
from evalc.diagnostics.render import named, workflow_command
from evalc.report import verdicts
from evalc.report.shape import GateEntry, Report

LEVELS = ("error", "warning", "notice")


def gate_annotations(report: Report, places: Mapping[str, Place], root: Path) -> str:
    """A command for every gate, those that fail the run first, those that were not judged last.

    Empty without gates. `places` says where gates are in the spec. Files below `root` are named
    relative to it.
    """
    gates = sorted(report.get("gates", []), key=lambda gate: LEVELS.index(_level(gate)))
    commands = [
        (gate["gate"], _level(gate), verdicts.headline(gate), "\n".join(verdicts.told(gate)))
        for gate in gates
    ]
    commands += [
        (entry["gate"], "notice", f"{entry['gate']}: not judged", entry["why"])
        for entry in report.get("unjudged", [])
    ]
    return "".join(
        workflow_command(level, text, _at(places.get(name), root) | {"title": f"evalc gate {head}"})
        + "\n"
        for name, level, head, text in commands
    )


def _level(gate: GateEntry) -> str:
    if gate["state"] == "pass":
        return "notice"
    warns = gate["state"] == "inconclusive" and not gate["needed"]
    return "warning" if warns else "error"


def _at(place: Place | None, root: Path) -> dict[str, str | int | None]:
    if place is None or place.text is not None:
        return {}
    return {"file": named(place.path, root), "line": located(place).line}
