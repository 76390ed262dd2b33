"""What a cell still has to be asked: until its gates are decided, or its budget is used up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evalc.decide.races import Entrant
from evalc.decide.trials import Trial
from evalc.score.cells import BoolArray, IntArray
from evalc.score.columns import Column


class Agenda:
    """The trials of one cell and the cases that come next.

    `trials` maps (gate, condition) to a trial and `columns` to the column it is about; `entrants`
    are the races that the cell is in. With `early` the cell ends when all of them are decided.
    Without, or without any, it ends when `filler`, a trial on the whole budget, is; it is gone
    through in rounds, or with `at_once` in one.
    """

    def __init__(
        self,
        trials: Mapping[tuple[str, str], Trial],
        columns: Mapping[tuple[str, str], str],
        filler: tuple[Trial, str],
        entrants: Sequence[Entrant] = (),
        *,
        early: bool,
        at_once: bool,
    ) -> None:
        self.trials, self._columns = dict(trials), dict(columns)
        self._filler, self._filler_column = filler
        self._entrants = list(entrants)
        self._early, self._at_once = early and bool(trials or entrants), at_once
        self._answered: BoolArray = np.zeros(0, dtype=np.bool_)

    def follow(self, columns: Mapping[str, Column], answered: BoolArray) -> None:
        """Take note of what is answered by now."""
        self._answered = answered
        for name, trial in self.trials.items():
            trial.follow(columns[self._columns[name]], answered)
        if not (self._early or self._at_once):
            self._filler.follow(columns[self._filler_column], answered)

    @property
    def judged(self) -> bool:
        """Whether a gate or a race looks at the cell."""
        return bool(self.trials or self._entrants)

    @property
    def decided(self) -> bool:
        """Whether the cell ended because its gates, or the width of its interval, are decided."""
        if self._at_once and not self._early:
            return False
        trials = list(self.trials.values()) if self._early else [self._filler]
        races = self._entrants if self._early else []
        return not any(trial.verdict.state == "open" for trial in trials) and not any(
            race.open for race in races
        )

    def wanted(self) -> IntArray:
        """Cases to ask next, ascending; none when the cell has ended."""
        if self._early:
            parts = [trial.wanted() for trial in self.trials.values()]
            parts += [race.wanted() for race in self._entrants]
        elif self._at_once:
            parts = [self._filler.within()]
        else:
            parts = [self._filler.wanted()]
        cases = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *parts]))
        left: IntArray = cases[~self._answered[cases]]
        return left
