"""From the requests of a pack to the distinct tokens that a model has to read, in tree order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evalc.contract.packs import Ids, PackColumns


@dataclass(frozen=True, slots=True)
class Targets:
    """Scored tokens, request by request.

    Target k asks for the log-probability of `tokens[k]` after the pack's token `at[k]`; it belongs
    to request `owners[k]`.
    """

    at: Ids
    tokens: Ids
    owners: Ids

    @classmethod
    def of(cls, columns: PackColumns, members: Sequence[int]) -> Targets:
        """The targets of `members`. Raises ValueError when a first token, after nothing, is one."""
        at: list[Ids] = []
        for request in members:
            scored = int(columns.req_cont[request])
            path = _tail(columns, int(columns.req_node[request]), scored + 1)
            if scored < 1 or len(path) <= scored:
                raise ValueError(
                    f"malformed pack: request {request} scores tokens without a context"
                )
            at.append(path)
        counts = [len(path) - 1 for path in at]
        return cls(
            at=np.concatenate([path[:-1] for path in at]),
            tokens=columns.tokens[np.concatenate([path[1:] for path in at])],
            owners=np.repeat(np.asarray(members, dtype=np.int64), counts),
        )


@dataclass(frozen=True, slots=True)
class Stream:
    """Distinct tokens in depth-first order of their tree.

    Token i has id `ids[i]`, stands at depth `positions[i]` and is the pack's token `at[i]`.
    `edges` are the places where a run of one node's tokens begins, and the end of the last one.
    The ancestors of a token are, depth by depth, the last tokens before it at each smaller depth.
    """

    ids: Ids
    positions: Ids
    at: Ids
    edges: Ids

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, columns: PackColumns, order: Sequence[int], ends: Ids, held: int) -> Stream:
        """The tokens of the nodes in `order` up to `ends`, less the first `held` of their path."""
        at: list[Ids] = [np.zeros(0, dtype=np.int64)]
        positions: list[Ids] = [at[0]]
        reached = 0
        for node in order:
            first, end = int(columns.node_offsets[node]), int(ends[node])
            start = int(columns.node_start[node])
            on_path = start == reached and start < held
            skipped = min(held - start, end - first) if on_path else 0
            reached = start + skipped if on_path else -1
            if first + skipped < end:
                at.append(np.arange(first + skipped, end))
                positions.append(np.arange(start + skipped, start + end - first))
        places = np.concatenate(at)
        edges = np.cumsum([len(run) for run in at], dtype=np.int64)
        return cls(columns.tokens[places], np.concatenate(positions), places, edges)


def unread(
    columns: PackColumns,
    members: Sequence[int],
    held: Ids,
    scored: npt.NDArray[np.bool_],
    whole: bool,
) -> tuple[Stream, int]:
    """What `members` need of a pack beyond the ids of a held path, and how many of those it uses.

    `scored` marks the pack's tokens whose states are wanted; those are read even where they are
    held. With `whole` inputs are read to their last token, otherwise only to the one before it.
    """
    ends = needed(columns, members, whole)
    order = [node for node in depth_first(columns, held) if ends[node] > columns.node_offsets[node]]
    depth = held_depth(columns, order, ends, held, scored)
    return Stream.of(columns, order, ends, depth), depth


def needed(columns: PackColumns, members: Sequence[int], whole: bool) -> Ids:
    """Where the tokens of each node that `members` need end, in the pack's tokens: int64[N].

    A node's last token has to be read only for what follows it, or where inputs are read `whole`.
    """
    ends: Ids = columns.node_offsets[:-1].copy()
    for request in members:
        node, last = int(columns.req_node[request]), whole
        while node >= 0:
            end = int(columns.node_offsets[node + 1]) - (0 if last else 1)
            if ends[node] >= end:
                # what lies above was walked by a request before, unless this end is a new one
                if last:
                    break
            else:
                ends[node] = end
            node, last = int(columns.node_parent[node]), True
    return ends


def depth_first(columns: PackColumns, held: Ids) -> list[int]:
    """Nodes with parents before children and subtrees whole, first the path that is held."""
    children: dict[int, list[int]] = {}
    for node, parent in enumerate(columns.node_parent.tolist()):
        children.setdefault(parent, []).append(node)

    def last_first(siblings: list[int]) -> list[int]:
        """For a stack: the sibling that continues what is held comes last."""
        found = siblings[::-1]
        for node in siblings:
            start, first = int(columns.node_start[node]), int(columns.node_offsets[node])
            if start < len(held) and held[start] == columns.tokens[first]:
                found.remove(node)
                return [*found, node]
        return found

    order: list[int] = []
    pending = last_first(children.get(-1, []))
    on_held = True
    while pending:
        node = pending.pop()
        order.append(node)
        below = children.get(node, [])
        on_held = on_held and _continues(columns, node, held)
        pending.extend(last_first(below) if on_held else below[::-1])
    return order


def held_depth(
    columns: PackColumns, order: Sequence[int], ends: Ids, held: Ids, scored: npt.NDArray[np.bool_]
) -> int:
    """How many tokens of the first path are held and need not be read again to score anything."""
    depth = 0
    for node in order:
        first, end = int(columns.node_offsets[node]), int(ends[node])
        if int(columns.node_start[node]) != depth:
            break
        own = columns.tokens[first:end]
        known = held[depth : depth + len(own)]
        differing = np.flatnonzero(
            (own[: len(known)] != known) | scored[first : first + len(known)]
        )
        if len(differing):
            return depth + int(differing[0])
        depth += len(known)
        if len(known) < len(own):
            break
    return depth


def _continues(columns: PackColumns, node: int, held: Ids) -> bool:
    start, first = int(columns.node_start[node]), int(columns.node_offsets[node])
    own = columns.tokens[first : int(columns.node_offsets[node + 1])]
    return bool(np.array_equal(held[start : start + len(own)], own))


def _tail(columns: PackColumns, node: int, count: int) -> Ids:
    """The places of the last `count` tokens of the path that ends with `node`, or of all."""
    parts = []
    while count > 0 and node >= 0:
        first, end = int(columns.node_offsets[node]), int(columns.node_offsets[node + 1])
        parts.append(np.arange(max(first, end - count), end))
        count -= len(parts[-1])
        node = int(columns.node_parent[node])
    return np.concatenate(parts[::-1]) if parts else np.zeros(0, dtype=np.int64)
