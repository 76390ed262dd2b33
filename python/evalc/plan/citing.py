"""What a run rests on: the sets of keys that its manifest cites, and the names of namespaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from evalc import _core
from evalc.plan.ir import ResolvedModel
from evalc.plan.planned import Planned
from evalc.store import Store
from evalc.store.ages import unpacked
from evalc.store.environment import KEY_BYTES, Pair
from evalc.store.marks import MARK_BYTES, NAMESPACE_BYTES
from evalc.store.runs import cites, remember_name

Indices = npt.NDArray[np.int64]


def citations(planned: Planned) -> tuple[list[dict[str, Any]], list[Pair]]:
    """A manifest's `cites`, and the sets of keys to record with it; see `evalc.store.marks`."""
    keys = np.frombuffer(planned.keys, np.uint8).reshape(-1, KEY_BYTES)
    entries, sets = [], []
    for index, (model, task) in enumerate(planned.selection.cells):
        own = cell_keys(planned, index)
        if len(own):
            namespace = keys[own[0], :NAMESPACE_BYTES].tobytes()
            part = keys[own, NAMESPACE_BYTES : NAMESPACE_BYTES + MARK_BYTES]
            entry, pair = cites(model, task, namespace, unpacked(part.tobytes()))
            entries.append(entry)
            sets.append(pair)
    return entries, sets


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
