"""The results that the page compares: its own, and those that they are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalc.report.compare import ComparisonEntry, comparisons
from evalc.report.shape import MetricEntry, Report, ResultEntry

Other = tuple[str, ResultEntry]
"""A result from outside the report, under the name that readers know it by."""


@dataclass(frozen=True)
class Side:
    """A result under one task. `own` results are the report's; `name` is unique in a task."""

    name: str
    result: ResultEntry
    own: bool

    @property
    def task(self) -> str:
        """The task."""
        return self.result["task"]


def sides_of(report: Report, others: Sequence[Other]) -> dict[str, list[Side]]:
    """The sides of every task, the report's own first."""
    found: dict[str, list[Side]] = {}
    for result in report["results"]:
        found.setdefault(result["task"], []).append(Side(result["model"], result, own=True))
    for name, result in others:
        if result["task"] not in found:
            continue
        taken = {side.name for side in found[result["task"]]}
        chosen = name if name not in taken else f"{name} ({result['model']})"
        if chosen not in taken:
            found[result["task"]].append(Side(chosen, result, own=False))
    return found


def baselines_of(report: Report, task: str, sides: Sequence[Side]) -> list[Side]:
    """What the others of a task are compared with.

    The baselines of its gates; else results from outside; else the first of several models.
    """
    named = [g["baseline"] for g in report.get("gates", []) if g["task"] == task and g["baseline"]]
    by_name = {side.name: side for side in sides}
    outside = [side for side in sides if not side.own]
    found = [by_name[name] for name in dict.fromkeys(named) if name in by_name]
    return found or outside or (list(sides[:1]) if len(sides) > 1 else [])


@dataclass(frozen=True)
class Change:
    """One metric of one side, compared with a baseline on their common cases."""

    baseline: str
    name: str
    entry: ComparisonEntry


def changes(report: Report, sides: dict[str, list[Side]]) -> list[Change]:
    """Every metric of every side compared with the baselines of its task."""
    found = []
    for task, own in sides.items():
        baselines = baselines_of(report, task, own)
        for baseline in baselines:
            compared = [side for side in own if side.own and side not in baselines]
            for side in compared:
                if "cases" in baseline.result and "cases" in side.result:
                    found += [
                        Change(baseline.name, side.name, entry)
                        for entry in comparisons(baseline.result, side.result)
                    ]
    return found


def metric_of(result: ResultEntry, name: str) -> MetricEntry | None:
    """A result's metric by name."""
    return next((metric for metric in result["metrics"] if metric["metric"] == name), None)


def baseline_value(sides: dict[str, list[Side]], task: str, name: str, metric: str) -> float | None:
    """What a baseline reached on all its cases."""
    for side in sides.get(task, ()):
        if side.name == name and (found := metric_of(side.result, metric)) is not None:
            return found["value"]
    return None
