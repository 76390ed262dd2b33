"""`evalc report`, and the report at the end of `evalc exec`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from evalc.cli import output
from evalc.cli.changes import with_changes
from evalc.cli.ci import faults_for_ci, junit_option, tell_ci
from evalc.cli.deciding import Decisions, goes_by_rounds
from evalc.cli.options import request, selection_options, since_option
from evalc.cli.scoring import Scorer
from evalc.cli.session import folder_of, opened
from evalc.cli.since import Since, settled
from evalc.plan import Planned
from evalc.report import Report, build_report, report_markdown, report_view, to_json
from evalc.report.verdicts import exit_code
from evalc.spec import Folder
from evalc.store import Store


@click.command("report")
@selection_options
@since_option
@click.option("--json", "as_json", is_flag=True, help="Print a versioned JSON document.")
@click.option("--markdown", is_flag=True, help="Print Markdown for a pull request.")
@junit_option
@click.option("--slices", is_flag=True, help="A line for every slice.")
@click.option("--cases", type=int, default=None, metavar="N", help="List N cases of every task.")
@click.option(
    "--allow-code-execution", is_flag=True, help="Run programs that the model wrote (code_pass@k)."
)
def report_command(allow_code_execution: bool, **arguments: Any) -> int:
    """Show scores with standard errors and intervals from what the cache holds; ask nothing."""
    how = Telling(**{name: arguments.pop(name) for name in Telling.__slots__})
    with faults_for_ci(how.junit):
        asked, since = settled(request(arguments), how.junit)
        if since is not None and since.nothing:
            return show_nothing(folder_of(asked), since, how)
        with opened(asked) as (planned, store):
            return show_report(planned, store, how, since, allow_code_execution)


@dataclass(frozen=True, slots=True)
class Telling:
    """How a report is shown. JSON always carries the cases, which `evalc diff` compares."""

    as_json: bool = False
    markdown: bool = False
    slices: bool = False
    cases: int | None = None
    junit: Path | None = None


def show_report(
    planned: Planned,
    store: Store,
    how: Telling,
    since: Since | None,
    allow_code_execution: bool = False,
) -> int:
    """Score and show; returns the exit code that the gates ask for."""
    listed = how.as_json or how.cases is not None
    return _show(
        make_report(planned, store, listed, allow_code_execution), planned.folder, since, how
    )


def show_nothing(folder: Folder, since: Since, how: Telling) -> int:
    """Show the report of the tier `none`, which asks and judges nothing."""
    return _show(build_report([], tier=since.choice.tier), folder, since, how)


def _show(report: Report, folder: Folder, since: Since | None, how: Telling) -> int:
    slices, cases = how.slices, how.cases
    if since is not None:
        report["since"] = since.as_json()
    if how.as_json:
        output.data(to_json(report))
    elif how.markdown:
        output.data(report_markdown(report, cases=cases))
    else:
        output.table(report_view(report, slices=slices, cases=cases))
    tell_ci(report, folder, junit=how.junit, told=how.markdown)
    return exit_code(report.get("gates", []))


def make_report(planned: Planned, store: Store, cases: bool, allow_code_execution: bool) -> Report:
    """The report of a plan, from the store's records."""
    scorer = Scorer(planned, store, allow_code_execution)
    scores, unscored = scorer.all()
    decisions = Decisions(scorer) if goes_by_rounds(planned) else None
    gates = None
    if decisions is not None:
        gates = with_changes(decisions.gates(), planned, store, scores)
    return build_report(
        scores,
        unscored=unscored,
        gates=gates,
        ended={} if decisions is None else decisions.ended(),
        tier=planned.selection.tier,
        plan=planned.summary_now(store),
        runs=_runs(planned, store),
        cases=cases,
    )


def _runs(planned: Planned, store: Store) -> list[dict[str, Any]]:
    """Manifests of the recorded runs that ran exactly these models and tasks, the last one only."""
    cells = [list(cell) for cell in planned.selection.cells]
    ids = {model.identity.model_id for model in planned.models}
    matching = []
    for _, content in store.runs():
        manifest = json.loads(content)
        same_models = {model["model_id"] for model in manifest["models"]} == ids
        if manifest["cells"] == cells and same_models:
            matching.append(manifest)
    return matching[-1:]
