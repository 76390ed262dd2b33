"""From the requests of a pack to the distinct rows of ids that a model has to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalc.contract.packs import Ids, PackColumns


@dataclass(frozen=True, slots=True)
class Row:
    """One input and what is scored on it.

    `ids` is int64[L]. Target k asks for the log-probability of `tokens[k]` after
    `ids[: at[k] + 1]` and belongs in `slots[k]`; `at` ascends.
    """

    ids: Ids
    at: Ids
    tokens: Ids
    slots: Ids


def scored_rows(columns: PackColumns, members: Sequence[int], slots: Ids, alone: bool) -> list[Row]:
    """The rows of log-likelihood requests, in lexicographic order.

    A request's input is its ids without the last one; a request whose input begins another's is
    scored on that one's row, or with `alone` only one whose input is equal. The scored tokens of
    request r go to `slots[r]`, `slots[r] + 1`, ...
    """
    whole = {request: columns.ids(request) for request in members}
    encoded = {request: ids[:-1].astype(">u4").tobytes() for request, ids in whole.items()}
    rows: list[Row] = []
    group: list[int] = []
    for request in sorted(members, key=lambda r: (encoded[r], r), reverse=True):
        above = encoded[group[0]] if group else b""
        if group and not (
            above == encoded[request] if alone else above.startswith(encoded[request])
        ):
            rows.append(_row(columns, whole, group, slots))
            group = []
        group.append(request)
    if group:
        rows.append(_row(columns, whole, group, slots))
    return rows[::-1]


def _row(columns: PackColumns, whole: dict[int, Ids], group: list[int], slots: Ids) -> Row:
    at, tokens, places = [], [], []
    for request in group:
        ids, scored = whole[request], int(columns.req_cont[request])
        at.append(np.arange(len(ids) - 1 - scored, len(ids) - 1))
        tokens.append(ids[len(ids) - scored :])
        places.append(np.arange(slots[request], slots[request] + scored))
    positions = np.concatenate(at)
    order = np.argsort(positions, kind="stable")
    return Row(
        ids=whole[group[0]][:-1],
        at=positions[order],
        tokens=np.concatenate(tokens)[order],
        slots=np.concatenate(places)[order],
    )
