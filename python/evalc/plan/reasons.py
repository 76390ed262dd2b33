"""Why the remaining cases of a plan have no answer: never asked, or which component changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evalc.plan.provenance import Provenance, short
from evalc.plan.why import PENDING, Cases, CellCases, Head, cases, head, heads
from evalc.store import Store

NEVER = "never asked"
GONE = "record gone"
PLANNER = "planner"
"""Reason when a case's requests differ and no component does: evalc itself writes them anew."""
NEW_CASE = "new case"
UNANSWERED = "left by an unfinished run"
REMOVED = "removed from the cache, or damaged"
UNLOGGED = 254
"""Stands for the era of a case that is not in the log."""


@dataclass(frozen=True, slots=True)
class Change:
    """A component that differs, by digest or plain value; `key` is the template's key.

    Of `row`, which stands for many rows, the values are digests of the whole data file.
    """

    component: str
    key: str | None
    old: str
    new: str

    @property
    def name(self) -> str:
        """The component as in `evalc.plan.provenance`."""
        return f"{self.component}.{self.key}" if self.key else self.component

    def as_json(self, whole: bool = True) -> dict[str, Any]:
        """Digests whole or cut to 12 digits; null where the component was or is not in use."""
        old, new = ((v if whole else short(v)) or None for v in (self.old, self.new))
        return {"component": self.component, "key": self.key, "old": old, "new": new}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why some cases remain. `reason` names the changed components, joined by " + "."""

    reason: str
    detail: str | None = None
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class CellReasons:
    """Reasons of a cell, and per case the index of its reason, -1 where it is answered.

    `compared` is the logged cell, which has another task's name when the task was renamed.
    """

    reasons: tuple[Reason, ...]
    of_case: npt.NDArray[np.int64]
    compared: Head | None

    def counts(self) -> list[tuple[Reason, int]]:
        """Reasons with their numbers of cases, most cases first."""
        counts = np.bincount(self.of_case[self.of_case >= 0], minlength=len(self.reasons))
        pairs = list(zip(self.reasons, counts.tolist(), strict=True))
        return sorted(pairs, key=lambda pair: (-pair[1], pair[0].reason))

    def as_json(self) -> list[dict[str, Any]]:
        """For `plan --json`; `old` and `new` are those of the first change."""
        return [_as_json(reason, count) for reason, count in self.counts()]


def _as_json(reason: Reason, count: int) -> dict[str, Any]:
    changes = [change.as_json(whole=False) for change in reason.changes]
    first = changes[0] if changes else {"old": None, "new": None}
    fields = {"reason": reason.reason, "detail": reason.detail, "cases": count}
    return {**fields, "old": first["old"], "new": first["new"], "changes": changes}


class Reasons:
    """Reasons of the cells of a plan, by comparison with the why-log."""

    def __init__(self, provenance: Provenance, store: Store) -> None:
        self.provenance = provenance
        self._store = store
        self._heads: list[Head] | None = None

    def all(self) -> list[list[dict[str, Any]]]:
        """Per cell of the plan, `CellReasons.as_json`; a cell with nothing left costs nothing."""
        planned = self.provenance.planned
        nothing = planned.to_run == 0
        return [
            # a request that another cell asks is counted there, so it may remain here unseen
            []
            if nothing or not (counts["to_run"] or counts["deduped"])
            else self.of(cell).as_json()
            for cell, counts in enumerate(planned.summary["cells"])
        ]

    def of(self, cell: int) -> CellReasons:
        """Reasons of one cell."""
        planned = self.provenance.planned
        columns = CellCases.of(planned, cell, planned.hits)
        left = np.flatnonzero(~columns.answered)
        of_case = np.full(len(columns.answered), -1, dtype=np.int64)
        compared = self._compared(cell) if len(left) else None
        if not len(left):
            return CellReasons((), of_case, None)
        if compared is None:
            of_case[left] = 0
            return CellReasons((Reason(NEVER, self._unknown(cell)),), of_case, None)
        logged = cases(self._store, compared)
        codes = self._codes(cell, columns, left, compared, logged)
        found: dict[Reason, int] = {}
        values, inverse = np.unique(codes, return_inverse=True)
        numbers = [
            found.setdefault(self._reason(cell, compared, int(code)), len(found)) for code in values
        ]
        of_case[left] = np.array(numbers)[inverse]
        return CellReasons(tuple(found), of_case, compared)

    def _compared(self, cell: int) -> Head | None:
        """The log of this cell, else of a task of the same model with the same definition."""
        model, task = self.provenance.names(cell)
        own = head(self._store, model, task)
        if own is not None:
            return own
        definition = self.provenance.definition(cell)
        tasks = self.provenance.planned.folder.spec.tasks
        same = [h for h in self._known() if h.model == model and h.definition == definition]
        return min(same, key=lambda h: (h.task in tasks, h.task), default=None)

    def _known(self) -> list[Head]:
        if self._heads is None:
            self._heads = heads(self._store)
        return self._heads

    def _unknown(self, cell: int) -> str:
        """What is new about a cell that the log does not know."""
        model, task = self.provenance.names(cell)
        new_model = self._known() and all(h.model != model for h in self._known())
        return "new model" if new_model and self._has_task(task) else "new task"

    def _has_task(self, task: str) -> bool:
        return any(h.task == task for h in self._known())

    def _codes(
        self,
        cell: int,
        columns: CellCases,
        left: npt.NDArray[np.intp],
        compared: Head,
        logged: Cases,
    ) -> npt.NDArray[np.int64]:
        """Per remaining case: era * 4, plus 2 if its keys are as logged, plus 1 for a new row."""
        if not len(logged):
            return np.full(len(left), UNLOGGED * 4, dtype=np.int64)
        names = columns.case[left]
        at = np.minimum(np.searchsorted(logged["case"], names), len(logged) - 1)
        known = logged["case"][at] == names
        era = np.where(known, logged["era"][at], UNLOGGED).astype(np.int64)
        same = known & (logged["keys"][at] == columns.keys[left])
        edited = np.zeros(len(left), dtype=np.bool_)
        # without an `id` a row is known by its content, and another content is another case
        named = self.provenance.dataset(cell)["id"] is not None
        if named and any(e.data != self.provenance.data(cell) for e in compared.eras):
            edited = (era < UNLOGGED) & ~same & (logged["row"][at] != columns.row[left])
        codes: npt.NDArray[np.int64] = era * 4 + same * 2 + edited
        return codes

    def _reason(self, cell: int, compared: Head, code: int) -> Reason:
        era, same, edited = code // 4, bool(code & 2), bool(code & 1)
        if era == UNLOGGED:
            return Reason(NEVER, NEW_CASE)
        if era == PENDING:
            return Reason(NEVER, UNANSWERED)
        if same:
            return Reason(GONE, REMOVED)
        before = compared.eras[era]
        changes = _changes(before.components, self.provenance.components(cell))
        if edited:
            changes = [Change("row", None, before.data, self.provenance.data(cell)), *changes]
        names = dict.fromkeys(change.component for change in changes)
        return Reason(" + ".join(names) or PLANNER, None, tuple(changes))


def _changes(before: dict[str, str], now: dict[str, str]) -> list[Change]:
    """Components that differ, in the order in which they act."""
    found = []
    for name in [*now, *(name for name in before if name not in now)]:
        old, new = before.get(name, ""), now.get(name, "")
        if old != new:
            component, _, key = name.partition(".")
            found.append(Change(component, key or None, old, new))
    return found
