"""A report as Markdown for a pull request: a comment that a workflow can find and replace."""

from __future__ import annotations

from collections.abc import Sequence

from evalc.diagnostics.amounts import many
from evalc.report import verdicts, words
from evalc.report.marks import COMMENT, Body, cell, code
from evalc.report.savings import savings
from evalc.report.shape import EstimateEntry, GateEntry, MetricEntry, Report, ResultEntry

MARKER = "<!-- evalc -->"
"""The first line, by which a comment is found again; a reader does not see it."""
OPEN_ROWS = 12
"""Longer tables of results are folded."""
MOST_LINES = 20
SIGNS = {"pass": "✅ pass", "fail": "❌ fail", "inconclusive": "⚠️ inconclusive"}


def report_markdown(report: Report, *, cases: int | None = None, limit: int = COMMENT) -> str:
    """Verdicts, changes, cost and results, then slices and (when wanted) cases folded away.

    At most `limit` bytes, ending in a newline; what does not fit is left out, and said.
    """
    body = Body(limit)
    body.add(_head(report), "heading")
    alerts = [f"> - Incomplete: {cell(alert)}" for alert in words.warnings(report)]
    body.lines(alerts, "warnings", MOST_LINES, head="> [!WARNING]")
    gates = report.get("gates", [])
    if gates:
        _gates(body, gates)
    apart = [f"- Not judged: {cell(line)}" for line in verdicts.unjudged(report)]
    body.lines(apart, "reasons why gates were not judged", MOST_LINES)
    _changes(body, gates)
    notes = [
        *verdicts.moves(report),
        *savings(report),
        *words.costs(report),
        *words.samples(report),
        *words.detectables(report),
    ]
    body.lines([f"- {cell(note)}" for note in notes], "notes", MOST_LINES)
    _results(body, report)
    told = [f"- Note: {cell(line)}" for line in words.caveats(report["results"])]
    body.lines(told, "remarks on scores", MOST_LINES)
    for result in report["results"]:
        for metric in result["metrics"]:
            _slices(body, result, metric)
        if cases is not None and result.get("cases"):
            _cases(body, result, cases)
    return body.text()


def _head(report: Report) -> str:
    gates = report.get("gates", [])
    tier = f" (tier {code(report['tier'])})" if report["tier"] else ""
    title = f"## evalc report{tier}"
    if gates:
        ends = verdicts.exit_code(gates)
        sign = "❌" if any(gate["state"] == "fail" for gate in gates) else "⚠️" if ends else "✅"
        title = f"## {sign} evalc: {verdicts.outcome(report)}{tier}"
    lines = [MARKER, title]
    if (since := report.get("since")) is not None:
        told = f"tier by what changed since {since['revision']}: {since['why']}"
        lines += ["", cell(words.one_line(told, 300))]
    return "\n".join(lines)


def _gates(body: Body, gates: Sequence[GateEntry]) -> None:
    rows: list[list[str]] = []
    for gate in gates:
        lead = [cell(gate["gate"]), cell(gate["model"]), SIGNS[gate["state"]]]
        before = len(rows)
        for told in verdicts.rows(gate):
            rows.append([*lead, *map(cell, told)])
            lead = ["", "", ""]
        reason = verdicts.why(gate)
        if reason is not None or len(rows) == before:
            rows.append([*lead, cell(reason or ""), "", ""])
    header = ["gate", "model", "verdict", "wanted", "found", "rests on"]
    body.table(header, rows, 6, "rows of gates")


def _changes(body: Body, gates: Sequence[GateEntry]) -> None:
    rows = []
    for gate in gates:
        change = gate.get("change")
        if change is None or gate["baseline"] is None:
            continue
        rows.append(
            [
                *(cell(text) for text in (gate["gate"], gate["model"], gate["baseline"])),
                words.signed(change["difference"]),
                words.signed_interval(change["low"], change["high"]),
                f"{change['better']:,}",
                f"{change['worse']:,}",
                f"{change['compared']:,} of {change['total']:,}",
                words.probability(change["p"]).replace("<", "\\<"),
            ]
        )
    if rows:
        header = ["gate", "model", "against", "difference", "interval", "better", "worse"]
        body.table([*header, "compared", "p"], rows, 3, "rows of changes")
        body.add(
            "Intervals hold at the level of their gate, whenever its run ended. `better` and "
            "`worse` count cases that both answered; `p` is McNemar's, where all of them are.",
            "remarks",
        )


def _results(body: Body, report: Report) -> None:
    rows = [
        [
            cell(result["model"]),
            cell(result["task"]),
            cell(metric["metric"]) + _average(metric),
            *_numbers(metric, result["population"]),
        ]
        for result in report["results"]
        for metric in result["metrics"]
    ]
    summary = f"{len(rows):,} results" if len(rows) > OPEN_ROWS else None
    body.table(["model", "task", "metric", *_HEADER], rows, 3, "rows of results", summary)


_HEADER = ["value", "stderr", "95 % interval", "cases"]


def _average(metric: MetricEntry) -> str:
    return "" if metric["average"] == "micro" else f" ({cell(metric['average'])})"


def _numbers(entry: EstimateEntry, population: int | None) -> list[str]:
    covered = words.coverage(entry, population)
    return [
        words.number(entry["value"]),
        words.number(entry["stderr"]),
        words.interval(entry["low"], entry["high"]),
        covered if entry["complete"] else f"**{covered}**",
    ]


def _slices(body: Body, result: ResultEntry, metric: MetricEntry) -> None:
    rows = [
        [f"{cell(name)} = {cell(value)}", *_numbers(entry, None)]
        for name, values in metric["slices"].items()
        for value, entry in values.items()
    ]
    if rows:
        title = f"{result['task']} ({result['model']}): {metric['metric']} by slice"
        body.table(["slice", *_HEADER], rows, 1, "rows of slices", title)


def _cases(body: Body, result: ResultEntry, limit: int) -> None:
    names = [metric["metric"] for metric in result["metrics"]]
    listed = result["cases"][:limit]
    rows = [
        [
            cell(words.one_line(case["id"])),
            cell(words.answer(case)),
            cell(words.one_line(case["target"])),
            *(words.number(case["scores"][name]) for name in names),
        ]
        for case in listed
    ]
    of = f"{len(listed)} of {many(result['total'], 'case')}"
    title = f"{result['task']} ({result['model']}): {of}"
    body.table(["case", "answer", "target", *map(cell, names)], rows, 3, "cases", title)
