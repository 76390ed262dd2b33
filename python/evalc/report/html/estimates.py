"""Results as charts and tables: a chart for each metric, with every task and model on one scale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from evalc.report import words
from evalc.report.html import charts
from evalc.report.html.figures import Figure, figure, series
from evalc.report.html.sides import Side, baseline_value
from evalc.report.shape import EstimateEntry, GateEntry, MetricEntry, Report, ResultEntry

MOST_ROWS = 120
"""Above this many rows a chart of a metric is no longer read, and only the table is given."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, and what it is sorted by."""

    text: str
    key: str
    number: bool = True


@dataclass(frozen=True)
class SliceTable:
    """The slices of one result's metric."""

    title: str
    rows: list[list[Cell]]


def text(value: str) -> Cell:
    """A cell that is sorted as text."""
    return Cell(value, value, number=False)


def amount(value: float | None, shown: str) -> Cell:
    """A cell that is sorted as a number; what is missing comes last."""
    return Cell(shown, "" if value is None else repr(float(value)))


def models_of(report: Report) -> list[str]:
    """The models, in the order of their colours."""
    return words.models(report["results"])


def result_figures(report: Report, sides: dict[str, list[Side]]) -> list[Figure]:
    """A chart for each metric."""
    colors = {model: series(number) for number, model in enumerate(models_of(report))}
    found: dict[str, list[charts.Row]] = {}
    for result in report["results"]:
        for metric in result["metrics"]:
            if metric["value"] is not None:
                row = _row(report, result, metric, sides)
                row["color"] = colors[result["model"]]
                found.setdefault(metric["metric"], []).append(row)
    return [
        figure(name, _told(rows), partial(charts.intervals, rows))
        for name, rows in found.items()
        if len(rows) <= MOST_ROWS
    ]


def _told(rows: list[charts.Row]) -> str:
    return "; ".join(
        f"{row['label']}: {words.number(row['value'])}, {words.interval(row['low'], row['high'])}"
        for row in rows
    )


def _row(
    report: Report, result: ResultEntry, metric: MetricEntry, sides: dict[str, list[Side]]
) -> charts.Row:
    several = len(models_of(report)) > 1
    least, most = benchmark(report, result, metric)
    gates = list(_gates(report, result, metric))
    bounds = [_bound(gate) for gate in gates]
    baselines = [
        baseline_value(sides, result["task"], gate["baseline"], metric["metric"])
        for gate in gates
        if gate["baseline"] is not None
    ]
    return {
        "label": f"{result['task']} · {result['model']}" if several else result["task"],
        "value": metric["value"],
        "low": metric["low"],
        "high": metric["high"],
        "least": least,
        "most": most,
        "bound": next((bound for bound in bounds if bound is not None), None),
        "baseline": next((value for value in baselines if value is not None), None),
    }


def _gates(report: Report, result: ResultEntry, metric: MetricEntry) -> Iterator[GateEntry]:
    wanted = (result["model"], result["task"], metric["metric"])
    for gate in report.get("gates", []):
        if (gate["model"], gate["task"], gate["metric"]) == wanted:
            yield gate


def _bound(gate: GateEntry) -> float | None:
    for entry in gate["conditions"]:
        if entry["scope"] == "value" and entry["key"] != "half_width":
            return entry["bound"]
    return None


def benchmark(
    report: Report, result: ResultEntry, metric: MetricEntry
) -> tuple[float | None, float | None]:
    """Where the full run's value lies: a point when it was run, else as the gates' looks say."""
    sampled = result["population"] is not None and result["population"] > result["total"]
    if metric["complete"] and not sampled:
        return metric["value"], metric["value"]
    for gate in _gates(report, result, metric):
        for entry in gate["conditions"]:
            if entry["scope"] == "value" and entry["low"] is not None:
                return entry["low"], entry["high"]
    return None, None


def result_rows(report: Report) -> list[list[Cell]]:
    """A row for each model, task and metric."""
    return [
        [
            text(result["task"]),
            text(result["model"]),
            text(label(metric)),
            *_numbers(metric),
            _benchmark(report, result, metric),
            amount(metric["n"], words.coverage(metric, result["population"])),
        ]
        for result in report["results"]
        for metric in result["metrics"]
    ]


def label(metric: MetricEntry) -> str:
    """A metric with its average, where that is not over cases."""
    macro = metric["average"] != "micro"
    return f"{metric['metric']} ({metric['average']})" if macro else metric["metric"]


def _numbers(entry: EstimateEntry) -> list[Cell]:
    return [
        amount(entry["value"], words.number(entry["value"])),
        amount(entry["stderr"], words.number(entry["stderr"])),
        amount(entry["low"], words.interval(entry["low"], entry["high"])),
    ]


def _benchmark(report: Report, result: ResultEntry, metric: MetricEntry) -> Cell:
    least, most = benchmark(report, result, metric)
    shown = "exact" if least is not None and least == most else words.interval(least, most)
    return amount(least, shown)


def slice_tables(report: Report) -> list[SliceTable]:
    """A table for each metric that has slices."""
    return [
        SliceTable(
            f"{result['task']} · {result['model']} · {metric['metric']}",
            [
                [
                    text(f"{name} = {value}"),
                    *_numbers(entry),
                    amount(entry["n"], words.coverage(entry, None)),
                ]
                for name, values in metric["slices"].items()
                for value, entry in values.items()
            ],
        )
        for result in report["results"]
        for metric in result["metrics"]
        if metric["slices"]
    ]


def scale_names(report: Report) -> list[tuple[int, str]]:
    """Models with the numbers of their colours, for a legend."""
    return [(number % 6, model) for number, model in enumerate(models_of(report))]


def first_run(report: Report) -> dict[str, Any]:
    """The manifest of the last run, empty when there is none."""
    return report["runs"][-1] if report["runs"] else {}
