"""What the keys of a task mean together, for its type."""

from __future__ import annotations

import re

from evalc.diagnostics.near import nearest
from evalc.spec.fields import as_function, compiled
from evalc.spec.findings import Findings
from evalc.spec.index import Loc
from evalc.spec.metrics import CODE, Metric, is_counted, metric, metrics_of, slice_index, slice_name
from evalc.spec.models import ExtractSpec, TaskSpec
from evalc.spec.wording import listed

NOT_FOR = {
    "multiple_choice": ("generate", "extract", "code"),
    "generate": ("choices", "delimiter"),
    "perplexity": ("choices", "delimiter", "target", "fewshot", "generate", "extract", "code"),
}
WITHOUT_TARGET = ("likelihood_diff", *CODE)


def check_task(name: str, task: TaskSpec, findings: Findings) -> None:
    """Report keys that are missing, misplaced or at odds in one task."""
    loc: Loc = ("tasks", name)
    _average(loc, task, findings)
    if findings.is_silent((*loc, "type")):
        return
    written = task.model_fields_set
    for key in NOT_FOR[task.type]:
        if key in written:
            findings.misplaced((*loc, key), f"for a task of type `{task.type}`")
    if task.type == "multiple_choice" and task.choices is None:
        findings.missing((*loc, "choices"), "add `choices`, a template that yields a list")
    metrics = _metrics(loc, task, findings)
    needs = [m for m in metrics if not m.is_hook and m.family not in WITHOUT_TARGET]
    if task.target is None and needs and task.type != "perplexity":
        hint = f"add `target`, which the metric `{needs[0].name}` compares with"
        findings.missing((*loc, "target"), hint)
    _code(loc, task, metrics, findings)
    _choices(loc, task, metrics, findings)
    if task.type == "generate":
        _extractions(loc, task, findings)


def _metrics(loc: Loc, task: TaskSpec, findings: Findings) -> list[Metric]:
    known = []
    for position, name in enumerate(task.metrics):
        at = (*loc, "metrics", position)
        found = metric(name)
        if name in task.metrics[:position]:
            findings.add("wrong-value", at, f"repeats the metric `{name}`", "remove it")
        elif found is None:
            _unknown(at, name, task.type, findings)
        elif found.type not in (None, task.type):
            hint = f"use {listed(metrics_of(task.type))}, or a hook"
            message = f"is `{name}`, a metric of {found.type} tasks, not of {task.type} tasks"
            findings.add("misplaced-metric", at, message, hint)
        else:
            known.append(found)
            _enough_repeats(at, found, task, findings)
    return known


def _unknown(at: Loc, name: str, type_: str, findings: Findings) -> None:
    close = None if findings.many else nearest(name, metrics_of(type_))
    known = listed(metrics_of(type_))
    hint = f"did you mean `{close}`?" if close else f"use {known}, or a hook"
    if not close and (function := as_function(name)):
        hint = f"write `{function}` where it is a function of yours, or use {known}"
    if close and is_counted(close):
        hint = f"write `{close}` with a number for `k`, such as `{close[:-1]}1`"
    findings.add("unknown-metric", at, f"names the metric `{name}`, which does not exist", hint)


def _enough_repeats(at: Loc, found: Metric, task: TaskSpec, findings: Findings) -> None:
    repeats = task.generate.repeats if task.generate else 1
    if found.k and found.k > repeats and not findings.is_silent((*at[:2], "generate", "repeats")):
        message = f"is `{found.name}`, which needs {found.k} answers per case, not {repeats}"
        hint = f"set `generate.repeats = {found.k}` or more, with a temperature above 0"
        findings.add("wrong-value", at, message, hint)
    elif (found.k or 0) > 1 and not (task.generate and task.generate.temperature):
        if findings.is_silent((*at[:2], "generate", "temperature")):
            return
        message = f"is `{found.name}`, but at temperature 0 every answer to a case is the same"
        hint = "set `generate.temperature` above 0, such as 0.7"
        findings.add("wrong-value", at, message, hint)


def _code(loc: Loc, task: TaskSpec, metrics: list[Metric], findings: Findings) -> None:
    if task.type != "generate":
        return
    judged = [m for m in metrics if m.family in CODE]
    if judged and task.code is None:
        hint = f"add `code = {{ program = ... }}`, which the metric `{judged[0].name}` runs"
        findings.missing((*loc, "code"), hint)
    if findings.is_meant((*loc, "metrics")):
        return
    if task.code is not None and not judged and not findings.is_silent((*loc, "metrics")):
        hint = "add `code_pass@1` to `metrics`, or remove it"
        findings.misplaced((*loc, "code"), "without a `code_pass@k` metric", hint)


def _choices(loc: Loc, task: TaskSpec, metrics: list[Metric], findings: Findings) -> None:
    if task.type != "multiple_choice" or not isinstance(task.choices, list):
        return
    count = len(task.choices)
    if isinstance(task.target, int) and not 0 <= task.target < count:
        message = f"is `{task.target}`, but the choices are numbered 0 to {count - 1}"
        findings.add("wrong-value", (*loc, "target"), message)
    if count != 2 and any(m.name == "likelihood_diff" for m in metrics):
        message = f"has {count} entries, but the metric `likelihood_diff` compares two"
        findings.add("wrong-value", (*loc, "choices"), message)


def _average(loc: Loc, task: TaskSpec, findings: Findings) -> None:
    at = (*loc, "average")
    if task.average != "micro" and not task.average.startswith("macro:"):
        message = f"is `{task.average}`; it must be `micro` or `macro:<slice>`"
        findings.add("wrong-value", at, message)
        return
    try:
        slice_index(task.average, task.slices)
    except LookupError:
        if findings.is_silent((*loc, "slices")):
            return
        names = [slice_name(template) for template in task.slices]
        hint = f"use {listed(names)}" if names else "add the slice to `slices`"
        wanted = task.average.removeprefix("macro:")
        findings.add("unknown-slice", at, f"names the slice `{wanted}`, which is not there", hint)


def _extractions(loc: Loc, task: TaskSpec, findings: Findings) -> None:
    named = not isinstance(task.extract, ExtractSpec)
    for name, extract in task.extractions.items():
        at = (*loc, "extract", name) if named else (*loc, "extract")
        if named and name and not re.fullmatch(r"\w[\w-]*", name):
            hint = "use letters, digits, `_` and `-`"
            findings.add("bad-name", at, "has a forbidden character in its name", hint, key=True)
        _extract(at, extract, findings)


def _extract(at: Loc, extract: ExtractSpec, findings: Findings) -> None:
    written = extract.model_fields_set
    if extract.python is not None and extract.regex is not None:
        message = "cannot stand beside `regex`: one of them reads the answer"
        findings.add("conflicting-keys", (*at, "python"), message, "remove one", key=True)
    if extract.regex is None:
        if findings.is_meant((*at, "regex")):
            return
        for key in ("take", "group", "otherwise"):
            if key in written:
                findings.misplaced((*at, key), "without `regex`")
        return
    groups = compiled(extract.regex)[0].groups
    if extract.group is not None and extract.group > groups:
        message = f"is `{extract.group}`, but the regular expression has groups 0 to {groups}"
        findings.add("wrong-value", (*at, "group"), message)
