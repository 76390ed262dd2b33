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
    """A command for every gate, those that fail the run first; empty without gates.

    `places` says where gates are in the spec. Files below `root` are named relative to it.
    """
    gates = sorted(report.get("gates", []), key=lambda gate: LEVELS.index(_level(gate)))
    return "".join(_annotation(gate, places.get(gate["gate"]), root) + "\n" for gate in gates)


def _level(gate: GateEntry) -> str:
    if gate["state"] == "pass":
        return "notice"
    warns = gate["state"] == "inconclusive" and not gate["needed"]
    return "warning" if warns else "error"


def _annotation(gate: GateEntry, place: Place | None, root: Path) -> str:
    properties: dict[str, str | int | None] = {}
    if place is not None and place.text is None:
        properties = {"file": named(place.path, root), "line": located(place).line}
    properties["title"] = f"evalc gate {verdicts.headline(gate)}"
    return workflow_command(_level(gate), "\n".join(verdicts.told(gate)), properties)
