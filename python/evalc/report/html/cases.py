"""The cases that the page's browser reads: columns per task and side, compressed, bounded in size.

Scores and answers of every scored case are there; prompts, choices and texts that models wrote
share `TEXT_BUDGET`, those of changed cases first, and the page says for how many it sufficed.
Prompts of a task that begin alike (few-shot examples) keep that part once.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evalc.diagnostics.visible import visible_within
from evalc.report import words
from evalc.report.html.sides import Side, baselines_of
from evalc.report.html.texts import Budget, Prompts, cut
from evalc.report.shape import CaseEntry, Report
from evalc.score import CellScores
from evalc.score.metrics.choice import picks

TEXT_BUDGET = 16 << 20
"""Characters of all texts together; they take about a quarter of it in the file."""
SAMPLE = 16
"""Prompts from which their common beginning is guessed."""
SHORT = 160
"""Characters of a target or an answer in the list."""

SCALES = {"acc_norm": "choice_texts_chars", "acc_bytes": "choice_bytes"}
"""Metrics that pick another choice than the likeliest, and the column they divide by."""

Texts = Mapping[tuple[str, str], CellScores]
"""Scored cells by (model, task), for the texts that a report does not carry."""


@dataclass(frozen=True)
class CaseData:
    """The browser's data as base64 of gzip of JSON, and what of the cases it holds."""

    packed: str
    cases: int
    with_texts: int
    results: int


def case_data(report: Report, sides: Mapping[str, Sequence[Side]], texts: Texts) -> CaseData:
    """The cases of all sides that list them."""
    tasks, budget = [], Budget(TEXT_BUDGET)
    for task, own in sides.items():
        listed = [side for side in own if "cases" in side.result]
        if listed:
            tasks.append(_Task(report, task, listed, texts))
    for made in tasks:
        made.spend(budget)
    shown = visible_within([made.content for made in tasks])
    content = json.dumps(shown, ensure_ascii=False, allow_nan=False)
    packed = gzip.compress(content.encode(), compresslevel=6, mtime=0)
    return CaseData(
        packed=base64.b64encode(packed).decode("ascii"),
        cases=sum(len(made.ids) for made in tasks),
        with_texts=sum(made.with_texts for made in tasks),
        results=sum(len(made.content["sides"]) for made in tasks),
    )


