"""Building a report from scored cells."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np

from evalc.decide import LEVEL, Estimate, cluster_codes, estimate, macro
from evalc.decide.benchmark import of_benchmark
from evalc.decide.betting import Interval
from evalc.report.shape import (
    SCHEMA,
    Aggregated,
    CaseEntry,
    CaveatEntry,
    CaveatKind,
    EstimateEntry,
    GateEntry,
    IntervalEntry,
    MetricEntry,
    MovesEntry,
    Report,
    ResultEntry,
)
from evalc.score import CellRecords, CellScores, Column
from evalc.score.cells import IntArray
from evalc.score.columns import Aggregate, Corpus, Mean, Ratio
from evalc.spec.metrics import slice_name

AGGREGATES: dict[type[Aggregate], Aggregated] = {Mean: "mean", Ratio: "ratio", Corpus: "corpus"}


def build_report(
    scores: Sequence[CellScores],
    *,
    tier: str | None = None,
    plan: Mapping[str, Any] | None = None,
    runs: Sequence[Mapping[str, Any]] = (),
    unscored: Sequence[tuple[str, str, str]] = (),
    gates: Sequence[GateEntry] | None = None,
    unjudged: Sequence[tuple[str, str, str]] = (),
    moves: Sequence[MovesEntry] = (),
    ended: Mapping[tuple[str, str], Literal["decided", "budget"]] = {},
    chosen: Collection[tuple[str, str]] = (),
    cases: bool = False,
) -> Report:
    """The report of these cells, in their order.

    `plan` is `Plan.summary()`, `runs` the manifests of the runs behind the records; both are
    optional. `unscored` has (model, task, why) of what was wanted but could not be scored: the
    report is then incomplete. `gates` are verdicts, `unjudged` has (gate, task, why) of those that
    have none, `moves` what moved against their baselines. `ended` says of (model, task) why a run
    by rounds did not ask all its cases; `chosen` are those whose results may have chosen how many
    are answered. With `cases` every case is listed, which `diff` needs.
    """
    planned = [] if plan is None else plan.get("cells", [])
    counts = {(cell["model"], cell["task"]): cell for cell in planned}
    results = []
    for own in scores:
        names = (own.cell.model, own.cell.task)
        result = _result(own, cases, ended.get(names), names in chosen)
        if found := caveats(own.cell, counts.get(names, {})):
            result["caveats"] = found
        results.append(result)
    report: Report = {
        "schema": SCHEMA,
        "tier": tier,
        "complete": not unscored and all(result["complete"] for result in results),
        "level": LEVEL,
        "results": results,
        "unscored": [{"model": m, "task": t, "why": why} for m, t, why in unscored],
        "plan": None if plan is None else dict(plan["total"]),
        "runs": [dict(run) for run in runs],
    }
    if gates is not None:
        report["gates"] = list(gates)
    if unjudged:
        report["unjudged"] = [{"gate": g, "task": t, "why": why} for g, t, why in unjudged]
    if moves:
        report["moves"] = list(moves)
    return report


def _result(
    scores: CellScores, cases: bool, ended: Literal["decided", "budget"] | None, chosen: bool
) -> ResultEntry:
    cell = scores.cell
    scored = int(cell.answered().sum())
    codes = cluster_codes(cell.clusters)
    members = {name: _members(values) for name, values in cell.slices.items()}
    result: ResultEntry = {
        "model": cell.model,
        "task": cell.task,
        "kind": cell.kind,
        "total": len(cell),
        "scored": scored,
        "complete": scored == len(cell),
        "population": cell.population,
        "metrics": [
            _metric(scores, column, codes, members, early=chosen or ended == "decided")
            for column in scores.columns.values()
        ],
    }
    if ended is not None:
        result["ended"] = ended
    if cases:
        result["cases"] = [_case(scores, i) for i in range(len(cell))]
    return result


def caveats(cell: CellRecords, counts: Mapping[str, Any]) -> list[CaveatEntry]:
    """What the scores of a cell have to be read with; `counts` are the plan's."""
    kinds: tuple[CaveatKind, ...] = get_args(CaveatKind)
    found = {**counts, "cut_off": cell.cut_off}
    entries: list[CaveatEntry] = [
        {"kind": kind, "cases": found[kind]} for kind in kinds if found.get(kind)
    ]
    if first := counts.get("split_first"):
        _, _, before, after = first
        for entry in entries:
            if entry["kind"] == "split_words":
                entry["example"] = f"`{before}` goes on with `{after}`"
    return entries


