"""What the store's records say of a plan: scores, verdicts, and the reports made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evalc.decide.unjudged import Unjudged, unjudged
from evalc.plan import Planned
from evalc.report import Report, build_report
from evalc.report.html import report_page
from evalc.report.shape import GateEntry
from evalc.run.changes import with_changes
from evalc.run.decisions import Decisions, goes_by_rounds
from evalc.run.discoveries import moves
from evalc.run.scorer import Scorer
from evalc.score import CellScores
from evalc.store import Store
from evalc.store.runs import recorded_runs


@dataclass(frozen=True)
class Results:
    """Scores of a plan's cells, and the decisions that rest on them, if it has any."""

    planned: Planned
    store: Store
    scores: list[CellScores]
    unscored: list[tuple[str, str, str]]
    decisions: Decisions | None

    @classmethod
    def of(cls, scorer: Scorer, recording: str | None = None) -> Results:
        """Score the cells and take every look; `recording` as for `Decisions`."""
        scores, unscored = scorer.all()
        decisions = Decisions(scorer, recording) if goes_by_rounds(scorer.planned) else None
        return cls(scorer.planned, scorer.store, scores, unscored, decisions)

    def report(self, cases: bool) -> Report:
        """The report, with `cases` every case listed."""
        decisions, gates, told = self.decisions, None, []
        if decisions is not None:
            gates = with_changes(decisions.gates(), self.planned, self.store, self.scores)
            told = moves(decisions.drops())
        return build_report(
            self.scores,
            unscored=self.unscored,
            gates=gates,
            unjudged=self._unjudged(),
            moves=told,
            ended={} if decisions is None else decisions.ended(),
            chosen=set() if decisions is None else decisions.chosen(),
            tier=self.planned.selection.tier,
            plan=self.planned.summary_now(self.store),
            runs=_runs(self.planned, self.store),
            cases=cases,
        )

    def _unjudged(self) -> list[Unjudged]:
        found = unjudged(self.planned.folder.spec, self.planned.selection)
        return sorted([*found, *(self.decisions.unjudged if self.decisions else ())])

    def page(self, report: Report) -> str:
        """An HTML page of a report that lists its cases, with their texts and every look."""
        others = [] if self.decisions is None else self.decisions.recorded()
        return report_page(self._with_rounds(report), cells=self.scores, others=others)

    def _with_rounds(self, report: Report) -> Report:
        """The report with the course of every gate's looks, which costs an interval for each."""
        if self.decisions is None:
            return report
        gates: list[GateEntry] = [
            {**gate, "conditions": [{**entry} for entry in gate["conditions"]]}
            for gate in report["gates"]
        ]
        self.decisions.add_rounds(gates)
        return {**report, "gates": gates}


def _runs(planned: Planned, store: Store) -> list[dict[str, Any]]:
    """Manifests of the recorded runs that ran exactly these models and tasks, the last one only."""
    cells = [list(cell) for cell in planned.selection.cells]
    ids = {model.identity.model_id for model in planned.models}
    matching = []
    for run in recorded_runs(store):
        models = {model["model_id"] for model in run.manifest.get("models", ())}
        if run.manifest.get("cells") == cells and models == ids:
            matching.append(dict(run.manifest))
    return matching[-1:]
