"""`evalc report`, and the report at the end of `evalc exec`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from evalc.cli import output
from evalc.cli.files.ci import faults_for_ci, tell_ci
from evalc.cli.files.pages import require_page, write_page
from evalc.cli.options.shared import (
    html_option,
    junit_option,
    refuse_programs,
    request,
    sandbox_option,
    selection_options,
    since_option,
)
from evalc.cli.terminal import TERMINAL
from evalc.report import Report, build_report, report_markdown, report_view, to_json
from evalc.report.html import report_page
from evalc.report.verdicts import exit_code
from evalc.run.recording import keep_result, tell_shadowed
from evalc.run.results import Results
from evalc.run.scorer import Scorer
from evalc.run.session import folder_of, opened
from evalc.run.since import Since, settled
from evalc.score.sandbox import Sandbox
from evalc.spec import Folder


@click.command("report")
@selection_options
@since_option
@click.option("--json", "as_json", is_flag=True, help="Print a versioned JSON document.")
@click.option("--markdown", is_flag=True, help="Print Markdown for a pull request.")
@html_option
@junit_option
@click.option("--slices", is_flag=True, help="A line for every slice.")
@click.option("--cases", type=int, default=None, metavar="N", help="List N cases of every task.")
@click.option(
    "--allow-code-execution", is_flag=True, help="Run programs that the model wrote (code_pass@k)."
)
@sandbox_option
def report_command(allow_code_execution: bool, sandbox: Sandbox | None, **arguments: Any) -> int:
    """Show scores with standard errors and intervals from what the cache holds; ask nothing."""
    refuse_programs(arguments["no_hooks"], allow_code_execution)
    how = Telling(**{name: arguments.pop(name) for name in Telling.__slots__})
    if how.html is not None and how.junit is not None and how.html.resolve() == how.junit.resolve():
        raise click.UsageError("--html and --junit name the same file")
    with faults_for_ci(how.junit) as wanted:
        require_page(how.html)
        asked, since = settled(request(arguments), how.junit, how.html, listener=TERMINAL)
        if since is not None and since.nothing:
            return show_nothing(folder_of(asked), since, how)
        with opened(asked, TERMINAL) as (planned, store):
            wanted.of(planned)
            tell_shadowed(planned, store, TERMINAL)
            scorer = Scorer(planned, store, allow_code_execution, sandbox, TERMINAL)
            return show_report(scorer, how, since)


@dataclass(frozen=True, slots=True)
class Telling:
    """How a report is shown. JSON always carries the cases, which `evalc diff` compares."""

    as_json: bool = False
    markdown: bool = False
    slices: bool = False
    cases: int | None = None
    html: Path | None = None
    junit: Path | None = None


def show_report(
    scorer: Scorer, how: Telling, since: Since | None, record: str | None = None
) -> int:
    """Score, record and show; returns the exit code that the gates ask for.

    What is recorded takes the place of a baseline of that name after it was compared with it.
    """
    results = Results.of(scorer, record)
    named = (how.html, how.cases, record)
    report = results.report(how.as_json or any(each is not None for each in named))
    if record is not None:
        keep_result(report, scorer.store, record, TERMINAL)
    return _show(report, scorer.planned.folder, since, how, results)


def show_nothing(folder: Folder, since: Since, how: Telling) -> int:
    """Show the report of the tier `none`, which asks and judges nothing."""
    return _show(build_report([], tier=since.choice.tier), folder, since, how)


def _show(
    report: Report,
    folder: Folder,
    since: Since | None,
    how: Telling,
    results: Results | None = None,
) -> int:
    slices, cases = how.slices, how.cases
    if since is not None:
        report["since"] = since.as_json()
    if how.html is not None:
        write_page(report_page(report) if results is None else results.page(report), how.html)
    if how.as_json:
        output.json_text(to_json(report))
    elif how.markdown:
        output.markdown(report_markdown(report, cases=cases))
    else:
        output.table(report_view(report, slices=slices, cases=cases))
    tell_ci(report, folder, junit=how.junit, told=how.markdown)
    return exit_code(report.get("gates", []))
