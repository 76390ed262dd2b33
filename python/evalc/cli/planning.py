"""`evalc plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from evalc.cli import output
from evalc.cli.options import rehash_option, request, selection_options, with_reasons
from evalc.cli.pinning import pin, show
from evalc.cli.plan_table import plan_table
from evalc.errors import ExitCode
from evalc.plan.outline import Outline

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("plan")
@selection_options
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
        priced, stale = show(shown, asked, as_json)
        if stale and detailed_exitcode:
            return ExitCode.STALE_PLAN
    else:
        if out is None:
            with asked.outlined() as (found, _store):
                priced = found
        else:
            with asked.planned() as (planned, store):
                reasons = Outline.of(planned, store).reasons
                priced = with_reasons(planned.priced(store), reasons)
                pin(out, asked, planned, store, priced)
        if as_json:
            output.document(priced)
        else:
            for renderable in plan_table(priced):
                output.table(renderable)
    remains = detailed_exitcode and not priced["nothing_to_run"]
    return ExitCode.WORK_REMAINS if remains else ExitCode.DONE
