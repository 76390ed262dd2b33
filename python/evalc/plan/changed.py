"""Which components of a selection changed since a revision, as far as specs and git tell.

A component is what `[[triggers]]` name: the keys of a table of the spec, and files. What git does
not have (weights outside the repository, ignored data) may have changed: it counts as changed and
is marked as not known. A component that counts as changed costs nothing by itself, as what a model
has answered is kept under the content of its files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from evalc.diagnostics import Faults
from evalc.plan import lock
from evalc.plan.addresses import Kind, is_remote
from evalc.plan.history import History
from evalc.plan.hooks import used_hooks
from evalc.plan.imports import files_of
from evalc.spec import Folder, Selection
from evalc.spec.models import CHANGES, TaskSpec

MODEL_FILES: dict[str, tuple[str, ...]] = {
    "model.weights": ("*.safetensors", "*.safetensors.index.json"),
    "model.tokenizer": (
        *("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges.txt"),
        *("*.model", "*.tiktoken"),
    ),
    "model.chat_template": ("chat_template*", "tokenizer_config.json"),
    "model.settings": ("config.json", "generation_config.json"),
}
"""Which files of a model's folder a component is made of."""
CODE = ("*.py",)
"""The same of a model that brings its own code, which is part of its settings."""
ADAPTER_FILES = ("adapter_config.json", "*.safetensors")
MODEL_KEYS: dict[str, tuple[str, ...]] = {
    "model.chat_template": ("chat", "system", "date"),
    "model.settings": ("quantization", "trust_remote_code", "max_length"),
    "engine": ("dtype", "numerics", "device"),
}
DATASET_KEYS = ("rows", "where", "id", "prepare")
TASK_KEYS: dict[str, tuple[str, ...]] = {
    "task.prompt": ("type", "description", "prompt", "delimiter", "choices", "overflow"),
    "task.fewshot": ("fewshot",),
    "task.generate": ("generate",),
    "task.scorer": ("target", "extract", "code", "metrics", "cluster", "slices", "average"),
}
PINNED = re.compile(r"@[0-9a-f]{40}$")
"""An address of the Hub that can only ever mean one content."""


@dataclass(frozen=True, slots=True)
class Change:
    """A component that changed: of which model, dataset or task, and what tells so.

    `known` is false where nothing tells whether it has.
    """

    component: str
    of: str
    why: str
    known: bool = True


def changes(now: Folder, then: Folder | str, selection: Selection, past: History) -> list[Change]:
    """What changed of the selection; in the order of components, each model or task once.

    `then` is the spec as it was, or a clause that says why there is none: then all has changed.
    """
    if isinstance(then, str):
        return [Change(component, "", then) for component in CHANGES]
    found = [*_models(now, then, selection, past), *_datasets(now, then, selection, past)]
    found += _tasks(now, then, selection, past)
    order = {component: position for position, component in enumerate(CHANGES)}
    first: dict[tuple[str, str], Change] = {}
    for change in sorted(found, key=lambda c: (order[c.component], c.of, not c.known)):
        first.setdefault((change.component, change.of), change)
    return list(first.values())


def _models(now: Folder, then: Folder, selection: Selection, past: History) -> Iterator[Change]:
    for name in sorted({model for model, _ in selection.cells}):
        if name not in then.spec.models:
            parts = dict.fromkeys([*MODEL_FILES, *MODEL_KEYS])
            yield from (Change(part, name, f"the model `{name}` is new") for part in parts)
            continue
        one, other = now.spec.models[name], then.spec.models[name]
        for component, keys in MODEL_KEYS.items():
            yield from _keys(component, name, keys, one, other)
        for component, patterns in MODEL_FILES.items():
            loc = ("models", name, "path")
            coded = component == "model.settings" and one.trust_remote_code
            patterns = (*patterns, *CODE) if coded else patterns
            yield from _files(component, name, loc, patterns, (now, then), past)
        if one.adapter is None or other.adapter is None:
            yield from _keys("model.adapter", name, ("adapter",), one, other)
        else:
            loc = ("models", name, "adapter")
            yield from _files("model.adapter", name, loc, ADAPTER_FILES, (now, then), past)


def _datasets(now: Folder, then: Folder, selection: Selection, past: History) -> Iterator[Change]:
    tasks = [now.spec.tasks[name] for name in sorted({task for _, task in selection.cells})]
    for name in sorted({name for task in tasks for name in _sources(task)}):
        if name not in then.spec.datasets:
            yield Change("dataset", name, f"the dataset `{name}` is new")
            continue
        yield from _keys(
            "dataset", name, DATASET_KEYS, now.spec.datasets[name], then.spec.datasets[name]
        )
        loc = ("datasets", name, "path")
        yield from _files("dataset", name, loc, None, (now, then), past)


