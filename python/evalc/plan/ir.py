"""Spec to Ir: paths absolute, models identified by content, nothing left to default."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalc import env
from evalc.diagnostics import Diagnostic, Faults, Place
from evalc.errors import ExitCode, foremost
from evalc.plan import contents, identity, ingest, tokenizers
from evalc.plan.addresses import is_remote
from evalc.plan.checkpoint import Shape, read_checkpoint
from evalc.plan.digests import Digests
from evalc.plan.elsewhere import require_own_code
from evalc.plan.hooks import limits_of, shown_to
from evalc.plan.remotes import Remotes
from evalc.plan.sources import ModelSource
from evalc.spec import Folder, Selection
from evalc.spec.models import DatasetSpec, GenerateSpec, TaskSpec
from evalc.store import Store

IR_VERSION = 1
DEFAULT_MAX_LENGTH = 2048
SAMPLING_SEED = 0


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model as it will run: how to load it, what it is, and what its tokens cost."""

    source: ModelSource
    identity: identity.Identity
    shape: Shape
    bundle: Path


@dataclass(frozen=True, slots=True)
class Ir:
    """The resolved spec: its versioned bytes, and the models in the order that they name.

    `locked` tells what was added to `evalc.lock`, a line for each address.
    """

    content: bytes
    models: tuple[ResolvedModel, ...]
    locked: tuple[str, ...] = ()

    @property
    def files(self) -> list[Path]:
        """Tokenizer bundles, the data files that the planner reads, and what these came from."""
        datasets = json.loads(self.content)["datasets"]
        named = [dataset[key] for dataset in datasets for key in ("path", "origin")]
        local = [Path(path) for path in named if not is_remote(path)]
        return [*(model.bundle for model in self.models), *local]


def resolve(
    folder: Folder,
    selection: Selection,
    cache: Path,
    store: Store | None,
    rehash: bool = False,
    *,
    whole: bool = False,
) -> Ir:
    """Resolve a selection; `rehash` reads every file that `store` remembers the digest of.

    With `whole` every case is planned, whatever the tier.

    Writes only into `cache` (tokenizer bundles, data snapshots), what `store` remembers of files,
    and `evalc.lock` when a remote address is not in it. Raises Faults with every missing model,
    adapter and data file at once.
    """
    found = _Findings()
    remotes = Remotes(folder, cache, Digests(store, rehash))
    names = sorted({model for model, _ in selection.cells})
    models = [found.of(_model, folder, name, cache, remotes) for name in names]
    tasks = sorted({task for _, task in selection.cells})
    datasets = _datasets(folder, tasks)
    files = [found.of(_dataset, folder, name, cache, remotes) for name in datasets]
    found.check()
    resolved = tuple(model for model in models if model is not None)
    content = {
        "ir": IR_VERSION,
        "seed": SAMPLING_SEED,
        "tier": _tier(folder, None if whole else selection.tier),
        "models": [_model_fields(folder, model) for model in resolved],
        "datasets": files,
        "tasks": [_task(name, folder.spec.tasks[name], datasets) for name in tasks],
        "cells": [
            {"model": names.index(model), "task": tasks.index(task)}
            for model, task in selection.cells
        ],
    }
    locked = remotes.save()
    return Ir(json.dumps(content, ensure_ascii=False).encode(), resolved, locked)


def resolve_data(folder: Folder, cache: Path, skipped: Collection[str] = ()) -> bytes:
    """The Ir of a whole spec without models, for checking data and templates; locks nothing.

    Tasks with datasets in `skipped` are left out; of these only the rows that a `prepare` would be
    given are read.
    """
    found = _Findings()
    remotes = Remotes(folder, cache, Digests(None))
    tasks = [t for t in sorted(folder.spec.tasks) if not _reads(folder.spec.tasks[t], skipped)]
    datasets = _datasets(folder, tasks)
    files = [found.of(_dataset, folder, name, cache, remotes) for name in datasets]
    for name in sorted(skipped):
        found.of(_given, folder, name, cache)
    found.check()
    content = {
        "ir": IR_VERSION,
        "seed": SAMPLING_SEED,
        "tier": {"name": "full", "cases": None, "fraction": None},
        "models": [],
        "datasets": files,
        "tasks": [_task(name, folder.spec.tasks[name], datasets) for name in tasks],
        "cells": [],
    }
    return json.dumps(content, ensure_ascii=False).encode()


