"""A plan as Python sees it: the Rust handle, its models, its summary with costs."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from evalc import _core
from evalc.diagnostics import Diagnostic, Faults, Place
from evalc.plan.ir import Ir, ResolvedModel, resolve, resolve_data
from evalc.plan.pricing import priced
from evalc.spec import Folder, Selection
from evalc.store import Store


@dataclass(frozen=True)
class Planned:
    """What a selection asks, less what the store already has.

    `keys` holds every distinct request key, sorted, 32 bytes each; columns of `cell(i)` index it.
    `hits` has one byte per key: 1 where the store had a record when the plan was made.
    """

    folder: Folder
    selection: Selection
    ir: Ir
    handle: _core.Plan
    keys: bytes
    hits: bytes

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Counts per cell and in total, as the planner counted them after subtraction."""
        counts: dict[str, Any] = json.loads(self.handle.summary())
        return counts

    @cached_property
    def settings(self) -> list[dict[str, Any]]:
        """Generation settings that packs refer to."""
        settings: list[dict[str, Any]] = json.loads(self.handle.settings())
        return settings

    def summary_now(self, store: Store) -> dict[str, Any]:
        """The summary with what has been answered since the plan was made taken off."""
        self.handle.subtract(store.hits(self.keys))
        counts: dict[str, Any] = json.loads(self.handle.summary())
        return counts

    @property
    def models(self) -> tuple[ResolvedModel, ...]:
        """Models in the order of the Ir."""
        return self.ir.models

    @property
    def to_run(self) -> int:
        """Distinct requests that remain."""
        return int(self.summary["total"]["to_run"])

    def cell(self, index: int) -> dict[str, Any]:
        """Columns of the cell `selection.cells[index]`; see docs/architecture.md."""
        return self.handle.cell(index)

    def case(self, cell: int, case: int) -> dict[str, Any]:
        """Row, prompt, choices and target of one case."""
        fields: dict[str, Any] = json.loads(self.handle.case(cell, case))
        return fields

    def priced(self, store: Store) -> dict[str, Any]:
        """The summary with an estimate per cell and in total, as `plan --json` prints it."""
        return priced(self.folder, self.selection, self.ir, self.summary, store)


def plan(
    folder: Folder, selection: Selection, cache: Path, store: Store, rehash: bool = False
) -> Planned:
    """Resolve, expand, key, deduplicate, and subtract what the store has.

    `rehash` reads every file again whose digest the store remembers.

    Raises Faults with all that is wrong; nothing is written but what can be made again.
    """
    return plan_resolved(
        folder, selection, resolve(folder, selection, cache, store, rehash), cache, store
    )


def plan_resolved(
    folder: Folder, selection: Selection, ir: Ir, cache: Path, store: Store
) -> Planned:
    """The rest of `plan`, from an Ir on."""
    handle = _built(folder, ir.content, cache / "memo")
    keys = handle.keys()
    hits = store.hits(keys)
    handle.subtract(hits)
    return Planned(folder, selection, ir, handle, keys, hits)


def check_data(folder: Folder, cache: Path, skipped: Collection[str] = ()) -> list[Diagnostic]:
    """Read every dataset and write every case of every task, but for tasks with datasets in
    `skipped`; what is to be warned of.

    Raises Faults.
    """
    content = resolve_data(folder, cache, skipped)
    try:
        warnings = _core.Plan.check(content)
    except _core.PlanFaults as faults:
        raise Faults(_diagnostics(folder, str(faults))) from None
    return [replace(found, severity="warning") for found in _diagnostics(folder, warnings)]


def _built(folder: Folder, content: bytes, memo: Path) -> _core.Plan:
    try:
        return _core.Plan.build(content, str(memo))
    except _core.PlanFaults as faults:
        raise Faults(_diagnostics(folder, str(faults))) from None


def _diagnostics(folder: Folder, faults: str) -> list[Diagnostic]:
    """The planner's findings, placed in spec and data files."""
    return [_diagnostic(folder, fault) for fault in json.loads(faults)]


def _diagnostic(folder: Folder, fault: dict[str, Any]) -> Diagnostic:
    in_spec = _in_spec(folder, fault["loc"], fault["span"])
    in_data = Place(Path(fault["file"]), line=fault["line"]) if fault["file"] else None
    hint = fault["hint"]
    if fault["suggestion"]:
        hint = f"did you mean `{fault['suggestion']}`?"
    related: tuple[tuple[Place, str], ...] = ()
    if in_spec and in_data:
        related = ((in_data, "in this row"),)
    return Diagnostic(
        code=fault["code"],
        message=fault["message"],
        place=in_spec or in_data,
        notes=tuple(fault["notes"]),
        hint=hint,
        related=related,
    )


def _in_spec(folder: Folder, loc: Sequence[str | int], span: Sequence[int] | None) -> Place | None:
    if not loc:
        return None
    return folder.place(tuple(loc), (span[0], span[1]) if span else None)
