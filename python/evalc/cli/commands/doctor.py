"""`evalc doctor`."""

from __future__ import annotations

from typing import Any

import click

from evalc.cli import output
from evalc.cli.options.shared import request, selection_options
from evalc.cli.terminal import TERMINAL
from evalc.cli.views.doctor import told
from evalc.diagnostics import Diagnostic
from evalc.errors import ExitCode
from evalc.run.examine import examination


@click.command("doctor")
@selection_options
@click.option("--json", "as_json", is_flag=True, help="Print a versioned JSON document.")
def doctor_command(as_json: bool, **arguments: Any) -> int:
    """Say how the models of a spec will run on this machine, or what stands in their way.

    Every model is loaded and put through the self-check with which a run begins: the way it takes
    through the engine and why, how far it is from the plain model call, whether its bits are
    stable, and the budget that free memory allows. Nothing is asked and nothing recorded. Exits
    with 1 when a model cannot be run or the cache cannot be used.
    """
    asked = request(arguments)
    document = examination(asked, TERMINAL)
    found: list[Diagnostic] = document.pop("found")
    if as_json:
        output.document(document)
    else:
        for line in told(document):
            output.table(line)
        output.diagnostics(found, "terminal")
    return ExitCode.DONE if document["sound"] else ExitCode.FAILURE
