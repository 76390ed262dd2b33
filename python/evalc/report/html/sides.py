"""The results that the page compares: its own, and those that they are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalc.report.compare import ComparisonEntry, comparisons
from evalc.report.shape import GateEntry, MetricEntry, Report, ResultEntry

Other = tuple[str, ResultEntry]
"""A result from outside the report, under the name that readers know it by."""


@dataclass(frozen=True)
class Side:
    """A result under one task. `own` results are the report's; `name` is unique in a task.

    `source` is what gates call it: a model of the report, or the name of a result from outside.
    """

    name: str
    source: str
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
        model = result["model"]
        found.setdefault(result["task"], []).append(Side(model, model, result, own=True))
    for task, sides in found.items():
        outside = [(name, result) for name, result in others if result["task"] == task]
        names = [name for name, _ in outside] + [side.name for side in sides]
        for name, result in outside:
            several = names.count(name) > 1
            shown = f"{name} ({result['model']})" if several else name
            sides.append(Side(shown, name, result, own=False))
    return found


def baselines_of(report: Report, task: str, sides: Sequence[Side]) -> list[Side]:
    """What the others of a task are compared with.

    The baselines of its gates; else results from outside; else the first of several models.
    """
    named = [g["baseline"] for g in report.get("gates", []) if g["task"] == task and g["baseline"]]
    outside = [side for side in sides if not side.own]
    found = [side for name in dict.fromkeys(named) for side in sides if side.source == name]
    return found or outside or (list(sides[:1]) if len(sides) > 1 else [])


def fitting(side: Side, baselines: Sequence[Side]) -> list[Side]:
    """The baselines of a side: of results of one source, that of its own model if there is one."""
    found = []
    for source in dict.fromkeys(baseline.source for baseline in baselines):
        same = [baseline for baseline in baselines if baseline.source == source]
        own = [baseline for baseline in same if baseline.result["model"] == side.result["model"]]
        found += (own or same)[:1]
    return found


@dataclass(frozen=True)
class Change:
    """One metric of one side, compared with a baseline on their common cases.

    `early`: how many those are was settled by what they showed.
    """

    baseline: str
    name: str
    early: bool
    entry: ComparisonEntry


def changes(report: Report, sides: dict[str, list[Side]]) -> list[Change]:
    """Every metric of every side compared with the baselines of its task."""
    found = []
    for task, own in sides.items():
        baselines = baselines_of(report, task, own)
        compared = [side for side in own if side.own and side not in baselines]
        for side in compared:
            for baseline in fitting(side, baselines):
                if "cases" in baseline.result and "cases" in side.result:
                    early = is_early(baseline.result) or is_early(side.result)
                    found += [
                        Change(baseline.name, side.name, early, entry)
                        for entry in comparisons(baseline.result, side.result)
                    ]
    return found


def is_early(result: ResultEntry) -> bool:
    """Whether a run ended because of what it had seen."""
    return result.get("ended") == "decided" and not result["complete"]


def metric_of(result: ResultEntry, name: str) -> MetricEntry | None:
    """A result's metric by name."""
    return next((metric for metric in result["metrics"] if metric["metric"] == name), None)


def baseline_value(gate: GateEntry, sides: dict[str, list[Side]]) -> float | None:
    """What a gate's baseline reached on all the cases that it answered."""
    own = sides.get(gate["task"], [])
    judged = next((side for side in own if side.own and side.name == gate["model"]), None)
    known = [side for side in own if side.source == gate["baseline"]]
    for side in fitting(judged, known) if judged else ():
        if (found := metric_of(side.result, gate["metric"])) is not None:
            return found["value"]
    return None
