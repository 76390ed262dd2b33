"""Results recorded under a name, for gates to compare with."""

from __future__ import annotations

from evalc.cli import output
from evalc.diagnostics import Diagnostic, Faults
from evalc.report import Report, to_json
from evalc.store import Store
from evalc.store.recorded import NAME, record_result


def require_name(name: str) -> None:
    """Raise Faults unless a result may be called that."""
    if not NAME.fullmatch(name):
        message = f"a result cannot be recorded as `{name}`"
        hint = "use letters, digits, `.`, `_` and `-`, such as `main`"
        raise Faults([Diagnostic("bad-name", message, hint=hint)])


def keep_result(report: Report, store: Store, name: str) -> None:
    """Record a report that lists its cases."""
    store.require_writable()
    record_result(store, name, to_json(report).encode())
    scored = sum(result["scored"] for result in report["results"])
    output.talk(f"recorded as `{name}`: {scored:,} scored cases")
