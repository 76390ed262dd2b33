"""From spec files to a checked `Folder`, or every fault in them at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from evalc.diagnostics import Diagnostic, Faults
from evalc.spec import meaning, references
from evalc.spec.findings import Findings
from evalc.spec.folder import Folder
from evalc.spec.merge import VERSION, Merged, merged
from evalc.spec.models import (
    CostSpec,
    DatasetSpec,
    GateSpec,
    HooksSpec,
    ModelSpec,
    Spec,
    SuiteSpec,
    Table,
    TaskSpec,
    TierSpec,
    TriggerSpec,
)
from evalc.spec.overrides import FLAG, override
from evalc.spec.references import Names
from evalc.spec.sources import Document, document, read, spec_files
from evalc.spec.validation import check_names, validated
from evalc.spec.wording import wrong_type

T = TypeVar("T", bound=Table)
APART = ("prompt", "metrics", "average", "tags", "extract", "cluster", "slices", "generate", "code")
"""Keys of a task beside whose faults its other templates and its hooks can be looked at."""


@dataclass(frozen=True, slots=True)
class Examined:
    """A spec and what is wrong with it; None where nothing could be made of it."""

    folder: Folder | None
    faults: list[Diagnostic]


def load(paths: Sequence[Path], overrides: Sequence[str] = (), base: Path | None = None) -> Folder:
    """Read, merge and check spec files.

    A path is a file, or a folder whose `*.toml` (not those of folders inside it) are read. An
    override is the text after `--set`; relative paths in it start from `base`, by default the
    working directory.

    Raises:
        Faults: everything that is wrong, in the order of the files. Nothing else was read.
    """
    return _sound(examine(paths, overrides, base))


def examine(
    paths: Sequence[Path], overrides: Sequence[str] = (), base: Path | None = None
) -> Examined:
    """The same as far as it goes: every fault, and what of the spec can be looked at further."""
    faults: list[Diagnostic] = []
    files = spec_files(paths, faults)
    documents = [read(path, faults) for path in files]
    return _examined(files, documents, overrides, faults, base)


def load_contents(contents: Mapping[Path, bytes], overrides: Sequence[str] = ()) -> Folder:
    """The same of spec files as they were at another time, which `contents` has, in order.

    Relative paths in them start from where the files are. Raises Faults.
    """
    faults: list[Diagnostic] = []
    documents = [document(path, raw, faults) for path, raw in contents.items()]
    return _sound(_examined(list(contents), documents, overrides, faults))


def _sound(found: Examined) -> Folder:
    if found.faults:
        raise Faults(found.faults)
    assert found.folder is not None
    return found.folder


def _examined(
    files: Sequence[Path],
    documents: Sequence[Document | None],
    overrides: Sequence[str],
    faults: list[Diagnostic],
    base: Path | None = None,
) -> Examined:
    readable = [document for document in documents if document is not None]
    tables = merged(readable)
    override(overrides, tables, base)
    complete = not faults
    spec, findings = _checked(tables, complete)
    faults += [*tables.faults, *findings.diagnostics]
    ordered = _ordered(faults, [*files, *overrides])
    folder = Folder(spec, tuple(document.source for document in readable), tables.index)
    if not faults:
        return Examined(folder, [])
    return Examined(_rest(folder, findings) if complete and not tables.faults else None, ordered)


def _rest(folder: Folder, findings: Findings) -> Folder:
    """The spec without the tasks, of which what is wrong leaves nothing to look at."""
    wrong = findings.at_fault
    datasets = {loc[1] for loc in wrong if loc[0] == "datasets"}
    lost = {loc[1] for loc in wrong if loc[0] == "tasks" and (len(loc) < 3 or loc[2] not in APART)}
    known = folder.spec.datasets.keys() - datasets
    tasks = {
        name: task
        for name, task in folder.spec.tasks.items()
        if name not in lost and {task.dataset, *_shots(task)} <= known
    }
    return replace(folder, spec=folder.spec.model_copy(update={"tasks": tasks}))


def _shots(task: TaskSpec) -> list[str]:
    return [task.fewshot.dataset] if task.fewshot else []


def _ordered(faults: Sequence[Diagnostic], texts: Sequence[Path | str]) -> list[Diagnostic]:
    """By file or override, then by position; what has no place comes first."""
    ranks = {text: rank for rank, text in reversed(list(enumerate(texts)))}

    def key(fault: Diagnostic) -> tuple[int, int]:
        place = fault.place
        if place is None:
            return -1, 0
        text = place.path if place.text is None else place.text.removeprefix(FLAG)
        return ranks.get(text, len(texts)), place.span.start if place.span else 0

    return sorted(faults, key=key)


def _checked(tables: Merged, complete: bool) -> tuple[Spec, Findings]:
    """The spec, with stand-ins for what has a fault, and what is wrong.

    What one table says of another is looked at only if all were read.
    """
    findings = Findings(tables.index)
    raw = tables.tables
    models = _section(ModelSpec, "models", tables, findings)
    datasets = _section(DatasetSpec, "datasets", tables, findings)
    tasks = _section(TaskSpec, "tasks", tables, findings)
    suites = _section(SuiteSpec, "suites", tables, findings)
    tiers = _section(TierSpec, "tiers", tables, findings)
    gates = _section(GateSpec, "gates", tables, findings)
    triggers = [
        validated(TriggerSpec, ("triggers", position), table, findings)
        for position, table in enumerate(raw["triggers"])
    ]
    cost = validated(CostSpec, ("cost",), raw["cost"], findings) or CostSpec()
    hooks = validated(HooksSpec, ("hooks",), raw["hooks"], findings) or HooksSpec()
    paths = _paths(tables, findings)
    spec = Spec.model_construct(
        evalc=VERSION,
        paths=paths,
        models=models,
        datasets=datasets,
        tasks=tasks,
        suites=suites,
        tiers=tiers,
        triggers=[trigger for trigger in triggers if trigger is not None],
        gates=gates,
        cost=cost,
        hooks=hooks,
    )
    for name, task in tasks.items():
        meaning.check_task(name, task, findings)
    if complete:
        priced = cost.usd_per_hour is not None or findings.is_silent(("cost", "usd_per_hour"))
        priced = priced or findings.is_meant(("cost", "usd_per_hour"))
        known = references.names(raw, tasks, priced)
        _references(spec, triggers, known, findings)
    return spec, findings


def _section(kind: type[T], section: str, tables: Merged, findings: Findings) -> dict[str, T]:
    raw = tables.tables[section]
    check_names(section, raw, findings)
    found = {name: validated(kind, (section, name), raw[name], findings) for name in raw}
    return {name: table for name, table in found.items() if table is not None}


def _paths(tables: Merged, findings: Findings) -> dict[str, str]:
    raw = tables.tables["paths"]
    check_names("paths", raw, findings)
    for name, value in raw.items():
        loc = ("paths", name)
        if not isinstance(value, str):
            place = tables.index.place(loc)
            findings.diagnostics.append(wrong_type(loc, value, str, place))
        elif references.VARIABLE.search(value):
            hint = "write the whole path here"
            findings.add("wrong-value", loc, "holds a variable; a variable holds none", hint)
    return {name: value for name, value in raw.items() if isinstance(value, str)}


def _references(
    spec: Spec, triggers: Sequence[TriggerSpec | None], known: Names, findings: Findings
) -> None:
    for name, model in spec.models.items():
        references.check_model(name, model, known, findings)
    for name, dataset in spec.datasets.items():
        references.check_dataset(name, dataset, known, findings)
    for name, task in spec.tasks.items():
        references.check_task(name, task, known, findings)
    for name, suite in spec.suites.items():
        references.check_suite(name, suite, known, findings)
    for name in {references.FULL, references.NONE} & spec.tiers.keys():
        message = "has the name of a tier that every spec has"
        findings.add("bad-name", ("tiers", name), message, "give it another name", key=True)
    for name, tier in spec.tiers.items():
        references.check_tier(name, tier, known, findings)
    for position, trigger in enumerate(triggers):
        if trigger is not None:
            references.check_trigger(position, trigger, known, findings)
    for name, gate in spec.gates.items():
        references.check_gate(name, gate, known, findings)
