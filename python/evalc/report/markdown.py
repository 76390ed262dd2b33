"""A report as Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Sequence

from evalc.report import verdicts, words
from evalc.report.shape import EstimateEntry, GateEntry, MetricEntry, Report, ResultEntry


def report_markdown(report: Report, *, cases: int | None = None) -> str:
    """Warnings, a compact table, slices and (when wanted) cases folded away; ends in a newline."""
    blocks = ["## evalc report" + (f": tier `{report['tier']}`" if report["tier"] else "")]
    alerts = words.warnings(report)
    if alerts:
        blocks.append("\n".join(["> [!WARNING]", *(f"> - Incomplete: {cell(a)}" for a in alerts)]))
    if report.get("gates"):
        blocks.append(_gates(report["gates"]))
    if report["results"]:
        blocks.append(_results(report))
    for result in report["results"]:
        blocks += [_slices(result, metric) for metric in result["metrics"] if metric["slices"]]
        if cases is not None and result.get("cases"):
            blocks.append(_cases(result, cases))
    notes = [*words.samples(report), *words.detectables(report), *words.costs(report)]
    if notes:
        blocks.append("\n".join(f"- {cell(note)}" for note in notes))
    return "\n\n".join(blocks) + "\n"


SIGNS = {"pass": "✅ pass", "fail": "❌ fail", "inconclusive": "⚠️ inconclusive"}


def _gates(gates: Sequence[GateEntry]) -> str:
    rows = []
    for gate in gates:
        lead = [cell(gate["gate"]), cell(gate["model"]), SIGNS[gate["state"]]]
        for told in verdicts.rows(gate):
            rows.append([*lead, *map(cell, told)])
            lead = ["", "", ""]
        if (reason := verdicts.why(gate)) is not None:
            rows.append([*lead, cell(reason), "", ""])
    return table(["gate", "model", "verdict", "wanted", "found", "rests on"], rows, 6)


def cell(text: str) -> str:
    """Text that cannot break out of a table cell or turn into mark-up."""
    for mark in "\\`*_|<>[]":
        text = text.replace(mark, "\\" + mark)
    return " ".join(text.split())


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """A table whose first `left` columns are aligned left, the others right."""
    rule = ["---" if i < left else "---:" for i in range(len(header))]
    lines = [header, rule, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def fold(summary: str, body: str) -> str:
    """A collapsible block."""
    return f"<details><summary>{html(summary)}</summary>\n\n{body}\n\n</details>"


def html(text: str) -> str:
    """Text for an HTML element."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _results(report: Report) -> str:
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
    return table(["model", "task", "metric", *_HEADER], rows, 3)


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


def _slices(result: ResultEntry, metric: MetricEntry) -> str:
    rows = [
        [f"{cell(name)} = {cell(value)}", *_numbers(entry, None)]
        for name, values in metric["slices"].items()
        for value, entry in values.items()
    ]
    title = f"{result['task']} ({result['model']}): {metric['metric']} by slice"
    return fold(title, table(["slice", *_HEADER], rows, 1))


def _cases(result: ResultEntry, limit: int) -> str:
    names = [metric["metric"] for metric in result["metrics"]]
    listed = result["cases"][:limit]
    rows = [
        [
            cell(case["id"]),
            cell(words.answer(case)),
            cell(words.one_line(case["target"])),
            *(words.number(case["scores"][name]) for name in names),
        ]
        for case in listed
    ]
    title = f"{result['task']} ({result['model']}): {len(listed)} of {result['total']} cases"
    return fold(title, table(["case", "answer", "target", *map(cell, names)], rows, 3))
