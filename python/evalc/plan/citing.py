"""What a run rests on: the sets of keys that its manifest cites, and the names of namespaces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from evalc import _core
from evalc.plan.ir import ResolvedModel
from evalc.plan.planned import Planned
from evalc.store import Store
from evalc.store.ages import unpacked
from evalc.store.environment import KEY_BYTES, Pair
from evalc.store.leases import Held
from evalc.store.marks import MARK_BYTES, NAMESPACE_BYTES
from evalc.store.runs import cites, remember_name

Indices = npt.NDArray[np.int64]


def citations(planned: Planned) -> tuple[list[dict[str, Any]], list[Pair]]:
    """A manifest's `cites`, and the sets of keys to record with it; see `evalc.store.marks`."""
    entries, sets = [], []
    for index, (namespace, marks) in _marks(planned):
        model, task = planned.selection.cells[index]
        entry, pair = cites(model, task, namespace, marks)
        entries.append(entry)
        sets.append(pair)
    return entries, sets


def held(planned: Planned) -> Iterator[Held]:
    """What a run rests on while it goes, for its lease; see `evalc.store.leases`."""
    return (own for _, own in _marks(planned))


def _marks(planned: Planned) -> Iterator[tuple[int, Held]]:
    """Each cell that has requests: its number, its namespace, the marks of its distinct keys."""
    keys = np.frombuffer(planned.keys, np.uint8).reshape(-1, KEY_BYTES)
    for index in range(len(planned.selection.cells)):
        own = cell_keys(planned, index)
        if len(own):
            namespace = keys[own[0], :NAMESPACE_BYTES].tobytes()
            part = keys[own, NAMESPACE_BYTES : NAMESPACE_BYTES + MARK_BYTES]
            yield index, (namespace, unpacked(part.tobytes()))


def cell_keys(planned: Planned, index: int) -> Indices:
    """Places in `planned.keys` of a cell's distinct keys, ascending."""
    requests = np.frombuffer(planned.cell(index)["requests"], "<u4")
    distinct: Indices = np.unique(requests).astype(np.int64)
    return distinct


def remember_namespace(
    planned: Planned, store: Store, model: ResolvedModel, packs: Sequence[_core.Pack]
) -> None:
    """Note which model the keys of its packs belong to, before it is asked."""
    at = KEY_BYTES * int(np.frombuffer(packs[0].req_key, "<u4")[0])
    key = planned.keys[at : at + KEY_BYTES]
    identity = model.identity
    remember_name(store, key, model.source.name, identity.model_id, identity.engine_id)
