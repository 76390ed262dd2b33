"""Pinned plans: what was asked, written down and asked again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from evalc.diagnostics import Diagnostic, Faults
from evalc.errors import ExitCode
from evalc.plan import Planned
from evalc.plan.outline import Outline
from evalc.plan.pinned import is_pinned, pins, read_pinned, write_pinned
from evalc.plan.staleness import changes, refusal
from evalc.run.expected import with_decisions
from evalc.run.listener import SILENT, Listener
from evalc.run.request import Request, default_path
from evalc.run.session import leased, opened, with_reasons
from evalc.store import Store
from evalc.store.leases import Lease


def pin(path: Path, asked: Request, listener: Listener = SILENT) -> dict[str, Any]:
    """Plan a request and write it into a file; returns the priced plan."""
    with opened(asked, listener) as (planned, store):
        reasons = Outline.of(planned, store).reasons
        plan = with_reasons(planned.priced(store), reasons)
        plan = with_decisions(plan, planned.folder, planned.selection, store)
        _write(path, asked, planned, store, plan)
    listener.note(f"written: `{path}`; run exactly this with `evalc exec {path}`")
    return plan


def _write(path: Path, asked: Request, planned: Planned, store: Store, plan: Any) -> None:
    ask = {
        "directory": str(Path.cwd()),
        "paths": [str(p.absolute()) for p in asked.paths or (default_path(),)],
        "overrides": list(asked.overrides),
        "suites": list(asked.suites),
        "models": list(asked.models),
        "tasks": list(asked.tasks),
        "tier": asked.tier,
        "no_hooks": asked.no_hooks,
        "cache": str(asked.cache) if asked.cache_given else None,
    }
    write_pinned(path, ask, pins(planned, store), plan)


def pinned_path(asked: Request) -> Path | None:
    """The pinned plan that the PATHS name, if they do. Raises Faults for anything beside it."""
    plans = [path for path in asked.paths if is_pinned(path)]
    if not plans:
        return None
    refuse_selection(asked, plans[0], others=len(asked.paths) > 1)
    return plans[0]


def refuse_selection(asked: Request, path: Path, others: bool) -> None:
    """Raise Faults when something is selected beside a pinned plan."""
    names = (asked.overrides, asked.suites, asked.models, asked.tasks, asked.tier)
    if others or any(names) or asked.since is not None:
        message = f"the pinned plan `{path}` holds its own paths, selection and overrides"
        hint = "leave the others out, or make another plan with `evalc plan --out FILE`"
        raise Faults([Diagnostic("plan-options", message, hint=hint)])


@contextmanager
def repeated(
    path: Path, asked: Request, listener: Listener = SILENT
) -> Iterator[tuple[Planned, Store, Lease]]:
    """Plan what a pinned plan planned, and refuse with exit code 5 unless all is as it was.

    `asked` adds `--rehash`, `--no-code` and, when it was given, `--cache`.
    """
    content = read_pinned(path)
    with _again(content, asked, path, listener) as (planned, store, lease):
        now = pins(planned, store)
        if found := changes(content, now, planned):
            raise refusal(path, found, content["pins"]["specs"], now["specs"])
        yield planned, store, lease


@contextmanager
def _again(
    content: Mapping[str, Any], asked: Request, path: Path, listener: Listener
) -> Iterator[tuple[Planned, Store, Lease]]:
    """A plan of the same request. What makes planning fail is a change too."""
    ask = content["ask"]
    directory = Path(ask["directory"])
    cache = asked.cache if asked.cache_given or ask["cache"] is None else Path(ask["cache"])
    again = replace(
        asked,
        paths=tuple(Path(p) for p in ask["paths"]),
        overrides=tuple(ask["overrides"]),
        suites=tuple(ask["suites"]),
        models=tuple(ask["models"]),
        tasks=tuple(ask["tasks"]),
        tier=ask["tier"],
        cache=cache,
        # where the plan was made, if that is on this machine
        base=directory if directory.is_dir() else None,
        no_hooks=asked.no_hooks or ask["no_hooks"],
    )
    with ExitStack() as stack:
        try:
            found = stack.enter_context(leased(again, listener))
        except Faults as faults:
            refused = all(found.code == "hook-refused" for found in faults.diagnostics)
            if faults.exit_code != ExitCode.USAGE or (asked.no_hooks and refused):
                raise
            raise refusal(path, faults.diagnostics) from None
        yield found
