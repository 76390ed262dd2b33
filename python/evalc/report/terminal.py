"""A report for the terminal, as a rich renderable; nothing here prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from evalc.diagnostics.amounts import many
from evalc.report import verdicts, words
from evalc.report.shape import EstimateEntry, GateEntry, MetricEntry, Report, ResultEntry


def report_view(
    report: Report, *, slices: bool = False, cases: int | None = None
) -> RenderableType:
    """The report: warnings, one line per model, task and metric, what it took.

    `slices` adds a line per slice; `cases` lists so many cases of every result that has them.
    """
    parts: list[RenderableType] = [_warning("incomplete", line) for line in words.warnings(report)]
    if report.get("gates"):
        parts += [_gates(report["gates"]), Text()]
    if apart := verdicts.unjudged(report):
        parts += [*(_warning("not judged", line) for line in apart), Text()]
    parts.append(_table(report, slices))
    parts += [_warning("note", line) for line in words.caveats(report["results"])]
    notes = (
        *verdicts.moves(report),
        *words.samples(report),
        *words.detectables(report),
        *words.costs(report),
    )
    parts += [Text(line, style="dim") for line in notes]
    if cases is not None:
        parts += [_cases(result, cases) for result in report["results"] if result.get("cases")]
    return Group(*parts)


def _warning(what: str, line: str) -> Text:
    return Text.assemble((f"{what} ", "bold yellow"), line)


STYLES = {"pass": "bold green", "fail": "bold red", "inconclusive": "bold yellow"}


def _gates(gates: Sequence[GateEntry]) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("gate", "model", "verdict", "wanted", "found"):
        table.add_column(name)
    table.add_column("rests on")
    for gate in gates:
        mark = Text(verdicts.MARKS[gate["state"]], style=STYLES[gate["state"]])
        lead: list[str | Text] = [gate["gate"], gate["model"], mark]
        for told in verdicts.rows(gate):
            table.add_row(*lead, *map(Text, told))
            lead = ["", "", ""]
        if (reason := verdicts.why(gate)) is not None:
            table.add_row(*lead, Text(reason, style="yellow"), "", "")
    return table


def _table(report: Report, slices: bool) -> Table:
    several = len(words.models(report["results"])) > 1
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (*(["model"] if several else []), "task", "metric"):
        table.add_column(name, no_wrap=True)
    for name in ("value", "stderr", "95 % interval", "cases"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in report["results"]:
        lead: tuple[str, ...] = (result["task"],)
        lead = (result["model"], *lead) if several else lead
        for metric in result["metrics"]:
            _add(table, (*lead, _label(metric)), metric, result["population"])
            lead = ("",) * len(lead)
            for name, entry in _slices(metric) if slices else ():
                _add(table, (*lead, f"  {name}"), entry, None)
    return table


def _label(metric: MetricEntry) -> str:
    macro = metric["average"] != "micro"
    return f"{metric['metric']} ({metric['average']})" if macro else metric["metric"]


def _slices(metric: MetricEntry) -> Iterator[tuple[str, EstimateEntry]]:
    for name, values in metric["slices"].items():
        for value, entry in values.items():
            yield f"{name} = {value}", entry


def _add(table: Table, lead: tuple[str, ...], entry: EstimateEntry, population: int | None) -> None:
    cells = (
        words.number(entry["value"]),
        words.number(entry["stderr"]),
        words.interval(entry["low"], entry["high"]),
        words.coverage(entry, population),
    )
    style = "" if entry["complete"] else "yellow"
    table.add_row(*(Text(text, style=style) for text in (*lead, *cells)))


def _cases(result: ResultEntry, limit: int) -> RenderableType:
    cases = result["cases"]
    names = [metric["metric"] for metric in result["metrics"]]
    title = Text(f"{result['task']} ({result['model']})", style="bold")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("case")
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("answer", overflow="ellipsis", no_wrap=True)
    table.add_column("target", overflow="ellipsis", no_wrap=True)
    for case in cases[:limit]:
        scores = [Text(words.number(case["scores"][name])) for name in names]
        target = Text(words.one_line(case["target"]))
        table.add_row(Text(case["id"]), *scores, Text(words.answer(case)), target)
    rest = [Text(f"and {many(len(cases) - limit, 'more case')}")] if len(cases) > limit else []
    return Group(Text(), title, table, *rest)