def _members(values: Sequence[str]) -> dict[str, IntArray]:
    """The indices of the cases of every slice value, values sorted."""
    found: dict[str, list[int]] = {}
    for case, value in enumerate(values):
        found.setdefault(value, []).append(case)
    return {value: np.array(found[value], dtype=np.int64) for value in sorted(found)}


def _metric(
    scores: CellScores,
    column: Column,
    codes: IntArray | None,
    members: Mapping[str, Mapping[str, IntArray]],
    *,
    early: bool,
) -> MetricEntry:
    """With `early` what was seen chose how much was, so that no error of a fixed size holds."""
    average = scores.scoring.average
    sliced = {
        name: {value: estimate(column, codes, cases) for value, cases in values.items()}
        for name, values in members.items()
    }
    if average == "micro":
        whole = estimate(column, codes)
    else:
        whole = macro(column.name, list(sliced[macro_slice(average, list(sliced))].values()))
    benchmark = of_benchmark(scores, column, whole.value)
    if early and not whole.complete:
        whole = _anytime(whole, benchmark)
        sliced = {
            name: {value: _anytime(part, None) for value, part in parts.items()}
            for name, parts in sliced.items()
        }
    return {
        **_estimate(whole),
        "benchmark": _interval(benchmark),
        "metric": column.name,
        "aggregate": AGGREGATES[type(column.aggregate)],
        "binary": column.binary,
        "direction": column.direction,
        "average": average,
        "detectable": finite(whole.detectable),
        "slices": {
            name: {value: _estimate(part) for value, part in values.items()}
            for name, values in sliced.items()
        },
    }


def _anytime(found: Estimate, benchmark: Interval | None) -> Estimate:
    """The estimate with what holds after an early end: the benchmark's interval, or none."""
    if benchmark is None:
        return replace(found, stderr=None, low=None, high=None, method="none")
    value, low, high = benchmark.value, benchmark.low, benchmark.high
    return replace(found, value=value, stderr=None, low=low, high=high, method="anytime")


def _interval(found: Interval | None) -> IntervalEntry | None:
    if found is None:
        return None
    return {"value": found.value, "low": found.low, "high": found.high}


def macro_slice(average: str, names: Sequence[str]) -> str:
    """Which of the slices `macro:<slice>` means; the spec room has checked that there is one."""
    wanted = slice_name(average.removeprefix("macro:").strip())
    return next(name for name in names if slice_name(name) == wanted)


def _estimate(found: Estimate) -> EstimateEntry:
    return {
        "value": finite(found.value),
        "stderr": finite(found.stderr),
        "low": finite(found.low),
        "high": finite(found.high),
        "n": found.n,
        "total": found.total,
        "complete": found.complete,
        "method": found.method,
    }


def finite(value: float | None) -> float | None:
    """The value as JSON can hold it: null for what is not a finite number."""
    return float(value) if value is not None and math.isfinite(value) else None


def _case(scores: CellScores, i: int) -> CaseEntry:
    cell: CellRecords = scores.cell
    entry: CaseEntry = {
        "id": cell.case_ids[i],
        "scores": {name: finite(col.values[i]) for name, col in scores.columns.items()},
        "target": json.loads(cell.targets[i]),
    }
    if scores.picked is not None:
        picked = int(scores.picked[i])
        entry["picked"] = picked if picked >= 0 else None
    if set(scores.picks) - {"acc"}:
        own = {name: int(chosen[i]) for name, chosen in scores.picks.items()}
        entry["picks"] = {name: at if at >= 0 else None for name, at in own.items()}
    if scores.answers:
        entry["answers"] = {name: list(own[i]) for name, own in scores.answers.items()}
    if cell.clusters is not None:
        entry["cluster"] = cell.clusters[i]
    if cell.slices:
        entry["slices"] = {name: values[i] for name, values in cell.slices.items()}
    return entry
