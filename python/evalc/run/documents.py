"""What an evaluation gives back. Each is its JSON document, `as_json`, with names for what is asked
most; two of equal documents are equal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evalc.diagnostics import Diagnostic, Faults
from evalc.diagnostics.near import nearest
from evalc.report import Report as ReportDocument
from evalc.report import from_json, to_json
from evalc.report.html import report_page
from evalc.report.html.extra import require
from evalc.report.shape import CaseEntry, GateEntry, ResultEntry
from evalc.report.verdicts import exit_code
from evalc.run.frames import Table
from evalc.store.files import write_file


@dataclass(frozen=True, slots=True)
class Total:
    """Counts of requests, and what those that remain take: seconds, and US dollars if priced."""

    cases: int
    requests: int
    deduped: int
    cached: int
    to_run: int
    seconds: float
    usd: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would ask; the document of `evalc plan --json`."""

    as_json: dict[str, Any]

    @property
    def total(self) -> Total:
        """Of all models and tasks."""
        total = self.as_json["total"]
        names = ("cases", "requests", "deduped", "cached", "to_run")
        counts = {name: total[name] for name in names}
        return Total(**counts, seconds=total["estimate"]["seconds"], usd=total["estimate"]["usd"])

    def reasons(self, task: str, model: str | None = None) -> list[dict[str, Any]]:
        """Why cases of a task remain, by how many. Raises Faults (`unknown-task`)."""
        cells = [c for c in self.as_json["cells"] if c["task"] == task]
        cells = [c for c in cells if model in (None, c["model"])]
        if not cells:
            names = {c["task"] for c in self.as_json["cells"]}
            raise _unknown("unknown-task", "the plan", _named(task, model), names)
        return [reason for cell in cells for reason in cell["reasons"]]

    def table(self) -> Table:
        """One row for each model and task."""
        return Table(
            [
                {
                    **{k: v for k, v in cell.items() if not isinstance(v, dict | list)},
                    **{k: cell["estimate"][k] for k in ("flops", "seconds", "usd")},
                }
                for cell in self.as_json["cells"]
            ]
        )

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return self.table()._repr_html_()


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate's verdict on a model; `error` bounds the probability that it is wrong."""

    name: str
    model: str
    task: str
    metric: str
    state: Literal["pass", "fail", "inconclusive"]
    error: float
    why: str | None
    as_json: GateEntry


@dataclass(frozen=True, slots=True)
class Report:
    """Scores and verdicts; the document of `evalc report --json`, with every case."""

    as_json: ReportDocument

    @property
    def gates(self) -> list[Gate]:
        """Verdicts, in the order of the report."""
        return [
            Gate(
                entry["gate"],
                entry["model"],
                entry["task"],
                entry["metric"],
                entry["state"],
                entry["error"],
                entry["why"],
                entry,
            )
            for entry in self.as_json.get("gates", [])
        ]

    @property
    def passed(self) -> bool:
        """Whether no gate failed, and none is undecided that has to be decided."""
        return not exit_code(self.as_json.get("gates", []))

    @property
    def complete(self) -> bool:
        """Whether every case is scored."""
        return self.as_json["complete"]

    def value(self, task: str, metric: str, model: str | None = None) -> float | None:
        """A metric's value. Raises Faults (`unknown-task`, `unknown-metric`, `unknown-model`)."""
        result = self._result(task, model)
        for entry in result["metrics"]:
            if entry["metric"] == metric:
                return entry["value"]
        known = [entry["metric"] for entry in result["metrics"]]
        raise _unknown("unknown-metric", f"`{task}`", metric, known)

    def table(self) -> Table:
        """One row for each model, task and metric."""
        names = ("value", "stderr", "low", "high", "n", "total")
        return Table(
            [
                {
                    "model": result["model"],
                    "task": result["task"],
                    "metric": metric["metric"],
                    **{name: metric[name] for name in names},  # type: ignore[literal-required]
                }
                for result in self.as_json["results"]
                for metric in result["metrics"]
            ]
        )

    def cases(self, task: str, model: str | None = None) -> Table:
        """One row for each case of a task: its id, target and scores. Raises Faults."""
        return Table([_case(entry) for entry in self._result(task, model).get("cases", [])])

    def _repr_html_(self) -> str:
        """What a notebook shows: verdicts, then scores."""
        verdicts = [
            {"gate": g.name, "model": g.model, "metric": f"{g.task}.{g.metric}", "state": g.state}
            for g in self.gates
        ]
        return (Table(verdicts)._repr_html_() if verdicts else "") + self.table()._repr_html_()

    def html(self, path: str | Path) -> None:
        """Write the page of `evalc report --html`, without the texts of cases.

        Raises Faults (`missing-package`, `file-unwritable`).
        """
        require()
        write_file(Path(path), report_page(self.as_json))

    def write(self, path: str | Path) -> None:
        """Write the document, which `read_report` and `evalc diff` read, whole or not at all.

        Raises Faults (`file-unwritable`).
        """
        write_file(Path(path), to_json(self.as_json))

    def _result(self, task: str, model: str | None) -> ResultEntry:
        """Of the only model that has the task, unless one is named."""
        found = [r for r in self.as_json["results"] if r["task"] == task]
        found = [r for r in found if model in (None, r["model"])]
        if not found:
            tasks = {r["task"] for r in self.as_json["results"]}
            raise _unknown("unknown-task", "the report", _named(task, model), tasks)
        if len(found) > 1:
            names = ", ".join(f"`{r['model']}`" for r in found)
            message = f"several models have results of `{task}`: {names}"
            hint = "name one: `model=...`"
            raise Faults([Diagnostic("unknown-model", message, hint=hint)])
        return found[0]


@dataclass(frozen=True, slots=True)
class Run:
    """What a run did: requests `asked`, wall `seconds`, and the report that they make."""

    asked: int
    seconds: float
    report: Report

    @property
    def gates(self) -> list[Gate]:
        """Verdicts of the report."""
        return self.report.gates

    @property
    def passed(self) -> bool:
        """Whether the gates let it pass."""
        return self.report.passed


def read_report(path: str | Path) -> Report:
    """A report in a file, as `Report.write` and `evalc report --json` write. Raises Faults."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        hint = "name a file that `evalc report --json` wrote"
        found = Diagnostic("not-a-report", f"`{path}` cannot be read: {error}", hint=hint)
        raise Faults([found]) from None
    return Report(from_json(text, str(path)))


def _case(entry: CaseEntry) -> dict[str, Any]:
    row = {"id": entry["id"], "target": entry["target"], **entry["scores"]}
    own = ("picked", "cluster")
    return {**row, **{name: entry[name] for name in own if name in entry}}  # type: ignore[literal-required]


def _named(task: str, model: str | None) -> str:
    return task if model is None else f"{task} ({model})"


def _unknown(code: str, where: str, name: str, names: Iterable[str]) -> Faults:
    near = nearest(name, names)
    hint = f"did you mean `{near}`?" if near else None
    return Faults([Diagnostic(code, f"{where} has no `{name}`", hint=hint)])
