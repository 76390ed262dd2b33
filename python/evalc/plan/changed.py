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

from evalc.diagnostics import Faults
from evalc.plan import contents, lock
from evalc.plan.addresses import Kind, is_remote
from evalc.plan.history import History
from evalc.plan.hooks import used_hooks
from evalc.plan.imports import files_of
from evalc.spec import Folder, Selection
from evalc.spec.models import CHANGES, Table, TaskSpec

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
ADAPTER_FILES = contents.ADAPTER["adapter"]
INSIDE = (contents.ADAPTER_CONFIG, contents.ADAPTER_WEIGHTS)
"""Files of an adapter whose folder is the model's own."""
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
Loc = tuple[str, str, str]
Patterns = tuple[str, ...] | None
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
    order = [str(component) for component in CHANGES]
    found = _Comparison(now, then, selection, past).all()
    first: dict[tuple[str, str], Change] = {}
    for change in sorted(found, key=lambda c: (order.index(c.component), c.of, not c.known)):
        first.setdefault((change.component, change.of), change)
    return list(first.values())


@dataclass(frozen=True, slots=True)
class _Comparison:
    """A selection of a spec as it is, and the spec as it was."""

    now: Folder
    then: Folder
    selection: Selection
    past: History

    def all(self) -> Iterator[Change]:
        models = sorted({model for model, _ in self.selection.cells})
        tasks = sorted({task for _, task in self.selection.cells})
        for name in models:
            yield from self._model(name)
        for name in sorted({d for task in tasks for d in _sources(self.now.spec.tasks[task])}):
            yield from self._dataset(name)
        for name in tasks:
            yield from self._task(name)
        yield from self._hooks()

    def _model(self, name: str) -> Iterator[Change]:
        if name not in self.then.spec.models:
            inside = Path(self.now.located(("models", name, "path"))) / contents.ADAPTER_CONFIG
            named = self.now.spec.models[name].adapter or inside.is_file()
            adapter = ["model.adapter"] if named else []
            parts = dict.fromkeys([*MODEL_FILES, *MODEL_KEYS, *adapter])
            yield from (Change(part, name, f"the model `{name}` is new") for part in parts)
            return
        one, other = self.now.spec.models[name], self.then.spec.models[name]
        for component, keys in MODEL_KEYS.items():
            yield from _keys(component, name, keys, (one, other))
        for component, patterns in MODEL_FILES.items():
            coded = component == "model.settings" and one.trust_remote_code
            wanted = (*patterns, *CODE) if coded else patterns
            yield from self._files(component, ("models", name, "path"), wanted)
        path: Loc = ("models", name, "path")
        if self.now.located(path) == self.then.located(path):
            yield from self._files("model.adapter", path, INSIDE)
        if one.adapter is None or other.adapter is None:
            yield from _keys("model.adapter", name, ("adapter",), (one, other))
        else:
            yield from self._files("model.adapter", ("models", name, "adapter"), ADAPTER_FILES)

    def _dataset(self, name: str) -> Iterator[Change]:
        if name not in self.then.spec.datasets:
            yield Change("dataset", name, f"the dataset `{name}` is new")
            return
        tables = self.now.spec.datasets[name], self.then.spec.datasets[name]
        yield from _keys("dataset", name, DATASET_KEYS, tables)
        yield from self._files("dataset", ("datasets", name, "path"), None)

    def _task(self, name: str) -> Iterator[Change]:
        if name not in self.then.spec.tasks:
            yield from (Change(part, name, f"the task `{name}` is new") for part in TASK_KEYS)
            return
        one, other = self.now.spec.tasks[name], self.then.spec.tasks[name]
        for component, keys in TASK_KEYS.items():
            yield from _keys(component, name, keys, (one, other))
        if one.dataset != other.dataset:
            yield Change("dataset", one.dataset, f"`tasks.{name}.dataset` is another")

    def _hooks(self) -> Iterator[Change]:
        for hook in used_hooks(self.now, self.selection):
            component = "dataset" if hook.loc[0] == "datasets" else "task.scorer"
            name, module = str(hook.loc[1]), hook.name.partition(":")[0]
            files = sorted(files_of(module, self.now.base(hook.loc)))
            if not files:
                why = f"the hook `{hook.name}` is not in the spec's folder, where git would see it"
                yield Change(component, name, why, known=False)
            yield from self._states(component, name, files)

    def _files(self, component: str, loc: Loc, patterns: Patterns) -> Iterator[Change]:
        """Changes of the files at a path of the spec; without `patterns` it is itself a file."""
        located, before = self.now.located(loc), self.then.located(loc)
        if located != before:
            yield Change(component, loc[1], f"`{loc[2]}` is another")
        elif is_remote(located):
            yield from self._remote(component, loc, located, patterns)
        else:
            path = Path(located)
            files = [path] if patterns is None else _of_role(path, patterns, self.past)
            yield from self._states(component, loc[1], files)

    def _states(self, component: str, of: str, files: Iterable[Path]) -> Iterator[Change]:
        for file in files:
            state = self.past.state(file)
            name = self.past.name(file) or str(file)
            if state == "changed":
                yield Change(component, of, f"`{name}` is another")
            elif state == "unknown":
                why = f"git does not have `{name}`, so nothing tells whether it is another"
                yield Change(component, of, why, known=False)

    def _remote(
        self, component: str, loc: Loc, address: str, patterns: Patterns
    ) -> Iterator[Change]:
        """Changes of what `evalc.lock` pins at an address, file by file."""
        if PINNED.search(address):
            return
        path = self.now.base(loc) / lock.NAME
        kind: Kind = "dataset" if loc[0] == "datasets" else "model"
        raws = path.read_bytes() if path.is_file() else None, self.past.before(path)
        one, other = (_locked(path, raw, (kind, address), patterns) for raw in raws)
        if one is None or other is None:
            when = "now" if one is None else "then"
            why = f"`{lock.NAME}` does not pin `{address}` {when}, so nothing tells if it moved"
            yield Change(component, loc[1], why, known=False)
        elif one != other:
            yield Change(component, loc[1], f"`{lock.NAME}` pins another content of `{address}`")


def _sources(task: TaskSpec) -> list[str]:
    return [task.dataset, *([task.fewshot.dataset] if task.fewshot else [])]


def _keys(
    component: str, of: str, keys: Iterable[str], tables: tuple[Table, Table]
) -> Iterator[Change]:
    now, then = tables
    differing = [key for key in keys if getattr(now, key) != getattr(then, key)]
    if differing:
        yield Change(component, of, f"`{differing[0]}` is another")


def _of_role(folder: Path, patterns: tuple[str, ...], past: History) -> list[Path]:
    """Files of a folder with such names; the folder itself where it cannot be listed."""
    try:
        present = [path for path in folder.iterdir() if not path.is_dir()]
    except OSError:
        return [folder]
    files = sorted({*present, *past.gone(folder)})
    return [file for file in files if any(fnmatchcase(file.name, p) for p in patterns)]


def _locked(
    path: Path, raw: bytes | None, key: tuple[Kind, str], patterns: Patterns
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