def resolve_model(folder: Folder, name: str, cache: Path, digests: Digests) -> ResolvedModel:
    """One model of a spec as it will run; locks nothing. Raises Faults."""
    return _model(folder, name, cache, Remotes(folder, cache, digests))


class _Findings:
    """Collects the diagnostics of many steps, so that all of them are shown at once."""

    def __init__(self) -> None:
        self._found: list[Diagnostic] = []
        self._codes: list[ExitCode] = []

    def of(self, step: Any, *arguments: Any) -> Any:
        try:
            return step(*arguments)
        except Faults as faults:
            self._found += [d for d in faults.diagnostics if d not in self._found]
            self._codes.append(faults.exit_code)
            return None

    def check(self) -> None:
        if self._found:
            # where the spec is wrong too, that is what has to be corrected first
            raise Faults(self._found, exit_code=foremost(self._codes))


def _model(folder: Folder, name: str, cache: Path, remotes: Remotes) -> ResolvedModel:
    spec = folder.spec.models[name]
    place = folder.place(("models", name, "path"))
    path = remotes.model(("models", name, "path"))
    checkpoint = read_checkpoint(path, place, name)
    if spec.trust_remote_code:
        require_own_code(path, checkpoint.config, place)
    adapter = remotes.model(("models", name, "adapter")) if spec.adapter is not None else None
    if checkpoint.adapted:
        _require_one(name, checkpoint.path, adapter, folder.place(("models", name, "adapter")))
        adapter = checkpoint.path
    device = spec.device
    if device == "auto":
        device = "cuda" if env.cuda_present() else "cpu"
    found = identity.identify(
        checkpoint,
        adapter=adapter,
        quantization=spec.quantization,
        trust_remote_code=spec.trust_remote_code,
        dtype=spec.dtype,
        device=device,
        numerics=spec.numerics,
        digests=remotes.digests,
        place=folder.place(("models", name, "adapter")),
    )
    source = ModelSource(
        name=name,
        path=path,
        dtype=spec.dtype,
        device=device,
        adapter=adapter,
        quantization=spec.quantization,
        trust_remote_code=spec.trust_remote_code,
        max_length=spec.max_length or checkpoint.max_length or DEFAULT_MAX_LENGTH,
        numerics=spec.numerics,
        base=found.base,
    )
    bundle = tokenizers.bundle(path, cache, spec.trust_remote_code, place)
    return ResolvedModel(source, found, checkpoint.shape(), bundle)


def _require_one(name: str, path: Path, adapter: Path | None, place: Place | None) -> None:
    """Raise Faults where a model whose folder is an adapter's too names another."""
    if adapter is None or adapter == path:
        return
    message = (
        f"model `{name}` names an adapter, and its folder holds one already: "
        f"`{path / contents.ADAPTER_CONFIG}`"
    )
    hint = "move the adapter of the folder elsewhere, and name one of the two"
    raise Faults([Diagnostic("bad-adapter", message, place, hint=hint)])


def _model_fields(folder: Folder, model: ResolvedModel) -> dict[str, Any]:
    spec = folder.spec.models[model.source.name]
    return {
        "name": model.source.name,
        "model_id": model.identity.model_id,
        "engine_id": model.identity.engine_id,
        "bundle": str(model.bundle),
        "max_length": model.source.max_length,
        "chat": spec.chat,
        "system": spec.system,
        "date": spec.date,
        "vocabulary": model.shape.vocabulary or None,
    }


def _datasets(folder: Folder, tasks: Sequence[str]) -> list[str]:
    used = {folder.spec.tasks[task].dataset for task in tasks}
    shots = (folder.spec.tasks[task].fewshot for task in tasks)
    return sorted(used | {fewshot.dataset for fewshot in shots if fewshot is not None})


