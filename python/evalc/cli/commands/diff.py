"""`evalc diff`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from evalc.cli import output
from evalc.cli.files.pages import require_page, write_page
from evalc.cli.options.shared import html_option, request, selection_options
from evalc.cli.terminal import TERMINAL
from evalc.diagnostics import Diagnostic, Faults
from evalc.errors import ExitCode
from evalc.plan.neighbours import near_path
from evalc.report import Report, diff_json, diff_markdown, diff_reports, diff_view
from evalc.report.html import report_page
from evalc.run.documents import read_report
from evalc.run.request import Request
from evalc.run.results import Results
from evalc.run.scorer import Scorer
from evalc.run.session import folder_of, opened
from evalc.score import CellScores
from evalc.store.files import is_file


@click.command("diff")
@click.argument("a")
@click.argument("b")
@selection_options
@click.option("--json", "as_json", is_flag=True, help="Print a versioned JSON document.")
@click.option("--markdown", is_flag=True, help="Print Markdown for a pull request.")
@html_option
@click.option("--limit", type=int, default=20, metavar="N", help="List at most N flipped cases.")
def diff_command(  # noqa: PLR0917  click passes them by name
    a: str,
    b: str,
    as_json: bool,
    markdown: bool,
    html: Path | None,
    limit: int,
    **arguments: Any,
) -> int:
    """Compare B with A case by case: models of the spec, or files from `report --json`."""
    require_page(html)
    cells: list[CellScores] = []
    sides = {a: _file(a), b: _file(b)}
    asked = request(dict(arguments))
    absent = [n for n, report in sides.items() if report is None and _is_path(n, asked)]
    if absent:
        raise Faults(_absent(name) for name in absent)
    models = tuple(name for name, report in sides.items() if report is None)
    if models:
        wanted = {**arguments, "models": (*arguments.get("models", ()), *models)}
        with opened(request(wanted), TERMINAL) as (planned, store):
            results = Results.of(Scorer(planned, store, False, listener=TERMINAL))
            live, cells = results.report(cases=True), results.scores
    left, right = (sides[name] or live for name in (a, b))
    first, second = _model(left, a, sides[a]), _model(right, b, sides[b])
    chosen = (first, second) if first and second else None
    found = diff_reports(left, right, names=(a, b), models=chosen)
    if html is not None:
        write_page(_page((left, right), (a, b), chosen, cells), html)
    if as_json:
        output.json_text(diff_json(found))
    elif markdown:
        output.markdown(diff_markdown(found, limit=limit))
    else:
        output.table(diff_view(found, limit=limit))
    return ExitCode.DONE


def _page(
    reports: tuple[Report, Report],
    names: tuple[str, str],
    models: tuple[str, str] | None,
    cells: Sequence[CellScores],
) -> str:
    """A page of B, compared with A; of both, if they are models of one report. Without gates."""
    left, right = (
        [result for result in report["results"] if models is None or result["model"] == model]
        for report, model in zip(reports, models or names, strict=True)
    )
    page: Report = {**reports[1], "results": right}
    page.pop("gates", None)
    page.pop("unjudged", None)
    page.pop("moves", None)
    others = [(names[0], result) for result in left]
    if reports[0] is reports[1] and models and models[0] != models[1]:
        page["results"], others = [*left, *right], []
    title = f"evalc diff: {names[1]} against {names[0]}"
    return report_page(page, cells=cells, others=others, title=title)


def _file(name: str) -> Report | None:
    return read_report(name).as_json if is_file(Path(name)) else None


def _is_path(name: str, asked: Request) -> bool:
    """Whether a side that is no file was meant as one: no model has a slash in its name, and few
    end like a file."""
    if "/" in name:
        return True
    if not name.endswith((".json", ".html", ".md")):
        return False
    with suppress(Faults):
        return name not in folder_of(asked).spec.models
    return True


def _absent(name: str) -> Diagnostic:
    path = Path(name)
    try:
        what = "is a folder, not a report" if path.is_dir() else "does not exist"
    except OSError as error:
        what = f"cannot be looked for: {(error.strerror or str(error)).lower()}"
    near = near_path(path.absolute(), None)
    hint = near if near and near.endswith(f"{path.suffix}`?") else None
    hint = hint or f"write one with `evalc report --json > {name}`, or name a model of the spec"
    return Diagnostic("not-a-report", f"`{name}` {what}", hint=hint)


def _model(report: Report, name: str, file: Report | None) -> str | None:
    """The model of a side: itself, or the only model of a file."""
    if file is None:
        return name
    models = {result["model"] for result in report["results"]}
    return next(iter(models)) if len(models) == 1 else None
