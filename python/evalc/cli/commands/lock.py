"""`evalc lock`."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import click

from evalc.cli import output
from evalc.cli.options.shared import cache_option, no_code_option, request, spec_options
from evalc.diagnostics import Diagnostic, Faults
from evalc.errors import ExitCode
from evalc.plan.digests import Digests
from evalc.plan.remotes import Loc, Remotes
from evalc.run.session import folder_of
from evalc.store import Store


@click.command("lock")
@spec_options
@no_code_option
@cache_option
@click.option(
    "--upgrade",
    multiple=True,
    metavar="NAME",
    help="Follow the revision of this model or dataset to where it is now; a glob. Repeatable.",
)
@click.option(
    "--check", is_flag=True, help="Write nothing; exit with 1 when a revision moved or is unlocked."
)
def lock_command(upgrade: tuple[str, ...], check: bool, **arguments: Any) -> int:
    """Pin what comes from the Hub in evalc.lock, a file to commit; what is pinned stays so."""
    asked = request(arguments)
    folder = folder_of(asked)
    if check:
        return _check(Remotes(folder, asked.cache, Digests(None)))
    with Store.open(asked.cache / "store") as store:
        digests = Digests(store)
        names = _upgraded(Remotes(folder, asked.cache, digests).locs(), upgrade)
        remotes = Remotes(folder, asked.cache, digests, names)
        told = _lock(remotes)
    for line in told:
        output.talk(line)
    if not told:
        output.talk("nothing to lock: " + ("all is locked" if remotes.locs() else "all is local"))
    return ExitCode.DONE


def _lock(remotes: Remotes) -> tuple[str, ...]:
    """Lock and fetch everything; what worked is kept although something else does not."""
    found: list[Diagnostic] = []
    for loc in remotes.locs():
        try:
            if loc[0] == "datasets":
                remotes.data(loc)
            else:
                remotes.model(loc)
        except Faults as faults:
            found += faults.diagnostics
    told = remotes.save(prune=not found)
    if found:
        for line in told:
            output.talk(line)
        raise Faults(found)
    return told


def _check(remotes: Remotes) -> int:
    moved = [line for loc in remotes.locs() if (line := remotes.moved(loc)) is not None]
    for line in dict.fromkeys(moved):
        output.talk(line)
    if moved:
        output.talk("hint: run `evalc lock`, with `--upgrade NAME` for what moved")
        return ExitCode.FAILURE
    output.talk("the lock is as the Hub is now")
    return ExitCode.DONE


def _upgraded(locs: list[Loc], patterns: tuple[str, ...]) -> frozenset[str]:
    """Names of models and datasets that patterns match. Raises Faults when one matches none."""
    names = sorted({loc[1] for loc in locs})
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            message = f"`{pattern}` names no model or dataset that comes from the Hub"
            hint = "these do: " + ", ".join(f"`{n}`" for n in names) if names else None
            raise Faults([Diagnostic("unknown-remote", message, hint=hint)])
    return frozenset(n for n in names if any(fnmatchcase(n, pattern) for pattern in patterns))
