"""Results as charts and tables: a chart for each metric, with every task and model on one scale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from evalc.report import words
from evalc.report.html import charts
from evalc.report.html.figures import SERIES, Figure, figure, series
from evalc.report.html.sides import Side, baseline_value, metric_of
from evalc.report.shape import EstimateEntry, GateEntry, MetricEntry, Report, ResultEntry

MOST_ROWS = 300
"""Above this many rows a chart of a metric is no longer read, and only the table is given."""
TOGETHER = 40
"""Up to this many shares are drawn in one chart; one with more rows is folded."""
SHARES = "Scores from 0 to 1"
ANYTIME = "anytime"
"""The method of an estimate that has the benchmark's interval, as no other holds."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, and what it is sorted by; a `minor` one is not for phones."""

    text: str
    key: str
    number: bool = True
    minor: bool = False


@dataclass(frozen=True)
class SliceTable:
    """The slices of one task's results."""

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
    """Charts of all results: shares on one scale while they are few, else a chart per metric."""
    rows = list(_rows(report, sides))
    shares = [row for row in rows if _is_share(row)]
    together = len(shares) <= TOGETHER
    found: dict[str, list[charts.Row]] = {}
    for row in rows:
        shared = together and _is_share(row)
        found.setdefault(SHARES if shared else row["metric"], []).append(row)
    drawn = []
    for name, own in found.items():
        several = len({row["metric"] for row in own}) > 1
        for row in own:
            names = [row["task"], row["metric"] * several, row["model"] * _several(report)]
            row["label"] = " · ".join(filter(None, names))
        if len(own) <= MOST_ROWS:
            made = figure(name, _told(own), partial(charts.intervals, own))
            drawn.append(replace(made, folded=len(own) > TOGETHER))
    return drawn


def _several(report: Report) -> bool:
    return len(models_of(report)) > 1


def _is_share(row: charts.Row) -> bool:
    ends = [row[end] for end in ("value", "low", "high") if row[end] is not None]
    return bool(row["share"]) and min(ends) >= 0 and max(ends) <= 1


def _rows(report: Report, sides: dict[str, list[Side]]) -> Iterator[charts.Row]:
    colors = {model: series(number) for number, model in enumerate(models_of(report))}
    for result, metric in _in_order(report):
        if metric["value"] is not None:
            yield {**_row(report, result, metric, sides), "color": colors[result["model"]]}


def _in_order(report: Report) -> Iterator[tuple[ResultEntry, MetricEntry]]:
    """Results with their metrics, so that the models stand below each other."""
    for task in dict.fromkeys(result["task"] for result in report["results"]):
        own = [result for result in report["results"] if result["task"] == task]
        for name in dict.fromkeys(m["metric"] for result in own for m in result["metrics"]):
            for result in own:
                if (metric := metric_of(result, name)) is not None:
                    yield result, metric


def _told(rows: list[charts.Row]) -> str:
    return "; ".join(
        f"{row['label']}: {words.number(row['value'])}, {words.interval(*_widest(row))}"
        for row in rows
    )


def _widest(row: charts.Row) -> tuple[float | None, float | None]:
    known = row["low"] is not None
    return (row["low"], row["high"]) if known else (row["least"], row["most"])


def _row(
    report: Report, result: ResultEntry, metric: MetricEntry, sides: dict[str, list[Side]]
) -> charts.Row:
    least, most = benchmark(metric)
    low, high = _population(metric)
    gates = list(_gates(report, result, metric))
    bounds = [_bound(gate) for gate in gates]
    baselines = [baseline_value(gate, sides) for gate in gates]
    return {
        "task": result["task"],
        "metric": metric["metric"],
        "model": result["model"],
        "share": metric["direction"] == "higher",
        "value": metric["value"],
        "low": low,
        "high": high,
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


def benchmark(metric: MetricEntry) -> tuple[float | None, float | None]:
    """Where the value of the full run lies, as far as the report says; a point when it was run."""
    found = metric.get("benchmark")
    return (None, None) if found is None else (found["low"], found["high"])


def is_partial(report: Report) -> bool:
    """Whether the full run's value of some result is not known exactly."""
    spans = [benchmark(metric) for result in report["results"] for metric in result["metrics"]]
    return any(low != high for low, high in spans)


def result_rows(report: Report) -> list[list[Cell]]:
    """A row for each task, metric and model, in the order of the charts."""
    return [
        [
            text(result["task"]),
            text(label(metric)),
            text(result["model"]),
            *_numbers(metric),
            _benchmark(metric),
            amount(metric["n"], words.coverage(metric, result["population"])),
        ]
        for result, metric in _in_order(report)
    ]


def label(metric: MetricEntry) -> str:
    """A metric with its average, where that is not over cases."""
    macro = metric["average"] != "micro"
    return f"{metric['metric']} ({metric['average']})" if macro else metric["metric"]


def _population(entry: EstimateEntry) -> tuple[float | None, float | None]:
    """The interval for questions like these; a run that ended early has none."""
    early = entry["method"] == ANYTIME
    return (None, None) if early else (entry["low"], entry["high"])


def _numbers(entry: EstimateEntry) -> list[Cell]:
    low, high = _population(entry)
    return [
        amount(entry["value"], words.number(entry["value"])),
        replace(amount(entry["stderr"], words.number(entry["stderr"])), minor=True),
        amount(low, words.interval(low, high)),
    ]


def _benchmark(metric: MetricEntry) -> Cell:
    least, most = benchmark(metric)
    shown = "exact" if least is not None and least == most else words.interval(least, most)
    return amount(least, shown)


def slice_tables(report: Report) -> list[SliceTable]:
    """A table for each task that has slices."""
    found: dict[str, list[list[Cell]]] = {}
    for result, metric in _in_order(report):
        for name, values in metric["slices"].items():
            for value, entry in values.items():
                row = [
                    text(f"{name} = {value}"),
                    text(label(metric)),
                    text(result["model"]),
                    *_numbers(entry),
                    amount(entry["n"], words.coverage(entry, None)),
                ]
                found.setdefault(result["task"], []).append(row)
    return [
        SliceTable(task, sorted(rows, key=lambda row: (row[0].key, row[1].key)))
        for task, rows in found.items()
    ]


def scale_names(report: Report) -> list[tuple[int, str]]:
    """Models with the numbers of their colours, for a legend."""
    return [(number % SERIES, model) for number, model in enumerate(models_of(report))]
