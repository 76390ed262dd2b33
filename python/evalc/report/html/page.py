"""The page: everything together, in one file with its style, its script and its cases inside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Any

from evalc.diagnostics.visible import visible_lines
from evalc.report import verdicts, words
from evalc.report.html import accounts, estimates, gate_cards
from evalc.report.html.cases import case_data
from evalc.report.html.extra import package
from evalc.report.html.sentences import headline
from evalc.report.html.sides import Change, Other, changes, is_early, sides_of
from evalc.report.shape import Report
from evalc.score import CellScores


def report_page(
    report: Report,
    *,
    cells: Sequence[CellScores] = (),
    others: Sequence[Other] = (),
    title: str = "evalc report",
) -> str:
    """A report as an HTML file; equal reports give equal texts.

    `cells` are the scored cells behind the report, from which the prompts and the texts that models
    wrote are taken; `others` are results from outside that its own are compared with, by name.
    Raises Faults (`needs-report-extra`).
    """
    style, script = _asset("page.css"), _asset("page.js")
    sides = sides_of(report, others)
    texts = {(cell.cell.model, cell.cell.task): cell for cell in cells}
    return _rendered(
        title=title,
        style=style,
        script=script,
        policy=_policy(style, script),
        report=report,
        words=words,
        run=_run(report),
        state=headline(report) if report.get("gates") else None,
        gates=gate_cards.gate_cards(report, sides),
        unjudged=verdicts.unjudged(report),
        moves=verdicts.moves(report),
        warnings=words.warnings(report),
        caveats=words.caveats(report["results"]),
        figures=estimates.result_figures(report, sides),
        legend=estimates.scale_names(report),
        rows=estimates.result_rows(report),
        slices=estimates.slice_tables(report),
        changes=[_change(change) for change in changes(report, sides)],
        accounts=accounts.accounts(report),
        stopped=words.samples(report),
        partial=estimates.is_partial(report),
        early=any(is_early(result) for result in report["results"]),
        cases=case_data(report, sides, texts),
    )


def _run(report: Report) -> dict[str, Any]:
    """The manifest of the last run; what the page reads of it is there, if only as nothing."""
    last = report["runs"][-1] if report["runs"] else {}
    return {"name": None, "evalc": None, "models": [], **last}


def _change(change: Change) -> dict[str, Any]:
    """A comparison, its figures as cells; an early end leaves no test of a fixed size."""
    entry, early = change.entry, change.early
    low, high, p = (None if early else entry[key] for key in ("low", "high", "p"))
    text, amount = estimates.text, estimates.amount
    counts = [entry["broken"], entry["fixed"]]
    return {
        "cells": [
            text(entry["task"]),
            text(entry["metric"]),
            text(f"{change.baseline} → {change.name}"),
            amount(entry["a"], words.number(entry["a"])),
            amount(entry["b"], words.number(entry["b"])),
            amount(entry["delta"], words.signed(entry["delta"])),
            amount(low, words.signed_interval(low, high)),
            *(amount(n, words.NOTHING if n is None else f"{n:,}") for n in counts),
            amount(p, words.probability(p)),
            amount(entry["n"], f"{entry['n']:,}"),
        ]
    }


def _asset(name: str) -> str:
    assets = resources.files("evalc.report.html") / "assets"
    return (assets / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """A Content-Security-Policy that lets this style and this script in, and nothing else."""
    sources = {"style-src": style, "script-src": script}
    allowed = [f"{kind} 'sha256-{_digest(text)}'" for kind, text in sources.items()]
    return "; ".join(["default-src 'none'", *allowed, "base-uri 'none'", "form-action 'none'"])


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _rendered(**values: Any) -> str:
    jinja2 = package("jinja2")
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    page: str = environment.from_string(_asset("page.html")).render(**values)
    return visible_lines(page)
