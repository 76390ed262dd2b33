"""`evalc plan`."""

from __future__ import annotations

from typing import Any

import click

from evalc.cli import output
from evalc.cli.options import request, selection_options
from evalc.cli.plan_table import plan_table
from evalc.errors import ExitCode


@click.command("plan")
@selection_options
@click.option("--json", "as_json", is_flag=True, help="Print a versioned JSON document.")
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit with 6 when work remains, 0 when none does."
)
def plan_command(as_json: bool, detailed_exitcode: bool, **arguments: Any) -> int:
    """Show what an evaluation would ask, what the cache answers, and what the rest costs."""
    with request(arguments).planned() as (planned, store):
        priced = planned.priced(store)
    if as_json:
        output.document(priced)
    else:
        for renderable in plan_table(priced):
            output.table(renderable)
    remains = detailed_exitcode and not priced["nothing_to_run"]
    return ExitCode.WORK_REMAINS if remains else ExitCode.DONE
