"""Trials: one condition of a gate on one model and task, followed round by round.

A trial is a function of the order of units, of what is answered, and of its limit: it goes through
the rounds whose units are all answered, whoever asked them and when, and ends at the first that is
not. So a run that was stopped, one that was interrupted and goes on, and one that finds everything
in the cache reach the same verdict by the same looks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from evalc.decide.betting import Evidence, Interval
from evalc.decide.estimates import estimate
from evalc.decide.predictors import Predictor
from evalc.decide.rounds import next_round
from evalc.decide.units import Units
from evalc.decide.verdicts import OPEN, AtLeast, AtMost, Condition, Verdict, paired_values
from evalc.score.cells import BoolArray, FloatArray, IntArray
from evalc.score.columns import Column, Mean

WAVE = 32
"""Units of the first rounds. The same on every machine, so that all look at the same moments."""

Scope = Literal["value", "difference"]


class Trial:
    """A condition's evidence and verdict.

    `cases` int64[m] are the cell's cases that it is about: all of them, or those of an incomplete
    baseline, whose scores are `baseline` float64[m] and which values are compared with case by
    case. `predictor` is of the units, and fixed before any is asked. `alpha` is the gate's, `gates`
    the number of trials of the run. `budget` is the number of the cell's cases that may be asked.
    `whole` gives the value of a column on which no bet can be made, once all is answered; without
    it that is the value over all cases, none weighing more.
    """

    def __init__(
        self,
        condition: Condition,
        units: Units,
        cases: IntArray,
        *,
        alpha: float,
        gates: int,
        budget: int,
        baseline: FloatArray | None = None,
        predictor: Predictor | None = None,
        whole: Callable[[Column], float | None] | None = None,
    ) -> None:
        self.condition, self.units, self.cases = condition, units, cases
        self.alpha, self.gates = alpha, gates
        self.scope: Scope = "value" if baseline is None else "difference"
        margin = condition.margin if isinstance(condition, AtLeast) else 0.0
        self.evidence = Evidence(units.weights, margin)
        self.looks: list[int] = []
        self.bounded = True
        self._baseline, self._predictor = baseline, predictor
        self._first = OPEN
        self._whole: float | None = None
        self._value_of = whole or (lambda column: estimate(column).value)
        self._limit = units_within(units, budget)

    def follow(self, column: Column, answered: BoolArray) -> None:
        """Go through the rounds that are answered by now; scores and answers are of all n cases."""
        self.bounded = self.bounded and isinstance(column.aggregate, Mean)
        while self.bounded and (last := self._next_end()) is not None:
            first = self.evidence.seen
            asked = self.cases[self.units.cases(first, last)]
            if not answered[asked].all():
                return
            self._add(column, first, last, asked)
            self._judge()
        self._settle(column, answered)

    def _next_end(self) -> int | None:
        """Where the next round ends, if the budget allows one that is not decided yet."""
        seen = self.evidence.seen
        if seen >= self._limit:
            return None
        return min(self._limit, seen + next_round(seen, len(self.units), WAVE))

    def _add(self, column: Column, first: int, last: int, asked: IntArray) -> None:
        own = column.values[asked]
        if not (np.isfinite(own).all() and own.min() >= 0 and own.max() <= 1):
            self.bounded = False
            return
        values = self.units.values(self._scores(column.values[self.cases]), first, last)
        predicted = None
        if self._predictor is not None:
            predicted = self._predictor.predict(self.evidence.values)
        self.evidence.add(values, predicted)

    def _scores(self, scores: FloatArray) -> FloatArray:
        return scores if self._baseline is None else paired_values(scores, self._baseline)

    def _judge(self) -> None:
        self.looks.append(self.evidence.seen)
        found = self.condition.judge(self.evidence, self.alpha, self.gates)
        # what was decided stays decided, unless all that was asked says otherwise with certainty
        if self._first.state == "open" or found.basis == "certain":
            self._first = found

    def _settle(self, column: Column, answered: BoolArray) -> None:
        """A metric on which no bet can be made is judged when everything is answered."""
        # a difference is one of cases, and the value of all of them is none
        if self.bounded or self.scope == "difference" or not answered[self.cases].all():
            return
        self._whole = self._value_of(column)
        if self._whole is None:
            return
        value, condition = self._whole, self.condition
        passes = not isinstance(condition, AtLeast | AtMost) or (
            value >= condition.bound if isinstance(condition, AtLeast) else value <= condition.bound
        )
        self._first = Verdict("pass" if passes else "fail", "certain")

    @property
    def verdict(self) -> Verdict:
        """What is decided so far."""
        return self._first

    def wanted(self) -> IntArray:
        """The cases to ask next; none when it is decided or its budget ends."""
        if self.verdict.state != "open":
            return np.zeros(0, dtype=np.int64)
        if not self.bounded:
            return self.within()
        last = self._next_end()
        if last is None:
            return np.zeros(0, dtype=np.int64)
        return self.cases[self.units.cases(self.evidence.seen, last)]

    def within(self) -> IntArray:
        """Every case that the budget allows."""
        return self.cases[self.units.cases(0, self._limit)]

    @property
    def seen(self) -> int:
        """Cases that the verdict rests on."""
        if self._whole is not None:
            return len(self.cases)
        return int(self.units.starts[self.evidence.seen])

    def interval(self) -> Interval | None:
        """Where the value, or the difference, lies; None where nothing was looked at."""
        if self._whole is not None:
            return Interval(self._whole, self._whole, self._whole)
        if not self.bounded or not self.evidence.seen:
            return None
        found = self.evidence.interval(self.alpha)
        if self.scope == "value":
            return found
        return Interval(*(2 * end - 1 for end in (found.value, found.low, found.high)))


def units_within(units: Units, budget: int) -> int:
    """How many units a budget of cases allows: at least one."""
    return max(1, int(np.searchsorted(units.starts, budget, side="right")) - 1)
