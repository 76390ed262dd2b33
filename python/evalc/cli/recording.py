"""Results recorded under a name, for gates to compare with."""

from __future__ import annotations

from evalc.cli import output
from evalc.cli.reporting import make_report
from evalc.diagnostics import Diagnostic, Faults
from evalc.plan import Planned
from evalc.report import to_json
from evalc.store import Store
from evalc.store.recorded import NAME, record_result


def require_name(name: str) -> None:
    """Raise Faults unless a result may be called that."""
    if not NAME.fullmatch(name):
        message = f"a result cannot be recorded as `{name}`"
        hint = "use letters, digits, `.`, `_` and `-`, such as `main`"
        raise Faults([Diagnostic("bad-name", message, hint=hint)])


def keep_result(planned: Planned, store: Store, name: str, allow_code_execution: bool) -> None:
    """Record the report of a plan, with its cases."""
    store.require_writable()
    report = make_report(planned, store, cases=True, allow_code_execution=allow_code_execution)
    record_result(store, name, to_json(report).encode())
    scored = sum(result["scored"] for result in report["results"])
    output.talk(f"recorded as `{name}`: {scored:,} scored cases")
