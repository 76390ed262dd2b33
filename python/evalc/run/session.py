"""What a request of the command line opens: the checked spec, the store, the plan."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from evalc import env
from evalc.decide.gates import by_rounds, with_baselines
from evalc.diagnostics import Diagnostic, Faults
from evalc.diagnostics.amounts import many
from evalc.hooks.crew import take_told
from evalc.plan import Planned, contents, cost
from evalc.plan.digests import Digests
from evalc.plan.hooks import refuse_code, used_code, used_hooks
from evalc.plan.inspected import inspect_hooks
from evalc.plan.ir import Ir, resolve
from evalc.plan.outline import Outline, OutlineFile
from evalc.plan.planned import plan_resolved
from evalc.plan.pricing import priced
from evalc.plan.remotes import Remotes
from evalc.plan.uses import remember_uses, uses
from evalc.run.expected import with_decisions
from evalc.run.listener import SILENT, Listener
from evalc.run.plan_memo import ToldFile
from evalc.run.request import Request, default_path
from evalc.spec import Folder, Selection, doubts, load, select
from evalc.store import Store
from evalc.store.footprint import Footprint
from evalc.store.leases import Lease, guarded
from evalc.store.recorded import copy_recorded


def folder_of(asked: Request) -> Folder:
    """The checked spec."""
    return load(asked.paths or (default_path(),), asked.overrides, asked.base)


@contextmanager
def _store(asked: Request) -> Iterator[Store]:
    """The cache's store, or with `--no-cache` one that goes away with the run.

    That one has the recorded results, with which gates compare, and no answers.
    """
    with ExitStack() as stack:
        folder = asked.cache / "store"
        if not asked.no_cache:
            yield stack.enter_context(Store.open(folder))
            return
        empty = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="evalc-")))
        store = stack.enter_context(Store.open(empty))
        # a cache that cannot be opened is no reason not to run without it
        with suppress(Faults):
            if (folder / "data.mdb").is_file():
                copy_recorded(stack.enter_context(Store.open(folder)), store)
        yield store


@contextmanager
def opened(asked: Request, listener: Listener = SILENT) -> Iterator[tuple[Planned, Store]]:
    """Open the store and plan the selection; nothing is collected before the block ends."""
    with leased(asked, listener) as (planned, store, _):
        yield planned, store


@contextmanager
def leased(
    asked: Request, listener: Listener = SILENT, *, warn: bool = False
) -> Iterator[tuple[Planned, Store, Lease]]:
    """Open the store and plan the selection; nothing is collected before `lease` holds it.

    With `warn` what the selected tasks hardly mean is told, as `plan` does.
    """
    with _resolved(asked, listener, whole=True) as (folder, selection, ir, store, lease):
        if warn:
            _tell_doubts(folder, selection, listener)
        planned = plan_resolved(folder, selection, ir, asked.cache, store)
        _warn_of_damage(store, listener)
        yield planned, store, lease


def outlined(asked: Request, listener: Listener = SILENT) -> dict[str, Any]:
    """Outline the plan of the selection: the priced plan with reasons.

    What is remembered of it is taken where nothing has changed; then nothing is planned.
    """
    began = env.clock_ns()
    with _resolved(asked, listener) as (folder, selection, ir, store, _):
        doubtful = _tell_doubts(folder, selection, listener)
        file = OutlineFile.of(ir, folder, asked.cache, store)
        found = file.recall() if file and not asked.rehash else None
        if found is None:
            planned = plan_resolved(folder, selection, ir, asked.cache, store)
            _warn_of_damage(store, listener)
            found = Outline.of(planned, store)
        told = with_reasons(priced(folder, selection, ir, found.summary, store), found.reasons)
        told = with_decisions(told, folder, selection, store)
        # damaged values are put aside while a plan looks at them
        if file and store.revision() == file.revision:
            file.keep(found)
            footprint = _footprint(asked, folder, ir, store, began)
            if footprint and not doubtful:
                ToldFile.of(asked).keep(told, footprint)
    return told


def _tell_doubts(folder: Folder, selection: Selection, listener: Listener) -> list[Diagnostic]:
    """Warn of what the spec says of the selected tasks and hardly means."""
    found = doubts(folder, (task for _, task in selection.cells))
    listener.warn(found)
    return found


def _footprint(
    asked: Request, folder: Folder, ir: Ir, store: Store, began: int
) -> Footprint | None:
    """What a plan rested on; None where that is more than local files and the store.

    A gate's baseline may be a file of which nothing is remembered.
    """
    prepared = any(dataset.prepare for dataset in folder.spec.datasets.values())
    compared = any(gate.baseline is not None for gate in folder.spec.gates.values())
    if asked.no_cache or prepared or compared or Remotes(folder, asked.cache, Digests(None)).locs():
        return None
    specs = [path for path in asked.paths or (default_path(),) if path.is_dir()]
    models = [model.source for model in ir.models]
    folders = [
        folder
        for model in models
        for folder in contents.folders(model.path, code=model.trust_remote_code)
    ]
    adapters = [model.adapter for model in models if model.adapter is not None]
    speeds = [cost.speed_note(m.identity, env.hardware(m.source.device)) for m in ir.models]
    return Footprint.taken(
        files=[*(file.path for file in folder.files if not file.inline), *ir.files],
        folders=[*specs, *folders, *adapters],
        notes=[*speeds, *uses(ir, asked.cache)],
        store=store,
        began=began,
    )


@contextmanager
def _resolved(
    asked: Request, listener: Listener, whole: bool = False
) -> Iterator[tuple[Folder, Selection, Ir, Store, Lease]]:
    """The selection, resolved; `whole` beyond the tier where its cases are asked in rounds.

    Nothing is collected meanwhile: tokenizers and snapshots that were just made least of all.
    """
    folder = folder_of(asked)
    selection = select(folder, asked.suites, asked.models, asked.tasks, asked.tier)
    selection = with_baselines(folder.spec, selection)
    if asked.no_hooks:
        refuse_code(folder, used_code(folder, selection))
    inspect_hooks(folder, used_hooks(folder, selection))
    whole = whole and by_rounds(folder.spec, selection)
    with _store(asked) as store, guarded(store) as lease:
        ir = resolve(folder, selection, asked.cache, store, asked.rehash, whole=whole)
        remember_uses(ir, asked.cache, store)
        for line in ir.locked:
            listener.note(line)
        for line in take_told():
            listener.note(f"note: {line}")
        yield folder, selection, ir, store, lease


def with_reasons(
    priced: dict[str, Any], reasons: Sequence[Sequence[dict[str, Any]]]
) -> dict[str, Any]:
    """The priced plan, each cell with the reasons of the cases that remain."""
    for cell, found in zip(priced["cells"], reasons, strict=True):
        cell["reasons"] = found
    return priced


def _warn_of_damage(store: Store, listener: Listener) -> None:
    if store.damaged:
        listener.note(
            f"warning: {many(store.damaged, 'damaged value')} found in the cache, put into "
            "quarantine, and counted as never asked"
        )