class _Task:
    """A task's cases: those that one of its own sides has scored, in the order of the dataset."""

    def __init__(self, report: Report, task: str, sides: Sequence[Side], texts: Texts) -> None:
        self._sides, self._texts = sides, texts
        self._by_id = [_by_id(side.result["cases"]) for side in sides]
        found = [key for own in self._by_id for key in own]
        scored = [key for key in dict.fromkeys(found) if self._scored(key)]
        self._keys, self.ids = scored, [name for name, _ in scored]
        self._baselines = [side.name for side in baselines_of(report, task, sides)]
        self.with_texts = 0
        self.content: dict[str, Any] = {
            "task": task,
            "kind": sides[0].result["kind"],
            "ids": self.ids,
            "targets": [self._target(key) for key in scored],
            "baselines": self._baselines,
            "metric": _first_metric(report, task, sides[0]),
            "prefix": "",
            "prompts": [None] * len(scored),
            "choices": [None] * len(scored),
            "sides": [self._side(place) for place in range(len(sides))],
        }

    def _entries(self, key: tuple[str, int]) -> list[CaseEntry | None]:
        cases = [side.result["cases"] for side in self._sides]
        return [
            own[by_id[key]] if key in by_id else None
            for own, by_id in zip(cases, self._by_id, strict=True)
        ]

    def _scored(self, key: tuple[str, int]) -> bool:
        return any(
            side.own and entry is not None and _is_scored(entry)
            for side, entry in zip(self._sides, self._entries(key), strict=True)
        )

    def _target(self, key: tuple[str, int]) -> Any:
        entry = next(entry for entry in self._entries(key) if entry is not None)
        target = entry["target"]
        return target if isinstance(target, int | type(None)) else words.one_line(target, SHORT)

    def _side(self, place: int) -> dict[str, Any]:
        side, by_id = self._sides[place], self._by_id[place]
        cases = side.result["cases"]
        entries = [cases[by_id[key]] if key in by_id else None for key in self._keys]
        scores = {
            metric["metric"]: [_score(entry, metric["metric"]) for entry in entries]
            for metric in side.result["metrics"]
        }
        return {
            "name": side.name,
            "own": side.own,
            "model": side.result["model"],
            "directions": {m["metric"]: m["direction"] for m in side.result["metrics"]},
            "scores": scores,
            "picked": [None if entry is None else entry.get("picked") for entry in entries],
            "answers": [_answer(entry) for entry in entries],
            "picks": self._picks(entries),
            "logs": [None] * len(entries),
            "outputs": [None] * len(entries),
        }

    def _picks(self, entries: Sequence[CaseEntry | None]) -> dict[str, list[int | None]]:
        """What each metric picked, where it is another choice than the likeliest."""
        found: dict[str, list[int | None]] = {}
        for metric in SCALES:
            if any(entry and metric in entry.get("picks", {}) for entry in entries):
                found[metric] = [
                    None if entry is None else entry.get("picks", {}).get(metric)
                    for entry in entries
                ]
        return found

    def spend(self, budget: Budget) -> None:
        """Add texts while the budget lasts, those of changed cases first."""
        cell = self._cell(self._sides[0])
        self._logs()
        if cell is None or not self._keys:
            return
        rows = [self._by_id[0].get(key) for key in self._keys]
        known = [at for at, row in enumerate(rows) if row is not None]
        some = known[:: max(1, len(known) // SAMPLE)]
        prompts = Prompts([str(cell.cell.row(rows[at] or 0)["prompt"]) for at in some])
        for at in sorted(known, key=lambda at: (not self._changed(at), at)):
            row = cell.cell.row(rows[at] or 0)
            choices = [cut(str(choice)) for choice in row["choices"]]
            outputs = [self._outputs(side, by_id, at) for side, by_id in self._placed()]
            rest = prompts.rest(str(row["prompt"]))
            if budget.takes([rest[1], *choices, *(text for own in outputs for text in own)]):
                self._hold(at, rest, choices, outputs)
        self._prompts(prompts)

    def _hold(
        self, at: int, rest: tuple[int, str], choices: list[str], outputs: list[list[str]]
    ) -> None:
        self.with_texts += 1
        self.content["prompts"][at] = rest
        self.content["choices"][at] = choices or None
        for side, own in zip(self.content["sides"], outputs, strict=True):
            side["outputs"][at] = own or None

    def _placed(self) -> list[tuple[Side, dict[tuple[str, int], int]]]:
        return list(zip(self._sides, self._by_id, strict=True))

    def _prompts(self, prompts: Prompts) -> None:
        """Keep once what all begin with."""
        self.content["prefix"] = cut(prompts.shared)
        self.content["prompts"] = [
            None if rest is None else cut(prompts.without(rest)) for rest in self.content["prompts"]
        ]

    def _cell(self, side: Side) -> CellScores | None:
        return self._texts.get((side.result["model"], side.task)) if side.own else None

    def _outputs(self, side: Side, by_id: Mapping[tuple[str, int], int], at: int) -> list[str]:
        cell, key = self._cell(side), self._keys[at]
        if cell is None or cell.cell.kind != "generate" or key not in by_id:
            return []
        return [cut(text) for text in cell.cell.texts_of(by_id[key])]

    def _logs(self) -> None:
        """Log-likelihoods of the choices, which say how close a pick was, and other picks."""
        for (side, by_id), content in zip(self._placed(), self.content["sides"], strict=True):
            cell = self._cell(side)
            if cell is None or cell.cell.kind != "multiple_choice":
                continue
            places = [by_id.get(key) for key in self._keys]
            content["logs"] = [None if at is None else _logs_of(cell, at) for at in places]
            for metric, scale in SCALES.items():
                if metric in content["scores"]:
                    chosen = picks(cell.cell, getattr(cell.cell, scale)).tolist()
                    content["picks"][metric] = [None if at is None else chosen[at] for at in places]

    def _changed(self, at: int) -> bool:
        """Whether any side differs from another in a score."""
        sides = self.content["sides"]
        for metric in sides[0]["scores"]:
            values = {one["scores"][metric][at] for one in sides if metric in one["scores"]}
            if len(values - {None}) > 1:
                return True
        return False


def _first_metric(report: Report, task: str, side: Side) -> str:
    """The metric that is shown first: one that a gate judges, else the task's first."""
    judged = [gate["metric"] for gate in report.get("gates", []) if gate["task"] == task]
    names = [metric["metric"] for metric in side.result["metrics"]]
    return next((name for name in judged if name in names), names[0])


def _by_id(cases: Sequence[CaseEntry]) -> dict[tuple[str, int], int]:
    """Places of cases by id and occurrence: rows of equal content may share an id."""
    seen: dict[str, int] = {}
    found = {}
    for place, case in enumerate(cases):
        occurrence = seen.get(case["id"], 0)
        seen[case["id"]] = occurrence + 1
        found[case["id"], occurrence] = place
    return found


def _logs_of(cell: CellScores, case: int) -> list[float] | None:
    first, last = (int(end) for end in cell.cell.offsets[case : case + 2])
    own = cell.cell.loglik[first:last]
    return np.round(own, 3).tolist() if np.isfinite(own).all() else None


def _is_scored(entry: CaseEntry) -> bool:
    return any(score is not None for score in entry["scores"].values())


def _score(entry: CaseEntry | None, metric: str) -> float | None:
    score = None if entry is None else entry["scores"].get(metric)
    return None if score is None else round(score, 6)


def _answer(entry: CaseEntry | None) -> str | None:
    """The extracted texts on one line; None for a case of choices, whose pick is a number."""
    if entry is None or "answers" not in entry:
        return None
    texts = [text for own in entry["answers"].values() for text in own]
    return words.one_line(" | ".join(dict.fromkeys(texts)), SHORT)
