"""Gates as trials: what a spec's gates ask of each model, and with what they compare it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalc.decide.estimates import estimate, macro
from evalc.decide.predictors import Predictor, predictor_of
from evalc.decide.trials import Trial
from evalc.decide.units import Units
from evalc.decide.verdicts import AtLeast, AtMost, Condition, Narrow, half
from evalc.score import CellScores
from evalc.score.cells import FloatArray, IntArray
from evalc.score.columns import Column
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
            if own == task and judges(gate, model):
                column = column_name(metric, extraction)
                found.append(GateCell(name, gate, model, task, cell, column))
    return found


def judges(gate: GateSpec, model: str) -> bool:
    """Whether a gate that is no race judges a model, should it answer the gate's task."""
    named = not gate.models or any(matching(p, {model: ()}) for p in gate.models)
    return named and model != gate.baseline


def candidates(gate: GateSpec, models: Iterable[str]) -> list[str]:
    """Those of the models that a race is among."""
    return [m for m in models if any(matching(p, {m: ()}) for p in gate.among or ())]


@dataclass(frozen=True)
class RaceCells:
    """A race: `models[i]` answers in the cell `selection.cells[cells[i]]`."""

    gate: str
    spec: GateSpec
    task: str
    column: str
    models: tuple[str, ...]
    cells: tuple[int, ...]


def race_cells(spec: Spec, selection: Selection) -> list[RaceCells]:
    """The races of which every candidate is selected, two or more of them, by name."""
    found = []
    for name in sorted(spec.gates):
        gate = spec.gates[name]
        parts = split_metric(gate.metric, spec.tasks)
        if parts is None or gate.among is None:
            continue
        task, metric, extraction = parts
        models = candidates(gate, spec.models)
        cells = {m: c for c, (m, own) in enumerate(selection.cells) if own == task and m in models}
        if len(models) > 1 and len(cells) == len(models):
            column = column_name(metric, extraction)
            places = tuple(cells[model] for model in models)
            found.append(RaceCells(name, gate, task, column, tuple(models), places))
    return found


def by_rounds(spec: Spec, selection: Selection) -> bool:
    """Whether a run of this selection looks at what it has before all is asked."""
    tier = None if selection.tier is None else spec.tiers[selection.tier]
    limits = (tier.seconds, tier.dollars, tier.half_width) if tier else ()
    judged = gate_cells(spec, selection) or race_cells(spec, selection)
    return bool(judged) or any(limit is not None for limit in limits)


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

    groups = _groups(scores)
    ids = [cell.case_ids[case] for case in chosen]
    return Units.of(ids, some(cell.clusters), some(groups))


def _groups(scores: CellScores) -> Sequence[str] | None:
    """What slice each case is of, under a macro average; its slices weigh equally."""
    if scores.scoring.average == "micro":
        return None
    wanted = slice_name(scores.scoring.average.removeprefix("macro:").strip())
    return next(v for name, v in scores.cell.slices.items() if slice_name(name) == wanted)


def beyond(baseline: Baseline) -> bool:
    """Whether a baseline has scores outside [0, 1], with which no values are compared."""
    return not all(0 <= score <= 1 for score in baseline.values())


def whole_value(scores: CellScores, column: Column) -> float | None:
    """A column's value over all cases, averaged as its task says."""
    groups = _groups(scores)
    if groups is None:
        return estimate(column).value
    parts = [
        estimate(column, within=np.flatnonzero(np.array(groups) == group))
        for group in dict.fromkeys(groups)
    ]
    return macro(column.name, parts).value


def trials_of(
    gate: GateCell,
    scores: CellScores,
    baseline: Baseline | None,
    *,
    gates: int,
    budget: int,
    guides: Sequence[Baseline] = (),
) -> dict[str, Trial]:
    """A trial for each condition of a gate, by the condition's key.

    `guides` are what else is known of the cases: scores of other models by the same metric.
    """
    known = None if baseline is None or beyond(baseline) else aligned(scores, baseline)
    every = np.arange(len(scores.cell), dtype=np.int64)
    found = {}
    for key in conditions(gate.spec):
        cases, compared = every, None
        if key == "max_drop" and not _complete(known):
            if known is None or not np.isfinite(known).any():
                continue
            cases = np.flatnonzero(np.isfinite(known)).astype(np.int64)
            compared = known[cases]
        units = units_of(scores, cases if len(cases) < len(every) else None)
        found[key] = Trial(
            _condition(gate.spec, key, units, known, compared is not None),
            units,
            cases,
            alpha=gate.spec.alpha,
            gates=gates,
            budget=budget,
            baseline=compared,
            predictor=None if compared is not None else _predictor(scores, units, known, guides),
            whole=lambda column: whole_value(scores, column),
        )
    return found


def _condition(
    gate: GateSpec, key: str, units: Units, baseline: FloatArray | None, paired: bool
) -> Condition:
    bound = float(getattr(gate, key))
    if key == "min":
        return AtLeast(bound)
    if key == "max":
        return AtMost(bound)
    if key == "half_width":
        return Narrow(bound)
    if paired:
        return AtLeast(half(bound), bound / 2)
    assert baseline is not None
    return AtLeast(float(units.weights @ units.values(baseline)) - bound, bound)


def _predictor(
    scores: CellScores, units: Units, baseline: FloatArray | None, guides: Sequence[Baseline]
) -> Predictor | None:
    """From all that is complete, the gate's own baseline first."""
    own = _complete(baseline)
    every = [baseline, *(aligned(scores, guide) for guide in guides)]
    known = [units.values(each) for each in every if each is not None and _complete(each)]
    return predictor_of(known, leading=own)


def _complete(known: FloatArray | None) -> bool:
    return known is not None and bool(np.isfinite(known).all())


def aligned(scores: CellScores, baseline: Baseline) -> FloatArray:
    """float64[n]: the baseline's score of each case, NaN where it has none in [0, 1]."""
    found = np.array([baseline.get(case, np.nan) for case in scores.cell.case_ids])
    return np.where((found >= 0) & (found <= 1), found, np.nan)
