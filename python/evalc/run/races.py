"""The races of a plan: which are run, how they stand, and what each asks next."""

from __future__ import annotations

from collections.abc import Callable

from evalc.decide.gates import RaceCells, race_cells, units_of, whole_value
from evalc.decide.races import Candidate, Entrant, RaceTrial
from evalc.decide.verdicts import OPEN
from evalc.plan import Planned
from evalc.report.shape import CandidateEntry, GateEntry
from evalc.run.scorer import NOT_ALLOWED
from evalc.score import CellScores


class Races:
    """Races by name; each begins when one of its cells is looked at.

    `scored` gives a cell's scores by now, `allowed` how many cases of a cell of so many cases its
    budget allows.
    """

    def __init__(
        self,
        planned: Planned,
        scored: Callable[[int], CellScores | None],
        allowed: Callable[[int, int], int],
    ) -> None:
        self._races = race_cells(planned.folder.spec, planned.selection)
        self._scored, self._allowed = scored, allowed
        self._trials: dict[str, RaceTrial | None] = {}

    def __len__(self) -> int:
        return len(self._races)

    def entrants(self, cell: int) -> list[Entrant]:
        """The races that a cell is in, as it sees them."""
        found = []
        for race in self._of(cell):
            trial = self._trial(race)
            if trial is not None:
                found.append(Entrant(trial, race.models[race.cells.index(cell)]))
        return found

    def follow(self, cell: int) -> None:
        """Look at what was answered of the races that a cell is in."""
        for race in self._of(cell):
            if (trial := self._trial(race)) is not None:
                scores = self._scores(race)
                columns = {model: found.columns[race.column] for model, found in scores.items()}
                answered = {model: found.cell.answered() for model, found in scores.items()}
                trial.follow(columns, answered)

    def unfinished(self) -> bool:
        """Whether a candidate that waited for the others has something to answer now."""
        return any(trial is not None and trial.unfinished() for trial in self._trials.values())

    def undecided(self) -> list[RaceCells]:
        """Races of which the winner is not known."""
        return [race for race in self._races if self._open(race)]

    def drop(self, race: RaceCells) -> None:
        """Begin a race anew, as its budget has changed."""
        self._trials.pop(race.gate, None)

    def entries(self) -> list[GateEntry]:
        """How every race stands."""
        return [self._entry(race) for race in self._races]

    def _entry(self, race: RaceCells) -> GateEntry:
        trial = self._trial(race)
        verdict = OPEN if trial is None else trial.verdict
        candidates = [] if trial is None else [_standing(each) for each in trial.candidates()]
        return {
            "gate": race.gate,
            "model": candidates[0]["model"] if candidates else race.models[0],
            "task": race.task,
            "metric": race.column,
            "baseline": None,
            "state": "inconclusive" if verdict.state == "open" else verdict.state,
            "basis": verdict.basis,
            "alpha": race.spec.alpha,
            "error": verdict.error,
            "needed": race.spec.on_inconclusive != "warn",
            "why": NOT_ALLOWED if trial is None else None,
            "conditions": [],
            "candidates": candidates,
        }

    def _trial(self, race: RaceCells) -> RaceTrial | None:
        """The race's trial; None where programs of a candidate may not run."""
        if race.gate not in self._trials:
            scores = self._scores(race)
            found = None
            if len(scores) == len(race.models):
                first = scores[race.models[0]]
                budget = min(self._allowed(cell, len(first.cell)) for cell in race.cells)
                alpha = race.spec.alpha
                found = RaceTrial(
                    race.models,
                    units_of(first),
                    alpha=alpha,
                    budget=budget,
                    whole=lambda column: whole_value(first, column),
                )
            self._trials[race.gate] = found
        return self._trials[race.gate]

    def _scores(self, race: RaceCells) -> dict[str, CellScores]:
        found = {m: self._scored(c) for m, c in zip(race.models, race.cells, strict=True)}
        return {model: scores for model, scores in found.items() if scores is not None}

    def _open(self, race: RaceCells) -> bool:
        trial = self._trial(race)
        return trial is not None and trial.verdict.state == "open"

    def _of(self, cell: int) -> list[RaceCells]:
        return [race for race in self._races if cell in race.cells]


def _standing(candidate: Candidate) -> CandidateEntry:
    found = candidate.difference
    return {
        "model": candidate.model,
        "standing": candidate.standing,
        "seen": candidate.seen,
        "value": candidate.value,
        "difference": None if found is None else found.value,
        "low": None if found is None else found.low,
        "high": None if found is None else found.high,
    }
