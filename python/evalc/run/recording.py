"""Results recorded under a name, for gates to compare with."""

from __future__ import annotations

from collections.abc import Iterator

from evalc.decide.gates import gate_cells
from evalc.diagnostics import Diagnostic, Faults
from evalc.diagnostics.amounts import many
from evalc.plan import Planned
from evalc.report import Report, to_json, words
from evalc.report.shape import whole
from evalc.run.listener import Listener
from evalc.store import Store
from evalc.store.recorded import NAME, is_recorded, record_result


def require_name(name: str) -> None:
    """Raise Faults unless a result may be called that."""
    if not NAME.fullmatch(name):
        message = f"a result cannot be recorded as `{name}`"
        hint = "use letters, digits, `.`, `_` and `-`, such as `main`"
        raise Faults([Diagnostic("bad-name", message, hint=hint)])


def tell_shadowed(
    planned: Planned, store: Store, listener: Listener, recording: str | None = None
) -> None:
    """Warn of recorded results in whose place gates compare with models of their names.

    `recording` is what the run records its result under. That is no fault: where another spec has
    no such model, its gates compare with the result.
    """
    if found := list(_shadowed(planned, store, recording)):
        listener.warn(found, annotate=True)


def _shadowed(planned: Planned, store: Store, recording: str | None) -> Iterator[Diagnostic]:
    """One for each name, at the first gate that has it for its baseline, else at the model."""
    folder = planned.folder
    models = folder.spec.models
    gates: dict[str, str] = {}
    for cell in gate_cells(folder.spec, planned.selection):
        if cell.spec.baseline in models:
            gates.setdefault(cell.spec.baseline, cell.gate)
    recorded = [name for name in gates if name != recording and is_recorded(store, name)]
    for name in [*recorded, *([recording] if recording in models else [])]:
        loc = ("gates", gates[name], "baseline") if name in gates else ("models", name)
        message = f"gates compare with the model `{name}`, not with what is recorded as `{name}`"
        hint = "record the result under another name, or rename the model"
        yield Diagnostic("shadowed-result", message, folder.place(loc), "warning", hint=hint)


def keep_result(report: Report, store: Store, name: str, listener: Listener) -> None:
    """Record a report that lists its cases, and say of which results it has a part."""
    store.require_writable()
    record_result(store, name, to_json(report).encode())
    scored = sum(result["scored"] for result in report["results"])
    listener.note(f"recorded as `{name}`: {many(scored, 'scored case')}")
    parts = [
        f"{result['task']} ({result['model']}) on {result['scored']:,} of "
        f"{many(whole(result), 'case')}"
        for result in report["results"]
        if result["scored"] < whole(result)
    ]
    if parts:
        listener.note(
            f"warning: gates compare with `{name}` on a part of its cases alone, as it has "
            f"{words.first(parts)}; a full run records all"
        )
