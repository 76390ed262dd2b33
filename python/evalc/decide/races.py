"""Races as they are run: candidates that are asked in turns, each round by all that are left.

Like a trial, a race is a function of the order of units, of what is answered, and of its limit. Its
rounds are longer than a gate's, as each may cost a loading of every candidate left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evalc.decide.betting import SLACK, Interval
from evalc.decide.estimates import estimate
from evalc.decide.racing import Race
from evalc.decide.rounds import next_round
from evalc.decide.trials import units_within
from evalc.decide.units import Units
from evalc.decide.verdicts import OPEN, Verdict
from evalc.score.cells import BoolArray, FloatArray, IntArray
from evalc.score.columns import Column, Mean

WAVE = 64
"""Units of the first round."""
GROWTH = 0.5
"""A later round's share of what was seen before it: 14 rounds for 14,000 units."""

Standing = Literal["best", "out", "open"]


@dataclass(frozen=True)
class Candidate:
    """How a candidate stands: `seen` cases, its value, and how much more that is than the leader's.

    Several are `best` where everything was asked and they are equal.
    """

    model: str
    standing: Standing
    seen: int
    value: float | None
    difference: Interval | None


class RaceTrial:
    """A race's evidence and verdict. `budget` is the number of cases that each may be asked.

    `whole` gives the value of a column once all of it is answered; without it that is the value
    over all cases, none weighing more.
    """

    def __init__(
        self,
        models: Sequence[str],
        units: Units,
        *,
        alpha: float,
        budget: int,
        whole: Callable[[Column], float | None] | None = None,
    ) -> None:
        self.units, self.alpha = units, alpha
        self.race = Race(models, units.weights, alpha)
        self.looks: list[int] = []
        self.bounded = True
        self._models = list(models)
        self._whole: dict[str, float] = {}
        self._answered: dict[str, BoolArray] = {}
        self._lower = False
        self._value_of = whole or (lambda column: estimate(column).value)
        self._limit = units_within(units, budget)

    def follow(self, columns: Mapping[str, Column], answered: Mapping[str, BoolArray]) -> None:
        """Go through the rounds that all candidates left have answered by now."""
        self._answered = dict(answered)
        self._lower = next(iter(columns.values())).direction == "lower"
        self.bounded = self.bounded and all(_bounded(column) for column in columns.values())
        # what everyone answered whole is certain, whatever the evidence on the way said
        if all(answered[name].all() for name in self._models):
            found = {name: self._value_of(columns[name]) for name in self._models}
            self._whole = {name: value for name, value in found.items() if value is not None}
        while self.bounded and (last := self._next_end()) is not None:
            asked = self.units.cases(self.race.seen, last)
            if not all(answered[name][asked].all() for name in self.race.alive):
                return
            if not all(_within(columns[name].values[asked]) for name in self.race.alive):
                self.bounded = False
                break
            self.race.add({n: self._values(columns[n], last) for n in self.race.alive})
            self.looks.append(self.race.seen)

    def _values(self, column: Column, last: int) -> FloatArray:
        scores = 1.0 - column.values if self._lower else column.values
        return self.units.values(scores, self.race.seen, last)

    def _next_end(self) -> int | None:
        seen = self.race.seen
        if seen >= self._limit or self.race.decided:
            return None
        return min(self._limit, seen + next_round(seen, len(self.units), WAVE, GROWTH))

    @property
    def verdict(self) -> Verdict:
        """`pass` once it is known which is best, or that several are equally."""
        if self._whole:
            return Verdict("pass", "certain")
        if self.bounded and self.race.decided:
            basis = self.race.basis
            return Verdict("pass", basis, self.alpha if basis == "evidence" else 0.0)
        return OPEN

    def open(self, model: str) -> bool:
        """Whether a candidate can still be asked something."""
        alive = not self.bounded or model in self.race.alive
        return self.verdict.state == "open" and alive

    def wanted(self, model: str) -> IntArray:
        """The cases to ask a candidate next; none when it is out, or waits for the others."""
        none = np.zeros(0, dtype=np.int64)
        if not self.open(model):
            return none
        if not self.bounded:
            return self.units.cases(0, self._limit)
        last = self._next_end()
        return none if last is None else self.units.cases(self.race.seen, last)

    def unfinished(self) -> bool:
        """Whether some candidate has something to answer before the next look."""
        return any(not self._answered[model][self.wanted(model)].all() for model in self._answered)

    def candidates(self) -> list[Candidate]:
        """How each stands, the best first."""
        found = [self._candidate(model) for model in self._models]
        sign = 1.0 if self._lower else -1.0
        order = ("best", "open", "out")
        return sorted(
            found, key=lambda c: (order.index(c.standing), sign * (c.value or 0.0), c.model)
        )

    def _candidate(self, model: str) -> Candidate:
        if self._whole:
            return self._compared_whole(model)
        if not self.bounded or not self.race.seen:
            return Candidate(model, "open", 0, None, None)
        alive, over = model in self.race.alive, self.race.decided
        standing: Standing = ("best" if over else "open") if alive else "out"
        seen, value = self.race.seen_of(model), self.race.value(model)
        found = self.race.behind(model)
        if self._lower:
            value = 1.0 - value
            found = found and Interval(-found.value, -found.high, -found.low)
        return Candidate(model, standing, int(self.units.starts[seen]), value, found)

    def _compared_whole(self, model: str) -> Candidate:
        best = (min if self._lower else max)(self._whole.values())
        value = self._whole.get(model)
        total = len(self.units.members)
        if value is None:
            return Candidate(model, "out", total, None, None)
        apart = value - best
        difference = Interval(apart, apart, apart)
        equal = abs(apart) <= SLACK * max(1.0, abs(best))
        return Candidate(model, "best" if equal else "out", total, value, difference)


class Entrant:
    """A race as one of its candidates' cells sees it."""

    def __init__(self, trial: RaceTrial, model: str) -> None:
        self._trial, self._model = trial, model

    @property
    def open(self) -> bool:
        """Whether the race may still ask something of this candidate."""
        return self._trial.open(self._model)

    def wanted(self) -> IntArray:
        """The cases that come next for the race."""
        return self._trial.wanted(self._model)


def _bounded(column: Column) -> bool:
    return isinstance(column.aggregate, Mean)


def _within(values: FloatArray) -> bool:
    return bool(np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1)
