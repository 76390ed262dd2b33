"""What a run by rounds asks next, and what its gates say: decisions from what the store holds.

Nothing here asks a model. `exec` takes the cases that are wanted, asks them, and comes back; a
report looks at what is there. Both go through the same looks, and so say the same.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from evalc.decide.agenda import Agenda
from evalc.decide.course import course, limits
from evalc.decide.expectation import expected
from evalc.decide.gates import (
    Baseline,
    GateCell,
    beyond,
    by_rounds,
    conditions,
    gate_cells,
    trials_of,
    units_of,
)
from evalc.decide.rounds import Budget
from evalc.decide.trials import Trial
from evalc.decide.units import Units
from evalc.decide.unjudged import Unjudged
from evalc.decide.verdicts import Narrow, Verdict, together
from evalc.plan import Planned
from evalc.report.build import finite
from evalc.report.shape import ConditionEntry, GateEntry, ResultEntry, RoundEntry
from evalc.run.baselines import Baselines
from evalc.run.races import Races
from evalc.run.scorer import NOT_ALLOWED, Scorer
from evalc.score import CellScores
from evalc.score.cells import IntArray
from evalc.spec.models import TierSpec

UNFINISHED = "the run was not finished before it was decided; `evalc exec` goes on with it"
ESCALATE = "escalate:"
FULL = "full"
NO_BUDGET = TierSpec()


def goes_by_rounds(planned: Planned) -> bool:
    """Whether gates or the tier have this run look at what it has before all is asked."""
    return by_rounds(planned.folder.spec, planned.selection)


@dataclass(frozen=True)
class Drop:
    """A gate's trial of a drop: the scores that it is about, and those that it compares with."""

    gate: GateCell
    trial: Trial
    scores: CellScores
    baseline: Baseline


