"""Failures of hooks as diagnostics."""

from __future__ import annotations

from evalc.diagnostics import Diagnostic, Faults, Place
from evalc.errors import ExitCode
from evalc.hooks.limits import Failure


def failed_on(name: str, case: str, failure: Failure) -> Diagnostic:
    """A hook that gave nothing for a case."""
    return Diagnostic(
        "hook-failed",
        f"hook `{name}` failed on case `{case}`: {failure.why}",
        notes=failure.notes,
        hint=failure.hint or "correct the hook; no score is reported until it passes on every case",
    )


def not_loaded(name: str, failure: Failure) -> Faults:
    """A hook whose module cannot be imported, or has no such function."""
    why = failure.why.removeprefix("LookupError: ")
    hint = failure.hint or 'name it "pkg.mod:function", importable from the folder of the specs'
    message = f"hook `{name}` cannot be loaded: {why}"
    found = Diagnostic("unknown-hook", message, notes=failure.notes, hint=hint)
    return Faults([found], exit_code=ExitCode.CODE_FAILED)


def not_prepared(name: str, failure: Failure, place: Place | None) -> Faults:
    """A `prepare` that failed."""
    hint = failure.hint or "make it take a list of rows and return rows"
    message = f"`{name}` failed: {failure.why}"
    found = Diagnostic("prepare-failed", message, place, notes=failure.notes, hint=hint)
    return Faults([found], exit_code=ExitCode.CODE_FAILED)
