"""From the requests of a pack to the distinct rows of ids that a model has to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from evalc.exec.packs import Ids, PackColumns, shared_length


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


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows in lexicographic order.

    `shared[i]` is the number of leading ids that row i shares with row i - 1 (0 for i = 0), less
    than the length of either: the last id of a row is always its own to compute.
    """

    rows: Sequence[Row]
    shared: Ids

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Rows:
        """Measure what neighbours share; `rows` are sorted."""
        pairs = pairwise(row.ids[:-1] for row in rows)
        shared = [0, *(shared_length(left, right) for left, right in pairs)]
        return cls(rows, np.asarray(shared[: len(rows)], dtype=np.int64))


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


def prompt_rows(prompts: Sequence[Ids]) -> tuple[Rows, list[int]]:
    """Rows with nothing scored, and for each the index of its prompt; equal prompts stay apart."""
    encoded = [ids.astype(">u4").tobytes() for ids in prompts]
    order = sorted(range(len(prompts)), key=lambda i: (encoded[i], i))
    none = np.zeros(0, dtype=np.int64)
    return Rows.of([Row(prompts[i], none, none, none) for i in order]), order


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
