"""`evalc exec`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from evalc.cli import output
from evalc.cli.commands.report import Telling, show_nothing, show_report
from evalc.cli.files.ci import faults_for_ci
from evalc.cli.options.shared import (
    junit_option,
    refuse_programs,
    rehash_option,
    request,
    sandbox_option,
    selection_options,
    since_option,
)
from evalc.cli.views.progress import METERED
from evalc.errors import ExitCode
from evalc.run import execute
from evalc.run.pinned import pinned_path, repeated
from evalc.run.recording import keep_result, require_name, tell_shadowed
from evalc.run.request import Request
from evalc.run.results import Results
from evalc.run.scorer import Scorer
from evalc.run.session import folder_of, leased
from evalc.run.since import Since, settled
from evalc.score.sandbox import Sandbox


@click.command("exec")
@selection_options
@since_option
@rehash_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--no-cache", is_flag=True, help="Neither read answers from the cache nor write any to it."
)
@click.option(
    "--record",
    metavar="NAME",
    help="Record the result under NAME, which gates can name as their `baseline`.",
)
@junit_option
@click.option("--no-report", is_flag=True, help="Only fill the cache; print no report.")
@click.option(
    "--allow-code-execution", is_flag=True, help="Run programs that the model wrote (code_pass@k)."
)
@sandbox_option
def exec_command(  # noqa: PLR0917  click passes them by name
    as_json: bool,
    no_report: bool,
    allow_code_execution: bool,
    sandbox: Sandbox | None,
    record: str | None,
    junit: Path | None,
    **arguments: Any,
) -> int:
    """Ask the models what the cache does not answer; Ctrl-C and run again to continue.

    Gates are judged while it goes; a tier with `stop = "decided"` asks no more than they need. Exit
    code 3 when one fails, 4 when one is not decided.

    A file from `plan --out` in place of PATHS runs exactly what it planned, or refuses with exit
    code 5 and says what has changed since.
    """
    refuse_programs(arguments["no_hooks"], allow_code_execution)
    if junit is not None and no_report:
        raise click.UsageError("--junit writes what a report says; leave out --no-report")
    if record is not None and arguments["no_cache"]:
        raise click.UsageError("--record keeps a result in the cache; leave out --no-cache")
    how = Telling(as_json=as_json, junit=junit)
    with faults_for_ci(junit) as wanted:
        asked = request(arguments)
        path = pinned_path(asked)
        if record is not None:
            require_name(record)
        asked, since = settled(asked, junit, listener=METERED)
        if since is not None and since.nothing:
            return _nothing(asked, since, how, record, no_report)
        planning = repeated(path, asked, METERED) if path else leased(asked, METERED, warn=True)
        with planning as (planned, store, lease):
            wanted.of(planned)
            tell_shadowed(planned, store, METERED, record)
            scorer = Scorer(planned, store, allow_code_execution, sandbox, METERED)
            if not no_report:
                scorer.warn_of_programs()
            execute.ask_all(scorer, lease, record, METERED)
            scorer = Scorer(planned, store, allow_code_execution, sandbox, METERED)
            if not no_report:
                return show_report(scorer, how, since, record)
            if record is not None:
                results = Results.of(scorer, record)
                keep_result(results.report(cases=True), store, record, METERED)
            return ExitCode.DONE


def _nothing(
    asked: Request, since: Since, how: Telling, record: str | None, no_report: bool
) -> int:
    """A run at the tier `none`. A recorded result stays what it is."""
    if record is not None:
        output.talk(f"nothing is recorded as `{record}`: the tier is `none`")
    return ExitCode.DONE if no_report else show_nothing(folder_of(asked), since, how)
