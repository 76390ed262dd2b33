"""How models will run on this machine, or what stands in their way."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from importlib import metadata
from typing import Any

from evalc import __version__, env
from evalc.diagnostics import Diagnostic, Faults
from evalc.plan.digests import Digests
from evalc.plan.hooks import code_of_models, refuse_code
from evalc.plan.ir import ResolvedModel, resolve_model
from evalc.plan.sources import in_turn
from evalc.run.backends import PACK_REQUESTS, PACK_TOKENS, room
from evalc.run.listener import Listener
from evalc.run.request import Request
from evalc.run.session import folder_of
from evalc.score.sandbox import bubblewrap
from evalc.spec import Folder, select
from evalc.store import Store
from evalc.store.filesystem import filesystem

SCHEMA = "evalc.doctor/1"
PACKAGES = ("torch", "transformers", "peft", "safetensors", "tokenizers", "numpy", "lmdb")


def examination(asked: Request, listener: Listener) -> dict[str, Any]:
    """The document, and under `found` its diagnostics as they are."""
    folder = _folder(asked)
    names = _names(folder, asked) if folder else []
    if folder and asked.no_hooks:
        refuse_code(folder, code_of_models(folder, names))
    found: list[Diagnostic] = []
    with ExitStack() as stack:
        store, cache = _cache(asked, stack, found)
        machine = {**_machine(found, listener, asking=bool(names)), "cache": cache}
        models = _models(folder, names, asked, Digests(store), found) if folder else []
    errors = [each for each in found if each.severity == "error"]
    return {
        "schema": SCHEMA,
        "sound": not errors,
        "machine": machine,
        "models": models,
        "diagnostics": [_diagnostic(each) for each in found],
        "found": found,
    }


def _folder(asked: Request) -> Folder | None:
    """The checked spec; None where nobody named one and there is none."""
    try:
        return folder_of(asked)
    except Faults as faults:
        absent = all(found.code == "unreadable-spec" for found in faults.diagnostics)
        if absent and not asked.paths:
            return None
        raise


def _names(folder: Folder, asked: Request) -> list[str]:
    """Models of the selection; all of a spec that has no task yet."""
    if not folder.spec.tasks and not asked.models:
        return sorted(folder.spec.models)
    selection = select(folder, asked.suites, asked.models, asked.tasks, asked.tier)
    return sorted({model for model, _ in selection.cells})


def _cache(
    asked: Request, stack: ExitStack, found: list[Diagnostic]
) -> tuple[Store | None, dict[str, Any]]:
    store = None
    try:
        store = stack.enter_context(Store.open(asked.cache / "store"))
        store.require_writable()
    except Faults as faults:
        found += faults.diagnostics
    return store, {
        "directory": str(asked.cache),
        "filesystem": filesystem(asked.cache),
        "usable": store is not None and not store.readonly,
    }


def _machine(found: list[Diagnostic], listener: Listener, asking: bool) -> dict[str, Any]:
    """Versions and devices; without torch no device is known, an error where a model is asked."""
    devices: list[dict[str, Any]] = []
    try:
        listener.loading()
        devices = room("doctor").devices()
    except Faults as faults:
        found += [_lowered(each, asking) for each in faults.diagnostics]
    return {
        "evalc": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "cores": os.cpu_count(),
        "sandbox": _sandbox(),
        "hardware": {kind: env.hardware(kind) for kind in _kinds(devices)},
        "devices": devices,
    }


def _sandbox() -> dict[str, Any]:
    """Where programs that a model wrote would run."""
    found = bubblewrap()
    return {"name": "bwrap" if found.works else None, "fault": found.fault}


def _lowered(found: Diagnostic, asking: bool) -> Diagnostic:
    warning = Diagnostic(found.code, found.message, severity="warning", hint=found.hint)
    return found if asking else warning


def _kinds(devices: Sequence[dict[str, Any]]) -> list[str]:
    return sorted({str(each["device"]).partition(":")[0] for each in devices} | {"cpu"})


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _models(
    folder: Folder,
    names: Sequence[str],
    asked: Request,
    digests: Digests,
    found: list[Diagnostic],
) -> list[dict[str, Any]]:
    """What was found of each model, in the order of their names."""
    resolved: dict[str, ResolvedModel] = {}
    entries: dict[str, dict[str, Any]] = {}
    for name in names:
        try:
            resolved[name] = resolve_model(folder, name, asked.cache, digests)
        except Faults as faults:
            entries[name] = _broken(name, faults, found)
    models = list(resolved.values())
    if any(each.code == "missing-package" and each.severity == "error" for each in found):
        entries |= {m.source.name: {"name": m.source.name, **_entry(m), "sound": False}
                    for m in models}  # fmt: skip
        return [entries[name] for name in names]
    sources = [model.source for model in models]
    bases = room("model.bases").Bases(sources) if sources else None
    for at in in_turn(sources):
        name = sources[at].name
        try:
            seen = room("doctor").examine(sources[at], bases)
            entries[name] = {"name": name, **_entry(models[at]), "sound": True, **seen}
        except Faults as faults:
            entries[name] = {**_broken(name, faults, found), **_entry(models[at])}
    return [entries[name] for name in names]


def _entry(model: ResolvedModel) -> dict[str, Any]:
    source, identity = model.source, model.identity
    return {
        "directory": str(source.path),
        "adapter": None if source.adapter is None else str(source.adapter),
        "adapted": source.adapted,
        "device": source.device,
        "dtype": source.dtype,
        "quantization": source.quantization,
        "numerics": source.numerics,
        "model_id": identity.model_id,
        "engine_id": identity.engine_id,
        "pack": {"tokens": PACK_TOKENS[source.device], "requests": PACK_REQUESTS[source.device]},
    }


def _broken(name: str, faults: Faults, found: list[Diagnostic]) -> dict[str, Any]:
    found += [each for each in faults.diagnostics if each not in found]
    diagnostics = [_diagnostic(each) for each in faults.diagnostics]
    return {"name": name, "sound": False, "diagnostics": diagnostics}


def _diagnostic(found: Diagnostic) -> dict[str, Any]:
    fields = asdict(found)
    return {key: fields[key] for key in ("code", "severity", "message", "notes", "hint")}
