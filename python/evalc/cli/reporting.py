"""`evalc report`, and the report at the end of `evalc exec`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from evalc.cli import output
from evalc.cli.options import request, selection_options
from evalc.cli.session import opened
from evalc.diagnostics import Faults
from evalc.errors import ExitCode
from evalc.plan import Planned
from evalc.report import Report, build_report, report_markdown, report_view, to_json
from evalc.score import CellScores, score_cell
from evalc.score.cache import ScoreCache
from evalc.score.gather import gather, scoring_of
from evalc.store import Store


@click.command("report")
@selection_options
@click.option("--json", "as_json", is_flag=True, help="Print a versioned JSON document.")
@click.option("--markdown", is_flag=True, help="Print Markdown for a pull request.")
@click.option("--slices", is_flag=True, help="A line for every slice.")
@click.option("--cases", type=int, default=None, metavar="N", help="List N cases of every task.")
@click.option(
    "--allow-code-execution", is_flag=True, help="Run programs that the model wrote (code_pass@k)."
)
def report_command(
    as_json: bool,
    markdown: bool,
    slices: bool,
    cases: int | None,
    allow_code_execution: bool,
    **arguments: Any,
) -> int:
    """Show scores with standard errors and intervals from what the cache holds; ask nothing."""
    with opened(request(arguments)) as (planned, store):
        return show_report(
            planned,
            store,
            as_json=as_json,
            markdown=markdown,
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
    slices: bool = False,
    cases: int | None = None,
    allow_code_execution: bool = False,
) -> int:
    """Score and print. JSON always carries the cases, which `evalc diff` compares."""
    report = make_report(planned, store, as_json or cases is not None, allow_code_execution)
    if as_json:
        output.data(to_json(report))
    elif markdown:
        output.data(report_markdown(report, cases=cases))
    else:
        output.table(report_view(report, slices=slices, cases=cases))
    return ExitCode.DONE


def make_report(planned: Planned, store: Store, cases: bool, allow_code_execution: bool) -> Report:
    """The report of a plan, from the store's records."""
    scores, unscored = score_cells(planned, store, allow_code_execution)
    return build_report(
        scores,
        unscored=unscored,
        tier=planned.selection.tier,
        plan=planned.summary_now(store),
        runs=_runs(planned, store),
        cases=cases,
    )


def score_cells(
    planned: Planned, store: Store, allow_code_execution: bool
) -> tuple[list[CellScores], list[tuple[str, str, str]]]:
    """Scores of every cell, and (model, task, why) of those whose programs may not run.

    Scores that are kept in the store are taken from there, and new ones are put there.
    """
    scores, unscored = [], []
    cache, damaged = ScoreCache(store), store.damaged
    for index, (model, task) in enumerate(planned.selection.cells):
        scoring = scoring_of(planned.folder.spec.tasks[task])
        cell = gather(planned, index, store)
        try:
            scores.append(
                score_cell(
                    cell,
                    scoring,
                    root=planned.folder.base(("tasks", task, "metrics")),
                    allow_code_execution=allow_code_execution,
                    cache=cache,
                    extract_roots=_extract_roots(planned, task),
                )
            )
        except Faults as faults:
            if [found.code for found in faults.diagnostics] != ["code-execution-off"]:
                raise
            unscored.append((model, task, "it needs --allow-code-execution"))
    _tell(cache, store.damaged - damaged)
    return scores, unscored


def _extract_roots(planned: Planned, task: str) -> dict[str, Path]:
    """Where the hooks of a task's extracts are imported from, by the extracts' names."""
    names = planned.folder.spec.tasks[task].extractions
    locs = {name: ("tasks", task, "extract", *([name] if name else []), "python") for name in names}
    return {name: planned.folder.base(loc) for name, loc in locs.items()}


def _tell(cache: ScoreCache, damaged: int) -> None:
    if damaged:
        output.talk(
            f"warning: {damaged} cached values failed their checksum while scoring; they were put "
            "into quarantine, and scores among them were computed again"
        )
    if cache.unwritten:
        why = cache.unwritten.diagnostics[0].message
        output.talk(f"warning: scores are not kept for the next report: {why}")


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
