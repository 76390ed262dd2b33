"""The diagnostics of this room, in one wording."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from evalc.diagnostics import Diagnostic, Faults

LISTED = 5


def fault(code: str, message: str, hint: str | None = None, notes: Sequence[str] = ()) -> Faults:
    """One diagnostic as an exception."""
    return Faults([Diagnostic(code, message, hint=hint, notes=tuple(notes))])


def faults(diagnostics: Iterable[Diagnostic]) -> Faults:
    """The first `LISTED` diagnostics; the last of them says how many more there are.

    A hint is given once, with the last that it is for.
    """
    found = list(diagnostics)
    shown = found[:LISTED]
    for at, one in enumerate(shown):
        if any(other.hint == one.hint for other in shown[at + 1 :]):
            shown[at] = replace(one, hint=None)
    if len(found) > LISTED:
        last = shown[-1]
        note = f"and {len(found) - LISTED} more like it"
        shown[-1] = Diagnostic(
            last.code, last.message, last.place, notes=(*last.notes, note), hint=last.hint
        )
    return Faults(shown)
