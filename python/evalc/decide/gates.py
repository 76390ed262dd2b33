"""Gates as trials: what a spec's gates ask of each model, and with what they compare it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalc.decide.trials import Scope, Trial
from evalc.decide.units import Units
from evalc.decide.verdicts import AtLeast, AtMost, Condition, Narrow, half
from evalc.score import CellScores
from evalc.score.cells import FloatArray, IntArray
from evalc.score.scoring import column_name
from evalc.spec import Selection, Spec
from evalc.spec.matching import matching
from evalc.spec.metrics import slice_name, split_metric
from evalc.spec.models import GateSpec

Baseline = Mapping[str, float]
"""Scores by the ids of cases; those that were not scored are not in it."""


@dataclass(frozen=True)
class GateCell:
    """A gate on one model: the cell `selection.cells[cell]`, and the column that it judges."""

    gate: str
    spec: GateSpec
    model: str
    task: str
    cell: int
    column: str


def gate_cells(spec: Spec, selection: Selection) -> list[GateCell]:
    """The gates on the selected cells, by name and model; a race (`among`) is none of them.

    A gate does not judge the model that it compares with.
    """
    found = []
    for name in sorted(spec.gates):
        gate = spec.gates[name]
        parts = split_metric(gate.metric, spec.tasks)
        if parts is None or gate.among is not None:
            continue
        task, metric, extraction = parts
        for cell, (model, own) in enumerate(selection.cells):
            judged = not gate.models or any(matching(p, {model: ()}) for p in gate.models)
            if own == task and judged and model != gate.baseline:
                column = column_name(metric, extraction)
                found.append(GateCell(name, gate, model, task, cell, column))
    return found


def by_rounds(spec: Spec, selection: Selection) -> bool:
    """Whether a run of this selection looks at what it has before all is asked."""
    tier = None if selection.tier is None else spec.tiers[selection.tier]
    limits = (tier.seconds, tier.dollars, tier.half_width) if tier else ()
    return bool(gate_cells(spec, selection)) or any(limit is not None for limit in limits)


def with_baselines(spec: Spec, selection: Selection) -> Selection:
    """The selection with the models that its gates compare with."""
    wanted = {
        (found.spec.baseline, found.task)
        for found in gate_cells(spec, selection)
        if found.spec.baseline in spec.models
    }
    cells = sorted({*selection.cells, *((str(model), task) for model, task in wanted)})
    return replace(selection, cells=tuple(cells))


def conditions(gate: GateSpec) -> list[str]:
    """The keys of a gate that set a condition; each is a trial."""
    names = ("min", "max", "max_drop", "half_width")
    return [name for name in names if getattr(gate, name) is not None]


def units_of(scores: CellScores, cases: IntArray | None = None) -> Units:
    """The units of a scored cell, or of some of its cases."""
    cell = scores.cell
    chosen = range(len(cell)) if cases is None else cases.tolist()

    def some(values: Sequence[str] | None) -> list[str] | None:
        return None if values is None else [values[case] for case in chosen]

    groups = None
    if scores.scoring.average != "micro":
        wanted = slice_name(scores.scoring.average.removeprefix("macro:").strip())
        groups = next(v for name, v in cell.slices.items() if slice_name(name) == wanted)
    ids = [cell.case_ids[case] for case in chosen]
    return Units.of(ids, some(cell.clusters), some(groups))


def trials_of(
    gate: GateCell, scores: CellScores, baseline: Baseline | None, *, gates: int, budget: int
) -> dict[str, Trial]:
    """A trial for each condition of a gate, by the condition's key."""
    found = {}
    for key, condition, cases, compared, scope in _conditions(gate.spec, scores, baseline):
        units = units_of(scores, cases if len(cases) < len(scores.cell) else None)
        found[key] = Trial(
            condition if condition is not None else _drop(gate.spec, compared, units),
            units,
            cases,
            alpha=gate.spec.alpha,
            gates=gates,
            budget=budget,
            baseline=compared,
            scope=scope,
        )
    return found


def _conditions(
    gate: GateSpec, scores: CellScores, baseline: Baseline | None
) -> Iterator[tuple[str, Condition | None, IntArray, FloatArray | None, Scope]]:
    every = np.arange(len(scores.cell), dtype=np.int64)
    known = _aligned(scores, baseline)
    complete = known is not None and bool(np.isfinite(known).all())
    # what is known of every case sharpens each condition, and not only the comparison
    guide = known if complete else None
    if gate.min is not None:
        yield "min", AtLeast(gate.min), every, guide, "value"
    if gate.max is not None:
        yield "max", AtMost(gate.max), every, guide, "value"
    if gate.half_width is not None:
        yield "half_width", Narrow(gate.half_width), every, guide, "value"
    if gate.max_drop is None or known is None:
        return
    if complete:
        yield "max_drop", None, every, known, "value"
    elif np.isfinite(known).any():
        common = np.flatnonzero(np.isfinite(known)).astype(np.int64)
        bound = AtLeast(half(gate.max_drop), gate.max_drop / 2)
        yield "max_drop", bound, common, known[common], "difference"


def _aligned(scores: CellScores, baseline: Baseline | None) -> FloatArray | None:
    """float64[n]: the baseline's score of each case, NaN where it has none in [0, 1]."""
    if baseline is None:
        return None
    found = np.array([baseline.get(case, np.nan) for case in scores.cell.case_ids])
    return np.where((found >= 0) & (found <= 1), found, np.nan)


def _drop(gate: GateSpec, baseline: FloatArray | None, units: Units) -> Condition:
    assert baseline is not None
    assert gate.max_drop is not None
    return AtLeast(float(units.weights @ units.values(baseline)) - gate.max_drop, gate.max_drop)
