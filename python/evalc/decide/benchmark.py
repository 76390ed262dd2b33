"""What the full run would print, from the part of it that was asked: the scope of the benchmark.

The interval holds whenever the run ended and for whatever reason, as that of `Evidence` does. When
everything was asked it is a point. What is asked beyond the first units of the order that are
complete says nothing here: it was asked for another reason than its turn.
"""

from __future__ import annotations

import math

import numpy as np

from evalc.decide.betting import Evidence, Interval
from evalc.decide.estimates import LEVEL
from evalc.decide.gates import units_of
from evalc.decide.rounds import next_round
from evalc.decide.trials import WAVE
from evalc.decide.units import Units
from evalc.score import CellScores
from evalc.score.cells import BoolArray, FloatArray
from evalc.score.columns import Column, Mean


def of_benchmark(scores: CellScores, column: Column, whole: float | None) -> Interval | None:
    """The value over all cases of the task, or None where the cases that were asked do not say.

    `whole` is the value over those that are scored. None for what is no mean of scores in [0, 1],
    and where a tier leaves out cases of clusters or groups: how many those have is not known then.
    """
    cell = scores.cell
    answered = cell.answered()
    population = cell.population or len(cell)
    if whole is not None and answered.all() and population == len(cell):
        return Interval(whole, whole, whole) if math.isfinite(whole) else None
    if not len(cell) or not isinstance(column.aggregate, Mean):
        return None
    if population == len(cell):
        units = units_of(scores)
        weights = units.weights
    elif cell.clusters is None and scores.scoring.average == "micro":
        units = Units.of(cell.case_ids)
        weights = np.full(population, 1.0 / population)
    else:
        return None
    return _interval(units, weights, column.values, answered & column.present)


def _interval(
    units: Units, weights: FloatArray, values: FloatArray, answered: BoolArray
) -> Interval | None:
    missing = np.flatnonzero(~answered[units.members])
    first = int(missing[0]) if len(missing) else len(units.members)
    seen = int(np.searchsorted(units.starts, first, side="right")) - 1
    if seen < 1:
        return None
    asked = values[units.cases(0, seen)]
    if not (asked.min() >= 0 and asked.max() <= 1):
        return None
    evidence = Evidence(weights)
    # in rounds, as bets learn between them
    while evidence.seen < seen:
        first = evidence.seen
        last = first + next_round(first, seen, WAVE)
        evidence.add(units.values(values, first, last))
    return evidence.interval(1.0 - LEVEL)
