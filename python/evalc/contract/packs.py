"""Packs as numpy columns: prefix trees of token ids with requests on their nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Kind = Literal["loglikelihood", "generate"]


class Pack(Protocol):
    """What the planner hands out; see "Pack" in docs/architecture.md. Columns are little-endian."""

    @property
    def kind(self) -> str: ...
    @property
    def tokens(self) -> bytes: ...
    @property
    def node_offsets(self) -> bytes: ...
    @property
    def node_parent(self) -> bytes: ...
    @property
    def node_start(self) -> bytes: ...
    @property
    def req_node(self) -> bytes: ...
    @property
    def req_cont(self) -> bytes: ...
    @property
    def req_key(self) -> bytes: ...
    @property
    def req_setting(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class PackColumns:
    """A pack's columns as int64 arrays; N nodes, T tokens, R requests."""

    kind: Kind
    tokens: Ids
    node_offsets: Ids
    node_parent: Ids
    node_start: Ids
    req_node: Ids
    req_cont: Ids
    req_key: Ids
    req_setting: Ids

    @classmethod
    def of(cls, pack: Pack) -> PackColumns:
        """Decode and verify `pack`. Raises ValueError when it breaks the contract."""
        if pack.kind not in ("loglikelihood", "generate"):
            raise ValueError(f"unknown pack kind `{pack.kind}`")
        kind: Kind = "generate" if pack.kind == "generate" else "loglikelihood"
        columns = cls(
            kind=kind,
            tokens=_unsigned(pack.tokens),
            node_offsets=_unsigned(pack.node_offsets),
            node_parent=np.frombuffer(pack.node_parent, dtype="<i4").astype(np.int64),
            node_start=_unsigned(pack.node_start),
            req_node=_unsigned(pack.req_node),
            req_cont=_unsigned(pack.req_cont),
            req_key=_unsigned(pack.req_key),
            req_setting=_unsigned(pack.req_setting),
        )
        columns.verify()
        return columns

    def __len__(self) -> int:
        """The number of requests."""
        return len(self.req_node)

    def verify(self) -> None:
        """Check what the engine relies on. Raises ValueError."""
        nodes, requests = len(self.node_parent), len(self.req_node)
        lengths = np.diff(self.node_offsets)
        starts = self.node_start
        inner = self.node_parent >= 0
        parents = self.node_parent[inner]
        faults = {
            "node columns differ in length": len(starts) != nodes or len(lengths) != nodes,
            "request columns differ in length": any(
                len(column) != requests for column in (self.req_cont, self.req_key)
            ),
            "generate requests lack settings": self.kind == "generate"
            and len(self.req_setting) != requests,
            "tokens and offsets disagree": len(self.node_offsets) == 0
            or self.node_offsets[0] != 0
            or self.node_offsets[-1] != len(self.tokens),
            "a request names no node": bool(np.any(self.req_node >= nodes)),
        }
        if not any(faults.values()):
            faults = {
                "a node is empty": bool(np.any(lengths <= 0)),
                "a parent follows its child": bool(np.any(parents >= np.flatnonzero(inner))),
                "a node starts at another depth than its parent ends": bool(
                    np.any(starts[~inner] != 0)
                    or np.any(starts[inner] != starts[parents] + lengths[parents])
                ),
            }
        broken = [fault for fault, holds in faults.items() if holds]
        if broken:
            raise ValueError(f"malformed pack: {broken[0]}")

    def ids(self, request: int) -> Ids:
        """The whole input of a request: the tokens from its root to its node, int64[depth]."""
        parts = []
        node = int(self.req_node[request])
        while node >= 0:
            parts.append(self.tokens[self.node_offsets[node] : self.node_offsets[node + 1]])
            node = int(self.node_parent[node])
        return np.concatenate(parts[::-1])


@dataclass(frozen=True, slots=True)
class BuiltPack:
    """A pack made in Python."""

    kind: str
    tokens: bytes
    node_offsets: bytes
    node_parent: bytes
    node_start: bytes
    req_node: bytes
    req_cont: bytes
    req_key: bytes
    req_setting: bytes


@dataclass(frozen=True, slots=True)
class Ask:
    """One request for `built_pack`: its ids, how many of the last are scored, key and setting."""

    ids: Sequence[int]
    cont: int = 0
    key: int = 0
    setting: int = 0


def built_pack(kind: Kind, asks: Sequence[Ask]) -> BuiltPack:
    """A pack with the radix tree of the asks' ids; requests keep the order of `asks`."""
    tokens: list[int] = []
    offsets, parents, starts = [0], list[int](), list[int]()
    node_of = [0] * len(asks)

    def add(ids: Sequence[int], parent: int, start: int) -> int:
        tokens.extend(ids)
        offsets.append(len(tokens))
        parents.append(parent)
        starts.append(start)
        return len(parents) - 1

    pending = [(sorted(range(len(asks)), key=lambda i: list(asks[i].ids)), -1, 0)]
    while pending:
        members, parent, depth = pending.pop()
        branches: dict[int, list[int]] = {}
        for member in members:
            branches.setdefault(asks[member].ids[depth], []).append(member)
        for branch in branches.values():
            first, last = asks[branch[0]].ids, asks[branch[-1]].ids
            end = depth + shared_length(np.asarray(first[depth:]), np.asarray(last[depth:]))
            node = add(first[depth:end], parent, depth)
            for member in branch:
                node_of[member] = node
            deeper = [member for member in branch if len(asks[member].ids) > end]
            if deeper:
                pending.append((deeper, node, end))
    return BuiltPack(
        kind=kind,
        tokens=_column(tokens),
        node_offsets=_column(offsets),
        node_parent=np.asarray(parents, dtype="<i4").tobytes(),
        node_start=_column(starts),
        req_node=_column(node_of),
        req_cont=_column([ask.cont for ask in asks]),
        req_key=_column([ask.key for ask in asks]),
        req_setting=_column([ask.setting for ask in asks]),
    )


def shared_length(left: Ids, right: Ids) -> int:
    """How many leading ids two sequences share."""
    shorter = min(len(left), len(right))
    differing = np.flatnonzero(left[:shorter] != right[:shorter])
    return int(differing[0]) if len(differing) else shorter


def _unsigned(column: bytes) -> Ids:
    return np.frombuffer(column, dtype="<u4").astype(np.int64)


def _column(numbers: Sequence[int]) -> bytes:
    return np.asarray(numbers, dtype="<u4").tobytes()
