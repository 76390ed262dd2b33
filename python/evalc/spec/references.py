"""What one table says about another: names, tags, globs, metrics, path variables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from evalc.spec.findings import Findings
from evalc.spec.index import Loc
from evalc.spec.matching import TAG, is_pattern, matching
from evalc.spec.metrics import OF_THE_WHOLE, split_metric
from evalc.spec.models import (
    DatasetSpec,
    GateSpec,
    ModelSpec,
    SuiteSpec,
    TaskSpec,
    TierSpec,
    TriggerSpec,
)
from evalc.spec.wording import listed

FULL = "full"
NONE = "none"
VARIABLE = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True, slots=True)
class Names:
    """Every name that the files define, also of tables with faults in them."""

    models: dict[str, Sequence[str]]
    datasets: list[str]
    tasks: dict[str, Sequence[str]]
    tiers: list[str]
    paths: list[str]
    metrics: dict[str, TaskSpec | None]
    priced: bool


def names(tables: Mapping[str, Any], tasks: Mapping[str, TaskSpec], priced: bool) -> Names:
    """The names of merged tables; `tasks` are those that could be validated."""
    tags: dict[str, Sequence[str]] = {
        name: tasks[name].tags if name in tasks else [] for name in tables["tasks"]
    }
    return Names(
        models=dict.fromkeys(tables["models"], ()),
        datasets=list(tables["datasets"]),
        tasks=tags,
        tiers=[*tables["tiers"], FULL],
        paths=list(tables["paths"]),
        metrics={name: tasks.get(name) for name in tables["tasks"]},
        priced=priced,
    )


def check_model(name: str, model: ModelSpec, known: Names, findings: Findings) -> None:
    """Path variables, and keys that need `chat`."""
    loc: Loc = ("models", name)
    _variables((*loc, "path"), model.path, known, findings)
    if model.adapter is not None:
        _variables((*loc, "adapter"), model.adapter, known, findings)
    if model.system is not None and not model.chat and not findings.is_meant((*loc, "chat")):
        hint = "add `chat = true`, or put the text into `description` of the task"
        findings.misplaced((*loc, "system"), "without `chat = true`", hint)


def check_dataset(name: str, dataset: DatasetSpec, known: Names, findings: Findings) -> None:
    """Path variables, and keys for delimited files."""
    loc: Loc = ("datasets", name)
    _variables((*loc, "path"), dataset.path, known, findings)
    suffixes = PurePath(dataset.path).suffixes
    delimited = any(suffix.lower() in (".csv", ".tsv") for suffix in suffixes)
    if dataset.quote is not None and (dataset.path.startswith("hf:") or not delimited):
        findings.misplaced((*loc, "quote"), "for what is no csv or tsv file")


def check_task(name: str, task: TaskSpec, known: Names, findings: Findings) -> None:
    """The datasets that a task draws on."""
    loc: Loc = ("tasks", name)
    if task.dataset not in known.datasets:
        findings.unknown("dataset", task.dataset, (*loc, "dataset"), known.datasets)
    if task.fewshot and task.fewshot.dataset not in known.datasets:
        at = (*loc, "fewshot", "dataset")
        findings.unknown("dataset", task.fewshot.dataset, at, known.datasets)


def check_suite(name: str, suite: SuiteSpec, known: Names, findings: Findings) -> None:
    """The models, tasks and tier of a suite."""
    loc: Loc = ("suites", name)
    _patterns("model", suite.models, known.models, (*loc, "models"), findings)
    _patterns("task", suite.tasks, known.tasks, (*loc, "tasks"), findings)
    if suite.tier is not None and suite.tier not in known.tiers:
        findings.unknown("tier", suite.tier, (*loc, "tier"), known.tiers)


def check_tier(name: str, tier: TierSpec, known: Names, findings: Findings) -> None:
    """A budget in money needs a price."""
    if tier.dollars is not None and not known.priced:
        loc: Loc = ("tiers", name, "dollars")
        hint = "add `[cost]` with `usd_per_hour`"
        findings.misplaced(loc, "without a price per hour", hint)


def check_trigger(position: int, trigger: TriggerSpec, known: Names, findings: Findings) -> None:
    """One condition, and a tier."""
    loc: Loc = ("triggers", position)
    written = [key for key in ("paths", "changed", "default") if getattr(trigger, key)]
    if len(written) > 1:
        message = f"cannot stand beside `{written[0]}`"
        hint = "write two triggers"
        findings.add("conflicting-keys", (*loc, written[1]), message, hint, key=True)
    if not written and not findings.is_meant(*((*loc, k) for k in ("paths", "changed", "default"))):
        hint = "add `paths`, `changed` or `default = true`"
        findings.add("missing-key", loc, "has no condition", hint)
    if trigger.tier not in (*known.tiers, NONE):
        findings.unknown("tier", trigger.tier, (*loc, "tier"), [*known.tiers, NONE])


def check_gate(name: str, gate: GateSpec, known: Names, findings: Findings) -> None:
    """The metric, the condition and what follows an undecided gate."""
    loc: Loc = ("gates", name)
    _gate_metric((*loc, "metric"), gate.metric, known, findings)
    _patterns("model", gate.models, known.models, (*loc, "models"), findings)
    _patterns("model", gate.among or [], known.models, (*loc, "among"), findings)
    _candidates((*loc, "among"), gate.among, known, findings)
    _gate_condition(loc, gate, findings)
    _gate_difference(loc, gate, known, findings)
    at, then = (*loc, "on_inconclusive"), gate.on_inconclusive
    if then.startswith("escalate:"):
        tier = then.removeprefix("escalate:")
        if tier not in known.tiers:
            findings.unknown("tier", tier, at, known.tiers)
    elif then not in ("fail", "warn"):
        message = f"is `{then}`; it must be {listed(['fail', 'warn', 'escalate:<tier>'])}"
        findings.add("wrong-value", at, message)


def _candidates(loc: Loc, among: Sequence[str] | None, known: Names, findings: Findings) -> None:
    """Two models or more; a name that is unknown is a finding of its own."""
    names = dict.fromkeys(known.models, ())
    found = [set(matching(pattern, names)) for pattern in among or ()]
    if among is None or not all(found) or len(set().union(*found)) > 1:
        return
    message = f"names {'one model' if found else 'no model'}; a race needs two"
    findings.add("wrong-value", loc, message, "name two models or more, or a glob of them")


def _gate_condition(loc: Loc, gate: GateSpec, findings: Findings) -> None:
    limits = [
        key
        for key in ("min", "max", "max_drop", "half_width", "among")
        if getattr(gate, key) is not None
    ]
    keys = ("min", "max", "max_drop", "baseline", "half_width", "among")
    if findings.is_meant(*((*loc, key) for key in keys)):
        return
    if not limits and gate.baseline is None:
        hint = "add `min`, `max`, `max_drop` with `baseline`, `half_width` or `among`"
        findings.add("missing-key", loc, "has no condition", hint)
    if gate.max_drop is not None and gate.baseline is None:
        findings.missing((*loc, "baseline"), "name what `max_drop` is compared with")
    if gate.baseline is not None and gate.max_drop is None:
        findings.missing((*loc, "max_drop"), "say how far below the baseline still passes")
    if gate.among is not None and len(limits) > 1:
        other = next(key for key in limits if key != "among")
        message = f"cannot stand beside `{other}`"
        findings.add("conflicting-keys", (*loc, "among"), message, "write two gates", key=True)
    if gate.min is not None and gate.max is not None and gate.min > gate.max:
        findings.add("wrong-value", (*loc, "min"), f"is larger than `max`, `{gate.max}`")


def _gate_difference(loc: Loc, gate: GateSpec, known: Names, findings: Findings) -> None:
    """A drop is a difference of cases, and a race one that has a better side."""
    parts = split_metric(gate.metric, known.metrics)
    named = None if parts is None else parts[1]
    if gate.max_drop is not None and named in OF_THE_WHOLE:
        why = f"for `{named}`, which is no mean of scores from 0 to 1"
        hint = "set `min` or `max`, which is judged when every case is answered"
        findings.misplaced((*loc, "max_drop"), why, hint)
    if gate.among is not None and named == "likelihood_diff":
        findings.misplaced((*loc, "among"), f"for `{named}`, of which neither way is better")


def _gate_metric(loc: Loc, text: str, known: Names, findings: Findings) -> None:
    parts = split_metric(text, known.metrics)
    if parts is None:
        hint = findings.meant(text.rpartition(".")[0] or text, list(known.metrics))
        message = f"is `{text}`, which begins with no task and a dot"
        findings.add("unknown-task", loc, message, hint or "write it as `task.metric`")
        return
    name, metric, extraction = parts
    task = known.metrics[name]
    if task is None or findings.is_silent(("tasks", name, "metrics")):
        return
    if metric not in task.metrics:
        if findings.is_wrong_within(("tasks", name, "metrics")):
            return
        hint = findings.meant(metric, task.metrics) or f"use {listed(task.metrics)}"
        message = f"asks for `{metric}`, which the task `{name}` does not report"
        findings.add("unknown-metric", loc, message, hint)
    elif task.type == "generate" and extraction not in task.extractions:
        ways = [f"{name}.{metric}@{way}" if way else f"{name}.{metric}" for way in task.extractions]
        message = f"names none of the extractions of the task `{name}`"
        findings.add("unknown-metric", loc, message, f"use {listed(ways)}")


def _patterns(
    what: str,
    patterns: Sequence[str],
    known: Mapping[str, Sequence[str]],
    loc: Loc,
    findings: Findings,
) -> None:
    for position, pattern in enumerate(patterns):
        at = (*loc, position)
        if matching(pattern, known):
            continue
        if not is_pattern(pattern):
            findings.unknown(what, pattern, at, list(known))
        elif not any(findings.is_silent(("tasks", name, "tags")) for name in known):
            tags = sorted({TAG + tag for tags in known.values() for tag in tags})
            hint = findings.meant(pattern, tags) if pattern.startswith(TAG) else None
            message = f"is `{pattern}`, which matches no {what}"
            findings.add("empty-match", at, message, hint or "remove it, or name what exists")


def _variables(loc: Loc, text: str, known: Names, findings: Findings) -> None:
    for match in VARIABLE.finditer(text):
        if match[1] in known.paths:
            continue
        span = (len(text[: match.start()].encode()), len(text[: match.end()].encode()))
        close = findings.meant(match[1], known.paths)
        hint = close or f"define it as `[paths] {match[1] or 'data'} = ...`"
        message = f"uses the variable `{match[0]}`, which `[paths]` does not define"
        findings.add("unknown-variable", loc, message, hint, span=span)