class Decisions:
    """Agendas of the cells of a plan, made when the first look at a model is taken.

    A baseline that is a model of the plan is complete only once it was asked, so its turn is
    before those that are compared with it (`first`), and these begin anew at their turn (`begin`).
    `recording` is the name that the run records its result under: gates that compare with it have
    nothing to compare with when that is the first time, and are `unjudged`. Raises Faults for a
    baseline that is not there.
    """

    def __init__(self, scorer: Scorer, recording: str | None = None) -> None:
        self._scorer, self._planned = scorer, scorer.planned
        spec, selection = self._planned.folder.spec, self._planned.selection
        self._began = time.monotonic()
        self._baselines = Baselines(self._planned.folder, scorer.store)
        gates = gate_cells(spec, selection)
        yet = [gate for gate in gates if self._baselines.only_named_by(gate, recording)]
        why = f"`{recording}` is recorded for the first time"
        self.unjudged = list(dict.fromkeys(Unjudged(g.gate, g.task, why) for g in yet))
        self._gates = [gate for gate in gates if gate not in yet]
        self._trials = sum(len(conditions(gate.spec)) for gate in self._gates)
        self._baselines.check(self._gates)
        self._tiers = dict.fromkeys(range(len(selection.cells)), selection.tier or FULL)
        self._agendas: dict[int, Agenda] = {}
        self._scores: dict[int, CellScores | None] = {}
        self._races = Races(self._planned, self._scored, self._allowed)

    def first(self) -> set[str]:
        """Models that others are compared with."""
        models = self._planned.folder.spec.models
        return {g.spec.baseline for g in self._gates if g.spec.baseline in models}

    def begin(self, model: str) -> None:
        """Forget what was seen of a model before its turn."""
        for cell in self._cells(model):
            self._agendas.pop(cell, None)
            self._scores.pop(cell, None)

    def wanted(self, model: str) -> dict[int, IntArray]:
        """The cases of each cell of a model that come next; empty when the model has ended."""
        if self.spent():
            return {}
        found = {}
        for cell in self._cells(model):
            cases = self._wanted(cell)
            if len(cases):
                found[cell] = cases
        return found

    @property
    def races(self) -> bool:
        """Whether models race, and so take turns."""
        return bool(self._races)

    def look(self) -> None:
        """Look at every cell that was not looked at yet."""
        for cell in range(len(self._planned.selection.cells)):
            if cell not in self._agendas:
                self._look(cell)

    def unfinished(self) -> bool:
        """Whether a model whose turn has ended has something to answer, as others caught up."""
        return self._races.unfinished() and not self.spent()

    def _wanted(self, cell: int) -> IntArray:
        if cell not in self._agendas:
            self._look(cell)
        if cell not in self._agendas:
            # what may not be scored is asked all the same, for when it may
            ids = self._planned.cell(cell)["case_ids"]
            return _case_units(ids).cases(0, self._allowed(cell, len(ids)))
        return self._agendas[cell].wanted()

    def follow(self, cells: Mapping[int, IntArray]) -> None:
        """Look at what was answered of these cells."""
        for cell in cells:
            self._look(cell)

    def _scored(self, cell: int) -> CellScores | None:
        if cell not in self._scores:
            self._scores[cell] = self._scorer.cell(cell)
        return self._scores[cell]

    def _look(self, cell: int) -> None:
        self._scores.pop(cell, None)
        scores = self._scored(cell)
        if scores is None:
            return
        if cell not in self._agendas:
            self._agendas[cell] = self._agenda(cell, scores)
        self._agendas[cell].follow(scores.columns, scores.cell.answered())
        self._races.follow(cell)

    def _agenda(self, cell: int, scores: CellScores) -> Agenda:
        tier, budget = self._tier(cell), self._budget(cell)
        allowed = self._allowed(cell, len(scores.cell))
        trials: dict[tuple[str, str], Trial] = {}
        columns: dict[tuple[str, str], str] = {}
        baselines = {gate.gate: self._baseline(gate) for gate in self._of(cell)}
        for gate in self._of(cell):
            found = trials_of(
                gate,
                scores,
                baselines[gate.gate],
                gates=self._trials,
                budget=allowed,
                guides=self._guides(gate, baselines),
            )
            trials.update({(gate.gate, key): trial for key, trial in found.items()})
            columns.update({(gate.gate, key): gate.column for key in found})
        first = next(iter(scores.columns))
        filler = Trial(
            Narrow(budget.half_width or 0.0),
            _case_units(scores.cell.case_ids) if budget.half_width is None else units_of(scores),
            np.arange(len(scores.cell), dtype=np.int64),
            alpha=0.05,
            gates=1,
            budget=allowed,
        )
        timed = any(limit is not None for limit in (tier.seconds, tier.dollars, tier.half_width))
        return Agenda(
            trials,
            columns,
            (filler, first),
            self._races.entrants(cell),
            early=tier.stop == "decided" and not self._compared_with(cell),
            at_once=not timed,
        )

    def _guides(
        self, gate: GateCell, baselines: Mapping[str, Mapping[str, float] | None]
    ) -> list[Mapping[str, float]]:
        """What the other gates of a cell compare the same metric with, each once."""
        named = {gate.spec.baseline}
        found = []
        for other in self._of(gate.cell):
            known = baselines[other.gate]
            if other.column == gate.column and other.spec.baseline not in named and known:
                named.add(other.spec.baseline)
                found.append(known)
        return found

    def _compared_with(self, cell: int) -> bool:
        """Whether another model is compared with this cell, which is then asked whole."""
        model, task = self._planned.selection.cells[cell]
        return any((gate.spec.baseline, gate.task) == (model, task) for gate in self._gates)

    def _baseline(self, gate: GateCell) -> Mapping[str, float] | None:
        if gate.spec.baseline is None:
            return None
        for cell, names in enumerate(self._planned.selection.cells):
            if names == (gate.spec.baseline, gate.task):
                self._scored(cell)
        known = [scores for scores in self._scores.values() if scores is not None]
        return self._baselines.of(gate, known)

    def escalate(self) -> list[str]:
        """Give undecided gates the budget that they ask for; tells which, and to what."""
        told = []
        for gate in self._gates:
            then = gate.spec.on_inconclusive
            if not then.startswith(ESCALATE) or self._state(gate).state != "open":
                continue
            tier = then.removeprefix(ESCALATE)
            if self._tiers[gate.cell] != tier:
                told.append(f"{gate.gate} ({gate.model}) is not decided and goes on to `{tier}`")
                self._tiers[gate.cell] = tier
                self._agendas.pop(gate.cell, None)
                self._scores.pop(gate.cell, None)
        for race in self._races.undecided():
            then = race.spec.on_inconclusive
            tier = then.removeprefix(ESCALATE)
            if not then.startswith(ESCALATE) or all(self._tiers[c] == tier for c in race.cells):
                continue
            told.append(f"{race.gate} is not decided and goes on to `{tier}`")
            self._races.drop(race)
            for cell in race.cells:
                self._tiers[cell] = tier
                self._agendas.pop(cell, None)
                self._scores.pop(cell, None)
        return told

    def gates(self) -> list[GateEntry]:
        """The verdict of every gate, by the budgets that they have gone on to."""
        more = True
        while more:
            self.look()
            more = bool(self.escalate())
        found = [*(self._entry(gate) for gate in self._gates), *self._raced()]
        return sorted(found, key=lambda entry: (entry["gate"], entry["model"]))

    def _raced(self) -> list[GateEntry]:
        """The verdict of every race; of one that is open, whether its run ended too early."""
        entries = self._races.entries()
        for entry in entries:
            if entry["state"] == "inconclusive" and entry["why"] is None:
                models = [candidate["model"] for candidate in entry["candidates"]]
                cells = enumerate(self._planned.selection.cells)
                own = [c for c, (m, task) in cells if task == entry["task"] and m in models]
                if any(self._interrupted(cell) for cell in own):
                    entry["why"] = UNFINISHED
        return entries

    def add_rounds(self, entries: Sequence[GateEntry]) -> None:
        """Give the conditions of what `gates` returned the course of their looks."""
        own = {(gate.gate, gate.model): self._own(gate) for gate in self._gates}
        for entry in entries:
            trials = own.get((entry["gate"], entry["model"]), {})
            for condition in entry["conditions"]:
                trial = trials[condition["key"]]
                condition["rounds"] = _rounds(trial)
                condition["pass_at"], condition["fail_at"] = limits(trial)

    def drops(self) -> list[Drop]:
        """What compares with a baseline, as far as `gates` went."""
        found = []
        for gate in self._gates:
            trial, scores = self._own(gate).get("max_drop"), self._scores.get(gate.cell)
            baseline = self._baseline(gate)
            if trial is not None and scores is not None and baseline is not None:
                found.append(Drop(gate, trial, scores, baseline))
        return found

    def recorded(self) -> list[tuple[str, ResultEntry]]:
        """Results that gates compare with and that are no models of the spec, by their names."""
        return self._baselines.results(self._gates)

    def ended(self) -> dict[tuple[str, str], Literal["decided", "budget"]]:
        """Why cells were not asked whole, of those of which nothing more is wanted."""
        found: dict[tuple[str, str], Literal["decided", "budget"]] = {}
        for cell, names in enumerate(self._planned.selection.cells):
            agenda = self._agendas.get(cell)
            if agenda is not None and not len(agenda.wanted()):
                found[names] = "decided" if agenda.decided else "budget"
        return found

    def chosen(self) -> set[tuple[str, str]]:
        """Cells whose results may have chosen how many of their cases are answered.

        Not those that their tier's cases alone ended.
        """
        ended, found = self.ended(), set()
        for cell, names in enumerate(self._planned.selection.cells):
            agenda, scores = self._agendas.get(cell), self._scores.get(cell)
            if agenda is None or scores is None or not agenda.judged:
                continue
            planned = self._tiers[cell] == (self._planned.selection.tier or FULL)
            within = scores.cell.answered().sum() <= self._allowed(cell, len(scores.cell))
            if not (planned and within and ended.get(names) == "budget"):
                found.add(names)
        return found

    def _entry(self, gate: GateCell) -> GateEntry:
        state = self._state(gate)
        then = gate.spec.on_inconclusive
        entries = [self._condition(gate, key, trial) for key, trial in self._own(gate).items()]
        why = None
        if self._scores.get(gate.cell) is None:
            why = NOT_ALLOWED
        elif len(entries) < len(conditions(gate.spec)):
            beside = beyond(self._baseline(gate) or {})
            fault = "has scores outside 0 to 1" if beside else "has answered none of its cases"
            why = f"`{gate.spec.baseline}` {fault}"
        elif state.state == "open" and self._interrupted(gate.cell):
            why = UNFINISHED
        found: GateEntry = {
            "gate": gate.gate,
            "model": gate.model,
            "task": gate.task,
            "metric": gate.column,
            "baseline": gate.spec.baseline,
            "state": "inconclusive" if state.state == "open" else state.state,
            "basis": state.basis,
            "alpha": gate.spec.alpha,
            "error": state.error,
            "needed": then != "warn",
            "why": why,
            "conditions": entries,
        }
        if (part := self._baselines.recorded(gate)) is not None:
            found["recorded"] = part
        return found

    def _interrupted(self, cell: int) -> bool:
        """Whether a cell is answered in part and no budget can have ended it there."""
        tier, agenda, scores = self._tier(cell), self._agendas.get(cell), self._scores.get(cell)
        if agenda is None or scores is None or not scores.cell.answered().any():
            return False
        return tier.seconds is None and tier.dollars is None and len(agenda.wanted()) > 0

    def _condition(self, gate: GateCell, key: str, trial: Trial) -> ConditionEntry:
        foreseen = expected(key, gate.spec, len(trial.cases), self._baselines.value(gate))
        found, verdict = trial.interval(), trial.verdict
        condition = trial.condition
        bound = condition.half_width if isinstance(condition, Narrow) else condition.bound
        return {
            "key": key,
            "scope": trial.scope,
            "bound": 2 * bound - 1 if trial.scope == "difference" else bound,
            "state": "inconclusive" if verdict.state == "open" else verdict.state,
            "basis": verdict.basis,
            "value": None if found is None else found.value,
            "low": None if found is None else found.low,
            "high": None if found is None else found.high,
            "seen": trial.seen,
            "total": len(trial.cases),
            "looks": len(trial.looks),
            "expected": foreseen.cases,
        }

    def _state(self, gate: GateCell) -> Verdict:
        trials = self._own(gate)
        if len(trials) < len(conditions(gate.spec)):
            known = [trial.verdict for trial in trials.values()]
            failed = [verdict for verdict in known if verdict.state == "fail"]
            return failed[0] if failed else Verdict("open", "none", 1.0)
        return together([trial.verdict for trial in trials.values()])

    def _own(self, gate: GateCell) -> dict[str, Trial]:
        agenda = self._agendas.get(gate.cell)
        trials: dict[tuple[str, str], Trial] = {} if agenda is None else agenda.trials
        return {key: trial for (name, key), trial in trials.items() if name == gate.gate}

    def _of(self, cell: int) -> list[GateCell]:
        return [gate for gate in self._gates if gate.cell == cell]

    def _cells(self, model: str) -> list[int]:
        cells = self._planned.selection.cells
        return [index for index, (name, _) in enumerate(cells) if name == model]

    def _tier(self, cell: int) -> TierSpec:
        name = self._tiers[cell]
        return self._planned.folder.spec.tiers.get(name, NO_BUDGET)

    def _allowed(self, cell: int, count: int) -> int:
        """How many of a cell's cases its budget allows."""
        return self._budget(cell).cases_of(count)

    def _budget(self, cell: int) -> Budget:
        tier = self._tier(cell)
        return Budget(tier.cases, tier.fraction, tier.seconds, tier.dollars, tier.half_width)

    def spent(self) -> bool:
        """Whether the run has used up its time or money; looked at between rounds."""
        seconds = time.monotonic() - self._began
        usd = self._planned.folder.spec.cost.usd_per_hour
        dollars = None if usd is None else seconds / 3600 * usd
        budgets = [self._budget(cell) for cell in self._tiers]
        return bool(budgets) and all(budget.spent(seconds, dollars) for budget in budgets)


def _rounds(trial: Trial) -> list[RoundEntry]:
    return [
        {
            "seen": look.seen,
            "value": look.value,
            "low": look.low,
            "high": look.high,
            "log_for": finite(look.log_for),
            "log_against": finite(look.log_against),
        }
        for look in course(trial)
    ]


def _case_units(ids: Any) -> Units:
    """Cases in the order of tiers, whatever they weigh."""
    return Units.of(list(ids))
