"""What gates' metrics did against their baselines: by how much, and in which cases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evalc.decide import paired
from evalc.decide.gates import GateCell, gate_cells
from evalc.plan import Planned
from evalc.report.shape import ChangeEntry, ConditionEntry, GateEntry
from evalc.run.baselines import Baselines
from evalc.score import CellScores
from evalc.store import Store

DROP = "max_drop"


def with_changes(
    gates: Sequence[GateEntry], planned: Planned, store: Store, scores: Sequence[CellScores]
) -> list[GateEntry]:
    """The verdicts, those that compare with a baseline with their `change`.

    `scores` are those that the verdicts rest on.
    """
    baselines = Baselines(planned.folder, store)
    cells = {(c.gate, c.model): c for c in gate_cells(planned.folder.spec, planned.selection)}
    found = []
    for gate in gates:
        cell = cells.get((gate["gate"], gate["model"]))
        change = None if cell is None else _change(cell, gate, baselines, scores)
        found.append(gate if change is None else {**gate, "change": change})
    return found


def _change(
    cell: GateCell, gate: GateEntry, baselines: Baselines, scores: Sequence[CellScores]
) -> ChangeEntry | None:
    conditions = [entry for entry in gate["conditions"] if entry["key"] == DROP]
    own = [s for s in scores if (s.cell.model, s.cell.task) == (cell.model, cell.task)]
    known = baselines.of(cell, scores)
    if not conditions or not own or known is None:
        return None
    column = own[0].columns[cell.column]
    before = np.array([known.get(case, np.nan) for case in own[0].cell.case_ids])
    both = np.flatnonzero(column.present & np.isfinite(before))
    flips = paired(before[both], column.values[both], binary=column.binary)
    better, worse = flips.up, flips.down
    if column.direction == "lower":
        better, worse = worse, better
    whole = len(both) == len(own[0].cell)
    return {
        **_difference(conditions[0], cell.spec.max_drop or 0.0),
        "better": better,
        "worse": worse,
        "compared": len(both),
        "total": len(own[0].cell),
        # a test of a fixed number of cases says nothing where the run chose that number
        "p": flips.p if whole and flips.test == "mcnemar" else None,
    }


def _difference(condition: ConditionEntry, max_drop: float) -> ChangeEntry:
    """The difference that a condition found; of a value, less that of the baseline."""
    shift = 0.0 if condition["scope"] == "difference" else condition["bound"] + max_drop
    ends = (condition[key] for key in ("value", "low", "high"))
    value, low, high = (None if end is None else float(end) - shift for end in ends)
    found: ChangeEntry = {"difference": value, "low": low, "high": high}  # type: ignore[typeddict-item]
    return found
