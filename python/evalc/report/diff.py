"""Comparing two reports, or two models of one, case by case."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from typing_extensions import TypedDict

from evalc.diagnostics import Diagnostic, Faults
from evalc.report.compare import ComparisonEntry, comparisons
from evalc.report.shape import Report, ResultEntry
from evalc.report.words import caveats

SCHEMA: Literal["evalc.diff/1"] = "evalc.diff/1"


class Diff(TypedDict):
    """All comparisons, what has no counterpart (`task (model): metric`), and what the scores have
    to be read with."""

    schema: Literal["evalc.diff/1"]
    a: str
    b: str
    comparisons: list[ComparisonEntry]
    unmatched_a: list[str]
    unmatched_b: list[str]
    caveats_a: list[str]
    caveats_b: list[str]


def diff_reports(
    a: Report,
    b: Report,
    *,
    names: tuple[str, str] = ("A", "B"),
    models: tuple[str, str] | None = None,
) -> Diff:
    """Compare B with A (the baseline) on common tasks, metrics and case ids.

    `models` picks one model of each report, which may be the same report twice. Without it models
    of one name are compared, or the only model of each whatever they are called. Raises `Faults`
    (`no-cases-in-report`, `unknown-model`, `nothing-to-compare`).
    """
    pairs = list(_matched(a, b, models, names))
    compared: list[ComparisonEntry] = []
    for left, right in pairs:
        for result, name in ((left, names[0]), (right, names[1])):
            if "cases" not in result:
                raise _no_cases(name)
        compared += comparisons(left, right)
    if not compared:
        raise _fault(
            "nothing-to-compare",
            f"`{names[0]}` and `{names[1]}` share no task and metric of a common model",
            "name the models to compare, or compare reports of the same tasks",
        )
    return {
        "schema": SCHEMA,
        "a": names[0],
        "b": names[1],
        "comparisons": compared,
        "unmatched_a": _unmatched(a, models and models[0], [p[0] for p in pairs], compared),
        "unmatched_b": _unmatched(b, models and models[1], [p[1] for p in pairs], compared),
        "caveats_a": caveats([left for left, _ in pairs]),
        "caveats_b": caveats([right for _, right in pairs]),
    }


def _fault(code: str, message: str, hint: str) -> Faults:
    return Faults([Diagnostic(code, message, hint=hint)])


def _no_cases(name: str) -> Faults:
    return _fault(
        "no-cases-in-report",
        f"`{name}` does not list its cases, so there is nothing to pair",
        "write the report with its cases, `evalc report --cases --json`",
    )


def _matched(
    a: Report, b: Report, models: tuple[str, str] | None, names: tuple[str, str]
) -> Iterator[tuple[ResultEntry, ResultEntry]]:
    own = [sorted({result["model"] for result in report["results"]}) for report in (a, b)]
    if models is not None:
        for model, known, name in zip(models, own, names, strict=True):
            if model not in known:
                raise _fault(
                    "unknown-model",
                    f"`{name}` has no results of a model `{model}`",
                    "name one of " + (", ".join(f"`{m}`" for m in known) or "none: it is empty"),
                )
    elif len(own[0]) == len(own[1]) == 1:
        models = (own[0][0], own[1][0])
    right = {(result["model"], result["task"]): result for result in b["results"]}
    for result in a["results"]:
        model = result["model"]
        if models is not None and model != models[0]:
            continue
        found = right.get((model if models is None else models[1], result["task"]))
        if found is not None:
            yield result, found


def _unmatched(
    report: Report,
    model: str | None,
    matched: Sequence[ResultEntry],
    compared: Sequence[ComparisonEntry],
) -> list[str]:
    shared = {(entry["task"], entry["metric"]) for entry in compared}
    together = {(result["model"], result["task"]) for result in matched}
    return [
        f"{result['task']} ({result['model']}): {metric['metric']}"
        for result in report["results"]
        for metric in result["metrics"]
        if model in (None, result["model"])
        and not (
            (result["model"], result["task"]) in together
            and (result["task"], metric["metric"]) in shared
        )
    ]
