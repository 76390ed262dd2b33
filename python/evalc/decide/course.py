"""The course of a trial: what each of its looks saw, worked out again afterwards.

Looks are replayed on prefixes of the evidence, whose bets were fixed before each round, so that
they say what they said at the time. Costs one interval per look.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from evalc.decide.betting import Evidence
from evalc.decide.trials import Trial
from evalc.decide.verdicts import AtLeast, AtMost, Condition


@dataclass(frozen=True, slots=True)
class Look:
    """A look after `seen` cases: the value, or the difference, with its anytime interval.

    `log_for` and `log_against` are natural logs of the evidence that the condition holds and that
    it does not; None for a condition on the width.
    """

    seen: int
    value: float
    low: float
    high: float
    log_for: float | None
    log_against: float | None


def course(trial: Trial) -> list[Look]:
    """Every look of a trial; none where no bet could be made."""
    return [_look(trial, units) for units in trial.looks] if trial.bounded else []


def limits(trial: Trial) -> tuple[float, float]:
    """Natural logs of the evidence for and against at which a look decides."""
    return math.log(1.0 / trial.alpha), math.log(trial.gates / trial.alpha)


def _look(trial: Trial, units: int) -> Look:
    evidence = trial.evidence.at(units)
    found = evidence.interval(trial.alpha)
    ends = (found.value, found.low, found.high)
    if trial.scope == "difference":
        ends = (2 * found.value - 1, 2 * found.low - 1, 2 * found.high - 1)
    return Look(int(trial.units.starts[units]), *ends, *_evidence(trial.condition, evidence))


def _evidence(condition: Condition, evidence: Evidence) -> tuple[float | None, float | None]:
    match condition:
        case AtLeast(bound):
            return evidence.up(bound), evidence.down(bound)
        case AtMost(bound):
            return evidence.down(bound), evidence.up(bound)
        case _:
            return None, None
