"""`evalc report`, and the report at the end of `evalc exec`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from evalc.cli import output
from evalc.cli.deciding import Decisions, goes_by_rounds
from evalc.cli.options import html_option, request, selection_options
from evalc.cli.pages import require_page, write_page
from evalc.cli.scoring import Scorer
from evalc.cli.session import opened
from evalc.plan import Planned
from evalc.report import Report, build_report, report_markdown, report_view, to_json
from evalc.report.html import report_page
from evalc.report.shape import GateEntry, ResultEntry
from evalc.report.verdicts import exit_code
from evalc.score import CellScores
from evalc.store import Store


@click.command("report")
@selection_options
@click.option("--json", "as_json", is_flag=True, help="Print a versioned JSON document.")
@click.option("--markdown", is_flag=True, help="Print Markdown for a pull request.")
@html_option
@click.option("--slices", is_flag=True, help="A line for every slice.")
@click.option("--cases", type=int, default=None, metavar="N", help="List N cases of every task.")
@click.option(
    "--allow-code-execution", is_flag=True, help="Run programs that the model wrote (code_pass@k)."
)
def report_command(  # noqa: PLR0917  click passes them by name
    as_json: bool,
    markdown: bool,
    html: Path | None,
    slices: bool,
    cases: int | None,
    allow_code_execution: bool,
    **arguments: Any,
) -> int:
    """Show scores with standard errors and intervals from what the cache holds; ask nothing."""
    require_page(html)
    with opened(request(arguments)) as (planned, store):
        return show_report(
            planned,
            store,
            as_json=as_json,
            markdown=markdown,
            html=html,
            slices=slices,
            cases=cases,
            allow_code_execution=allow_code_execution,
        )


def show_report(
    planned: Planned,
    store: Store,
    *,
    as_json: bool = False,
    markdown: bool = False,
    html: Path | None = None,
    slices: bool = False,
    cases: int | None = None,
    allow_code_execution: bool = False,
) -> int:
    """Score and print. JSON always carries the cases, which `evalc diff` compares."""
    told = Told.of(planned, store, allow_code_execution)
    report = told.report(as_json or html is not None or cases is not None)
    if html is not None:
        page = report_page(told.with_rounds(report), cells=told.scores, others=told.recorded())
        write_page(page, html)
    if as_json:
        output.data(to_json(report))
    elif markdown:
        output.data(report_markdown(report, cases=cases))
    else:
        output.table(report_view(report, slices=slices, cases=cases))
    return exit_code(report.get("gates", []))


def make_report(planned: Planned, store: Store, cases: bool, allow_code_execution: bool) -> Report:
    """The report of a plan, from the store's records."""
    return Told.of(planned, store, allow_code_execution).report(cases)


@dataclass(frozen=True)
class Told:
    """What the store's records say of a plan: scores of its cells, and what its gates decide."""

    planned: Planned
    store: Store
    scores: list[CellScores]
    unscored: list[tuple[str, str, str]]
    decisions: Decisions | None

    @classmethod
    def of(cls, planned: Planned, store: Store, allow_code_execution: bool) -> Told:
        """Score the cells and take every look."""
        scorer = Scorer(planned, store, allow_code_execution)
        scores, unscored = scorer.all()
        decisions = Decisions(scorer) if goes_by_rounds(planned) else None
        return cls(planned, store, scores, unscored, decisions)

    def report(self, cases: bool) -> Report:
        """The report, with `cases` every case listed."""
        decisions = self.decisions
        return build_report(
            self.scores,
            unscored=self.unscored,
            gates=None if decisions is None else decisions.gates(),
            ended={} if decisions is None else decisions.ended(),
            tier=self.planned.selection.tier,
            plan=self.planned.summary_now(self.store),
            runs=_runs(self.planned, self.store),
            cases=cases,
        )

    def with_rounds(self, report: Report) -> Report:
        """The report with the course of every gate's looks, which costs an interval for each."""
        if self.decisions is None:
            return report
        gates: list[GateEntry] = [
            {**gate, "conditions": [{**entry} for entry in gate["conditions"]]}
            for gate in report["gates"]
        ]
        self.decisions.add_rounds(gates)
        return {**report, "gates": gates}

    def recorded(self) -> list[tuple[str, ResultEntry]]:
        """Results from outside the plan that its gates compare with, by name."""
        return [] if self.decisions is None else self.decisions.recorded()


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