def _sources(task: TaskSpec) -> list[str]:
    return [task.dataset, *([task.fewshot.dataset] if task.fewshot else [])]


def _tasks(now: Folder, then: Folder, selection: Selection, past: History) -> Iterator[Change]:
    for name in sorted({task for _, task in selection.cells}):
        if name not in then.spec.tasks:
            yield from (Change(part, name, f"the task `{name}` is new") for part in TASK_KEYS)
            continue
        for component, keys in TASK_KEYS.items():
            yield from _keys(component, name, keys, now.spec.tasks[name], then.spec.tasks[name])
        if now.spec.tasks[name].dataset != then.spec.tasks[name].dataset:
            dataset = now.spec.tasks[name].dataset
            yield Change("dataset", dataset, f"`tasks.{name}.dataset` is another")
    for hook in used_hooks(now, selection):
        section, name = str(hook.loc[0]), str(hook.loc[1])
        component = "dataset" if section == "datasets" else "task.scorer"
        module = hook.name.partition(":")[0]
        files = sorted(files_of(module, now.base(hook.loc)))
        if not files:
            why = f"the hook `{hook.name}` is not in the folder of the spec, where git would see it"
            yield Change(component, name, why, known=False)
        yield from _states(component, name, files, past)


def _keys(component: str, of: str, keys: Iterable[str], now: Any, then: Any) -> Iterator[Change]:
    differing = [key for key in keys if getattr(now, key) != getattr(then, key)]
    if differing:
        yield Change(component, of, f"`{differing[0]}` is another")


def _files(
    component: str,
    of: str,
    loc: tuple[str, str, str],
    patterns: tuple[str, ...] | None,
    folders: tuple[Folder, Folder],
    past: History,
) -> Iterator[Change]:
    """Changes of the files at a path of the spec; without `patterns` it is itself a file."""
    located, before = (folder.located(loc) for folder in folders)
    if located != before:
        yield Change(component, of, f"`{loc[2]}` is another")
    elif is_remote(located):
        yield from _remote(component, of, loc, located, (patterns, folders[0]), past)
    elif patterns is None:
        yield from _states(component, of, [Path(located)], past)
    else:
        yield from _states(component, of, _of_role(Path(located), patterns, past), past)


def _of_role(folder: Path, patterns: tuple[str, ...], past: History) -> list[Path]:
    """Files of a folder with such names; the folder itself where it cannot be listed."""
    try:
        present = [path for path in folder.iterdir() if not path.is_dir()]
    except OSError:
        return [folder]
    files = sorted({*present, *past.gone(folder)})
    return [file for file in files if any(fnmatchcase(file.name, p) for p in patterns)]


def _states(component: str, of: str, files: Iterable[Path], past: History) -> Iterator[Change]:
    for file in files:
        state = past.state(file)
        name = past.name(file) or str(file)
        if state == "changed":
            yield Change(component, of, f"`{name}` is another")
        elif state == "unknown":
            why = f"git does not have `{name}`, so nothing tells whether it is another"
            yield Change(component, of, why, known=False)


def _remote(
    component: str,
    of: str,
    loc: tuple[str, str, str],
    address: str,
    what: tuple[tuple[str, ...] | None, Folder],
    past: History,
) -> Iterator[Change]:
    """Changes of what `evalc.lock` pins at an address, file by file."""
    if PINNED.search(address):
        return
    patterns, now = what
    path = now.base(loc) / lock.NAME
    kind: Kind = "dataset" if loc[0] == "datasets" else "model"
    old, new = past.before(path), path.read_bytes() if path.is_file() else None
    one, other = (_pinned(path, raw, (kind, address), patterns) for raw in (new, old))
    if one is None or other is None:
        where = "now" if one is None else "then"
        why = f"`{lock.NAME}` does not pin `{address}` {where}, so nothing tells whether it moved"
        yield Change(component, of, why, known=False)
    elif one != other:
        yield Change(component, of, f"`{lock.NAME}` pins another content of `{address}`")


def _pinned(
    path: Path, raw: bytes | None, key: tuple[Kind, str], patterns: tuple[str, ...] | None
) -> Mapping[str, str] | None:
    """Digests by path of the locked files of a role; None where the address is not locked."""
    try:
        entries = lock.parsed_lock(path, raw.decode()) if raw is not None else {}
    except (Faults, UnicodeDecodeError):
        return None
    if key not in entries:
        return None
    return {
        file.path: file.blake3
        for file in entries[key].files
        if patterns is None or any(fnmatchcase(Path(file.path).name, p) for p in patterns)
    }
