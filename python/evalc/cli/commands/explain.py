"""`evalc explain`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from evalc.cli import output
from evalc.cli.options.shared import rehash_option, request, selection_options
from evalc.cli.terminal import TERMINAL
from evalc.cli.views.reasons import changed
from evalc.diagnostics import Diagnostic, Faults
from evalc.diagnostics.amounts import many
from evalc.errors import ExitCode
from evalc.plan.explanations import case_explanation, find_case, task_explanation
from evalc.plan.provenance import Provenance, short
from evalc.plan.reasons import Reasons
from evalc.run.request import Request
from evalc.run.session import folder_of, opened
from evalc.spec import Folder
from evalc.spec.matching import is_pattern
from evalc.spec.wording import did_you_mean

MOST_IDS = 20_000
"""Above this many case ids none is proposed in place of an unknown one."""


@click.command("explain")
@click.argument("what", metavar="CASE|TASK")
@selection_options
@rehash_option
@click.option("--json", "as_json", is_flag=True, help="Print a versioned JSON document.")
def explain_command(what: str, as_json: bool, **arguments: Any) -> int:
    """Say why a task or a case would run: never asked, or what changed, and where in the spec.

    CASE is the id of a case as `report --cases` lists it; TASK is a name, a glob or tag:NAME.
    """
    asked = request(arguments)
    folder = folder_of(asked)
    task = what in folder.spec.tasks or is_pattern(what)
    if task:
        asked = replace(asked, tasks=(what,))
    document = _explained(asked, folder, what, task)
    if as_json:
        output.document(document)
    else:
        lines = _task_lines(document) if task else _case_lines(document)
        output.lines(lines)
    return ExitCode.DONE


def _explained(asked: Request, folder: Folder, what: str, task: bool) -> dict[str, Any]:
    with opened(asked, TERMINAL) as (planned, store):
        provenance = Provenance(planned, store)
        reasons = Reasons(provenance, store)
        if task:
            return task_explanation(reasons, what, Path.cwd())
        found = find_case(provenance, what)
        if not found:
            raise Faults([_unknown(provenance, folder, what)])
        return case_explanation(reasons, store, what, found, Path.cwd())


def _unknown(provenance: Provenance, folder: Folder, what: str) -> Diagnostic:
    planned = provenance.planned
    names = list(folder.spec.tasks)
    if int(planned.summary["total"]["cases"]) <= MOST_IDS:
        cells = range(len(planned.selection.cells))
        names += {name: None for cell in cells for name in planned.cell(cell)["case_ids"]}
    hint = did_you_mean(what, names)
    hint = hint or "list a task's cases with `evalc report --cases N`, its tasks with `evalc plan`"
    message = f"neither a task nor a selected case is called `{what}`"
    return Diagnostic("unknown-case", message, hint=hint)


def _task_lines(document: Mapping[str, Any]) -> Iterator[str]:
    for number, cell in enumerate(document["cells"]):
        if number:
            yield ""
        counts = f"{many(cell['cases'], 'case')}, {cell['cached']:,} cached"
        yield f"{cell['task']} on {cell['model']}: {counts}, {cell['remaining']:,} would run"
        yield from _formerly(cell)
        for reason in cell["reasons"]:
            count = reason["cases"]
            yield f"  {count:,} {'case' if count == 1 else 'cases'}: {_headline(reason)}"
            yield from _change_lines(reason)
            yield f"      such as {', '.join(reason['examples'])}"
        yield "  made of"
        for part in cell["components"]:
            value, where = short(part["value"]), _where(part["where"])
            yield f"      {part['component']:<21} {value:<15}  {where}"


def _formerly(cell: Mapping[str, Any]) -> Iterator[str]:
    if cell["formerly"]:
        yield f"  compared with `{cell['formerly']}`, which was defined alike"


def _headline(reason: Mapping[str, Any]) -> str:
    detail = f" ({reason['detail']})" if reason["detail"] else ""
    return f"{reason['reason']}{detail}{' changed' if reason['changes'] else ''}"


def _change_lines(reason: Mapping[str, Any]) -> Iterator[str]:
    for change in reason["changes"]:
        cut = {**change, **{side: short(change[side] or "") for side in ("old", "new")}}
        yield f"      {changed(cut)}  {_where(change['where'])}"


def _where(where: Mapping[str, Any] | None) -> str:
    if where is None:
        return ""
    numbers = [str(where[key]) for key in ("line", "column") if where[key] is not None]
    return ":".join([where["file"], *numbers])


def _case_lines(document: Mapping[str, Any]) -> Iterator[str]:
    for number, cell in enumerate(document["cells"]):
        if number:
            yield ""
        state = "cached" if cell["cached"] else f"would run: {_headline(cell['reason'])}"
        yield f"{document['what']} of {cell['task']} on {cell['model']}: {state}"
        yield from _formerly(cell)
        if cell["reason"]:
            yield from _change_lines(cell["reason"])
        yield f"  row      {cell['file']}:{cell['line']}"
        yield f"  prompt   {json.dumps(cell['prompt'], ensure_ascii=False)}"
        if cell["choices"]:
            yield f"  choices  {json.dumps(cell['choices'], ensure_ascii=False)}"
        if cell["target"] is not None:
            yield f"  target   {json.dumps(cell['target'], ensure_ascii=False)}"
        for asked in cell["requests"]:
            # the first 16 digits are those of model and engine
            yield f"  request  {asked['key'][16:32]}  {_tokens(asked)}  {_answer(asked)}"


def _tokens(asked: Mapping[str, Any]) -> str:
    continuation = asked["continuation_tokens"]
    return f"{asked['context_tokens']}{f' + {continuation}' if continuation else ''} tokens"


def _answer(asked: Mapping[str, Any]) -> str:
    answer = asked["answer"]
    if answer is None:
        return "not asked yet"
    if "text" in answer:
        return f"{json.dumps(answer['text'], ensure_ascii=False)} ({answer['finish']})"
    return f"{answer['loglikelihood']:.4f}{' greedy' if answer['greedy'] else ''}"
