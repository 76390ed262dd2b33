"""What `evalc explain` says, as data: of a task, or of one case, on every selected model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evalc.diagnostics.location import located
from evalc.plan.provenance import Provenance
from evalc.plan.reasons import CellReasons, Reason, Reasons
from evalc.store import Store
from evalc.store.answers import read_answers
from evalc.store.records import decode_answer, decode_likelihoods

SCHEMA = "evalc.explain/1"
EXAMPLES = 5
KEY_BYTES = 32


def task_explanation(reasons: Reasons, what: str, root: Path) -> dict[str, Any]:
    """Every cell of the plan: why its cases remain, and what its requests are made of.

    Files are given relative to `root` where they are inside it.
    """
    provenance = reasons.provenance
    cells = [_cell(reasons, cell, root) for cell in range(len(provenance.planned.selection.cells))]
    return {"schema": SCHEMA, "kind": "task", "what": what, "cells": cells}


def _cell(reasons: Reasons, cell: int, root: Path) -> dict[str, Any]:
    provenance = reasons.provenance
    model, task = provenance.names(cell)
    found = reasons.of(cell)
    left = int((found.of_case >= 0).sum())
    components = {**provenance.components(cell), "row": provenance.data(cell)}
    return {
        "model": model,
        "task": task,
        "cases": len(found.of_case),
        "cached": len(found.of_case) - left,
        "remaining": left,
        "formerly": _formerly(found, task),
        "reasons": [
            {"cases": count, **_reason(provenance, cell, reason, root)}
            | {"examples": _examples(provenance, cell, found, reason)}
            for reason, count in found.counts()
        ],
        "components": [
            {"component": name, "value": value, "where": _where(provenance, cell, name, root)}
            for name, value in components.items()
            if value
        ],
    }


def _formerly(found: CellReasons, task: str) -> str | None:
    """The task's name when it was last run, if it was another one."""
    return found.compared.task if found.compared and found.compared.task != task else None


def _examples(provenance: Provenance, cell: int, found: CellReasons, reason: Reason) -> list[str]:
    cases = np.flatnonzero(found.of_case == found.reasons.index(reason))[:EXAMPLES]
    ids: Sequence[str] = provenance.planned.cell(cell)["case_ids"]
    return [ids[case] for case in cases.tolist()]


def _reason(provenance: Provenance, cell: int, reason: Reason, root: Path) -> dict[str, Any]:
    changes = [
        {**change.as_json(), "where": _where(provenance, cell, change.name, root)}
        for change in reason.changes
    ]
    return {"reason": reason.reason, "detail": reason.detail, "changes": changes}


def _where(provenance: Provenance, cell: int, component: str, root: Path) -> dict[str, Any] | None:
    """The key of the spec that a component comes from, and where it is written."""
    loc = provenance.loc(cell, component)
    place = provenance.planned.folder.place(loc)
    if place is None:
        return None
    at = located(place)
    named = {"key": ".".join(str(step) for step in loc), "file": _named(at.path, root)}
    return {**named, "line": at.line, "column": at.column}


def _named(path: Path, root: Path) -> str:
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return path.as_posix()


def find_case(provenance: Provenance, name: str) -> list[tuple[int, int]]:
    """Where a case id occurs, as (cell, case)."""
    found = []
    for cell in range(len(provenance.planned.selection.cells)):
        ids: list[str] = provenance.planned.cell(cell)["case_ids"]
        if name in ids:
            found.append((cell, ids.index(name)))
    return found


def case_explanation(
    reasons: Reasons, store: Store, name: str, found: Sequence[tuple[int, int]], root: Path
) -> dict[str, Any]:
    """A case in every cell that has it: why it would run, what it asks, what is stored."""
    cells = [_case(reasons, store, cell, case, root) for cell, case in found]
    return {"schema": SCHEMA, "kind": "case", "what": name, "cells": cells}


def _case(reasons: Reasons, store: Store, cell: int, case: int, root: Path) -> dict[str, Any]:
    provenance = reasons.provenance
    model, task = provenance.names(cell)
    told = reasons.of(cell)
    fields = provenance.planned.case(cell, case)
    number = int(told.of_case[case])
    reason = None if number < 0 else _reason(provenance, cell, told.reasons[number], root)
    return {
        "model": model,
        "task": task,
        "cached": reason is None,
        "reason": reason,
        "formerly": _formerly(told, task),
        "file": _named(Path(provenance.dataset(cell)["origin"]), root),
        "line": fields["line"],
        "row": fields["row"],
        "prompt": fields["prompt"],
        "choices": fields["choices"],
        "target": fields["target"],
        "requests": _requests(provenance, store, cell, case, fields),
    }


def _requests(
    provenance: Provenance, store: Store, cell: int, case: int, fields: Mapping[str, Any]
) -> list[dict[str, Any]]:
    planned = provenance.planned
    columns = planned.cell(cell)
    offsets = np.frombuffer(columns["request_offsets"], dtype="<u4")
    own = slice(int(offsets[case]), int(offsets[case + 1]))
    numbers = {
        name: np.frombuffer(columns[name], dtype="<u4")[own].tolist()
        for name in ("requests", "context_tokens", "cont_tokens")
    }
    keys = [planned.keys[at * KEY_BYTES : (at + 1) * KEY_BYTES] for at in numbers["requests"]]
    kind = provenance.task(cell)["kind"]
    choices = fields["choices"] if kind == "multiple_choice" else [None] * len(keys)
    return [
        {
            "key": key.hex(),
            "cached": payload is not None,
            "choice": choice,
            "context_tokens": context,
            "continuation_tokens": continuation,
            "answer": None if payload is None else _answer(kind, payload),
        }
        for key, payload, choice, context, continuation in zip(
            keys,
            read_answers(store, keys, kind == "generate"),
            choices,
            numbers["context_tokens"],
            numbers["cont_tokens"],
            strict=True,
        )
    ]


def _answer(kind: str, payload: bytes) -> dict[str, Any]:
    if kind == "generate":
        answer = decode_answer(payload)
        tokens = len(answer.tokens)
        return {"text": answer.text, "tokens": tokens, "finish": answer.finish, "stop": answer.stop}
    sums, greedy = decode_likelihoods([payload])
    return {"loglikelihood": float(sums[0]), "greedy": bool(greedy[0])}
