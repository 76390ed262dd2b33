"""Gates that a selection leaves without a verdict, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from evalc.decide.gates import candidates, gate_cells, judges, race_cells
from evalc.spec import Selection, Spec
from evalc.spec.metrics import split_metric
from evalc.spec.models import GateSpec


class Unjudged(NamedTuple):
    """A gate without a verdict on any model; `why` is a clause."""

    gate: str
    task: str
    why: str


def unjudged(spec: Spec, selection: Selection) -> Iterator[Unjudged]:
    """Every gate and race that judges nothing of what is selected, by name."""
    judged = {cell.gate for cell in gate_cells(spec, selection)}
    judged |= {race.gate for race in race_cells(spec, selection)}
    for name in sorted(spec.gates.keys() - judged):
        gate = spec.gates[name]
        parts = split_metric(gate.metric, spec.tasks)
        if parts is not None:
            task = parts[0]
            models = [model for model, own in selection.cells if own == task]
            yield Unjudged(name, task, _why(gate, spec, models))


def _why(gate: GateSpec, spec: Spec, models: Sequence[str]) -> str:
    """From the models that are selected with the gate's task."""
    if not models:
        return "task not selected"
    if gate.among is not None:
        absent = [model for model in candidates(gate, spec.models) if model not in models]
        return "candidates not selected: " + ", ".join(f"`{model}`" for model in absent)
    if any(judges(gate, model) for model in spec.models):
        return "models not selected"
    return "no model but its baseline"
