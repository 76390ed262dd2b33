"""Scoring the cells of a plan from what the store holds."""

from __future__ import annotations

from pathlib import Path

from evalc.diagnostics import Faults
from evalc.diagnostics.amounts import many
from evalc.hooks.crew import take_told
from evalc.plan import Planned
from evalc.plan.hooks import limits_of
from evalc.run.listener import SILENT, Listener
from evalc.score import CellScores, score_cell
from evalc.score.cache import ScoreCache
from evalc.score.gather import gather, scoring_of
from evalc.score.sandbox import Sandbox
from evalc.store import Store

NOT_ALLOWED = "it needs --allow-code-execution"


class Scorer:
    """Scores cells. What is kept in the store is taken from there, and what is new is put there."""

    def __init__(
        self,
        planned: Planned,
        store: Store,
        allow_code_execution: bool,
        sandbox: Sandbox | None = None,
        listener: Listener = SILENT,
    ) -> None:
        self.planned, self.store = planned, store
        self._allow, self._sandbox = allow_code_execution, sandbox
        self._listener = listener
        self._cache, self._damaged = ScoreCache(store), store.damaged

    def cell(self, index: int) -> CellScores | None:
        """Scores of a cell by now; None where its programs may not run."""
        planned = self.planned
        task = planned.selection.cells[index][1]
        try:
            return score_cell(
                gather(planned, index, self.store),
                scoring_of(planned.folder.spec.tasks[task]),
                root=planned.folder.base(("tasks", task, "metrics")),
                allow_code_execution=self._allow,
                sandbox=self._sandbox,
                cache=self._cache,
                extract_roots=_extract_roots(planned, task),
                limits=limits_of(planned.folder.spec),
            )
        except Faults as faults:
            if [found.code for found in faults.diagnostics] != ["code-execution-off"]:
                raise
            return None

    def warn_of_programs(self) -> None:
        """Say before anything is asked which scores there will not be."""
        names = dict.fromkeys(task for _, task in self.planned.selection.cells)
        tasks = self.planned.folder.spec.tasks
        judged = [name for name in names if tasks[name].code is not None]
        if judged and not self._allow:
            more = f" and {many(len(judged) - 3, 'more task')}" if len(judged) > 3 else ""
            named = ", ".join(f"`{name}`" for name in judged[:3])
            self._listener.note(
                f"note: {named}{more} will have no scores of programs: {NOT_ALLOWED}"
            )

    def all(self) -> tuple[list[CellScores], list[tuple[str, str, str]]]:
        """Scores of every cell, and (model, task, why) of those whose programs may not run."""
        scores, unscored = [], []
        for index, (model, task) in enumerate(self.planned.selection.cells):
            found = self.cell(index)
            if found is None:
                unscored.append((model, task, NOT_ALLOWED))
            else:
                scores.append(found)
        self._tell()
        return scores, unscored

    def _tell(self) -> None:
        for line in take_told():
            self._listener.note(f"note: {line}")
        if damaged := self.store.damaged - self._damaged:
            self._listener.note(
                f"warning: {many(damaged, 'damaged value')} found in the cache while scoring, and "
                "put into quarantine; scores among them were computed again"
            )
        if self._cache.unwritten:
            why = self._cache.unwritten.diagnostics[0].message
            self._listener.note(f"warning: scores are not kept for the next report: {why}")


def _extract_roots(planned: Planned, task: str) -> dict[str, Path]:
    """Where the hooks of a task's extracts are imported from, by the extracts' names."""
    names = planned.folder.spec.tasks[task].extractions
    locs = {name: ("tasks", task, "extract", *([name] if name else []), "python") for name in names}
    return {name: planned.folder.base(loc) for name, loc in locs.items()}