def _reads(task: TaskSpec, datasets: Collection[str]) -> bool:
    return task.dataset in datasets or (
        task.fewshot is not None and task.fewshot.dataset in datasets
    )


def _dataset(folder: Folder, name: str, cache: Path, remotes: Remotes) -> dict[str, Any]:
    spec: DatasetSpec = folder.spec.datasets[name]
    place = folder.place(("datasets", name, "path"))
    located = folder.located(("datasets", name, "path"))
    if is_remote(located):
        file = remotes.data(("datasets", name, "path"))
    else:
        file = replace(ingest.data_file(Path(located), cache, name, place), quote=spec.quote)
    if spec.prepare is not None:
        root = folder.base(("datasets", name, "prepare"))
        prepare_place = folder.place(("datasets", name, "prepare"))
        file = ingest.prepared(
            file, located, spec.prepare, root, cache, prepare_place, limits_of(folder.spec)
        )
    trusted = {"control_tokens": spec.control_tokens} if spec.control_tokens else {}
    return {
        "name": name,
        "path": str(file.path),
        "format": file.format,
        "compression": file.compression,
        "quote": file.quote,
        "origin": located,
        "rows": spec.row_range,
        "where": spec.where,
        "id": spec.id,
        **trusted,
    }


def _given(folder: Folder, name: str, cache: Path) -> None:
    """Raise Faults for rows of a local file that the `prepare` of a dataset could not be given."""
    located = folder.located(("datasets", name, "path"))
    if not is_remote(located):
        place = folder.place(("datasets", name, "path"))
        file = ingest.data_file(Path(located), cache, name, place)
        file = replace(file, quote=folder.spec.datasets[name].quote)
        ingest.require_whole(file, located, folder.place(("datasets", name, "prepare")))


def _task(name: str, spec: TaskSpec, datasets: Sequence[str]) -> dict[str, Any]:
    choices: dict[str, Any] | None = None
    if isinstance(spec.choices, str):
        choices = {"template": spec.choices}
    elif spec.choices is not None:
        choices = {"list": list(spec.choices)}
    fewshot = None
    if spec.fewshot is not None and spec.fewshot.k > 0:
        fewshot = {
            "dataset": datasets.index(spec.fewshot.dataset),
            "k": spec.fewshot.k,
            "select": spec.fewshot.select,
            "seed": spec.fewshot.seed,
            "template": spec.fewshot.template,
            "separator": spec.fewshot.separator,
        }
    # only for the names in it: no case depends on a program
    program = {"program": spec.code.program} if spec.code is not None else {}
    given = shown_to(spec)
    shown = {"shown": ".".join(map(str, given))} if given is not None else {}
    return {
        "name": name,
        "dataset": datasets.index(spec.dataset),
        "kind": spec.type,
        "description": spec.description,
        "prompt": spec.prompt,
        "delimiter": spec.delimiter if "delimiter" in spec.model_fields_set else None,
        "choices": choices,
        "target": _target(spec.target),
        "fewshot": fewshot,
        "generate": _generate(spec),
        "overflow": spec.overflow,
        "cluster": spec.cluster,
        "slices": list(spec.slices),
        **program,
        **shown,
    }


def _target(target: object) -> str | None:
    """A target as a template: numbers and lists become the expression that yields them."""
    if target is None or isinstance(target, str):
        return target
    return "{{ " + json.dumps(target) + " }}"


def _generate(spec: TaskSpec) -> Mapping[str, Any] | None:
    if spec.type != "generate":
        return None
    fields: Mapping[str, Any] = (spec.generate or GenerateSpec()).model_dump()
    return fields


def _tier(folder: Folder, name: str | None) -> dict[str, Any]:
    if name is None:
        return {"name": "full", "cases": None, "fraction": None}
    tier = folder.spec.tiers[name]
    return {"name": name, "cases": tier.cases, "fraction": tier.fraction}
