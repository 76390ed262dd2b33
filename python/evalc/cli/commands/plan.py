"""`evalc plan`."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import click

from evalc.cli import output
from evalc.cli.options.shared import FILE, rehash_option, request, selection_options, since_option
from evalc.cli.terminal import TERMINAL
from evalc.cli.views.plan import plan_table
from evalc.errors import ExitCode
from evalc.run.plan_memo import ToldFile
from evalc.run.request import Request

NONE = "none"


@click.command("plan")
@selection_options
@since_option
@rehash_option
@click.option("--json", "as_json", is_flag=True, help="Print a versioned JSON document.")
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit with 6 when work remains, 0 when none does."
)
@click.option(
    "--out", type=FILE, metavar="FILE", help="Write the plan into a file that `exec` runs exactly."
)
@click.option(
    "--show",
    "shown",
    type=FILE,
    metavar="FILE",
    help="Show the plan in such a file, stale or not; --detailed-exitcode: 5 when it is stale.",
)
def plan_command(
    as_json: bool, detailed_exitcode: bool, out: Path | None, shown: Path | None, **arguments: Any
) -> int:
    """Show what an evaluation would ask, what the cache answers, and what the rest costs."""
    asked = request(arguments)
    if shown is not None:
        priced, stale = room("cli.commands.pinned").show(shown, asked, as_json)
        if stale and detailed_exitcode:
            return ExitCode.STALE_PLAN
    else:
        priced = _chosen(asked, out) if asked.since is not None else _planned(asked, out)
        if as_json:
            output.document(priced)
        elif priced["tier"] == NONE:
            output.line("nothing to run: the tier is `none`")
        else:
            for renderable in plan_table(priced):
                output.table(renderable)
    remains = detailed_exitcode and not priced["nothing_to_run"]
    return ExitCode.WORK_REMAINS if remains else ExitCode.DONE


def _chosen(asked: Request, out: Path | None) -> dict[str, Any]:
    """The priced plan at the tier that triggers choose, and why; empty where they say `none`."""
    asked, since = room("run.since").settled(asked, listener=TERMINAL)
    priced = room("run.since").nothing() if since.nothing else _planned(asked, out)
    return {**priced, "since": since.as_json()}


def _planned(asked: Request, out: Path | None) -> dict[str, Any]:
    return _priced(asked) if out is None else _pinned(out, asked)


def _priced(asked: Request) -> dict[str, Any]:
    """The priced plan, told again if it can be."""
    told = None if asked.rehash else ToldFile.of(asked).recall()
    return told or room("run.session").outlined(asked, TERMINAL)


def _pinned(out: Path, asked: Request) -> dict[str, Any]:
    """The priced plan, written into a file; it goes by nothing that is remembered."""
    priced: dict[str, Any] = room("run.pinned").pin(out, asked, TERMINAL)
    return priced


def room(name: str) -> Any:
    """A module that plans, imported when there is something to plan."""
    return importlib.import_module(f"evalc.{name}")
