"""What moved against the baselines of gates, as a report has it: metrics, and groups of cases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from evalc.decide.gates import aligned
from evalc.decide.moves import Unmoved, moved, unmoved, unmoved_groups
from evalc.report.shape import MovesEntry
from evalc.run.decisions import Drop

RATE = 0.05
"""Of what is named, a share of at most so much is expected to be wrong."""


def moves(drops: Iterable[Drop]) -> list[MovesEntry]:
    """Every family of two values or more, of which some are estimates."""
    once: dict[tuple[int, str, str | None], Drop] = {}
    for drop in drops:
        gate = drop.gate
        once.setdefault((gate.cell, gate.column, gate.spec.baseline), drop)
    found = [_entry(_metrics(list(once.values())))]
    for drop in once.values():
        for name, labels in sorted(drop.scores.cell.slices.items()):
            found.append(_entry(_groups(drop, labels), drop, name))
    return [entry for entry in found if entry is not None]


def _metrics(drops: Sequence[Drop]) -> dict[str, Unmoved]:
    """What the metrics of gates did, by gate and model."""
    found = {f"{drop.gate.gate} ({drop.gate.model})": unmoved(drop.trial) for drop in drops}
    return {name: own for name, own in found.items() if own is not None}


def _groups(drop: Drop, labels: Sequence[str]) -> Mapping[str, Unmoved]:
    known = aligned(drop.scores, drop.baseline)
    return unmoved_groups(drop.trial, drop.scores.columns[drop.gate.column].values, known, labels)


def _entry(
    values: Mapping[str, Unmoved], drop: Drop | None = None, name: str | None = None
) -> MovesEntry | None:
    """A family; None where it takes no statistics to say what moved."""
    if len(values) < 2 or all(own.complete for own in values.values()):
        return None
    chosen = moved(np.array([own.log_evidence for own in values.values()]), RATE)
    return {
        "gate": None if drop is None else drop.gate.gate,
        "model": None if drop is None else drop.gate.model,
        "slice": name,
        "rate": RATE,
        "compared": len(values),
        "moved": [
            {"name": label, "difference": own.difference}
            for (label, own), is_moved in zip(values.items(), chosen, strict=True)
            if is_moved
        ],
    }
