"""The requests of a plan, read back out of its packs and columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from evalc import _core

KEY_BYTES = 32
MODEL_ID, ENGINE_ID = "11" * 32, "22" * 32


@dataclass(frozen=True, order=True)
class Asked:
    """One request: the ids before what is scored, the scored ids, and the settings' index."""

    context: tuple[int, ...]
    scored: tuple[int, ...]
    setting: int | None = None

    @property
    def read(self) -> tuple[int, ...]:
        """What the model must read: the last scored token is only predicted."""
        whole = self.context + self.scored
        return whole[:-1] if self.scored else whole


def keys_of(plan: _core.Plan) -> list[bytes]:
    """Every distinct key."""
    flat = plan.keys()
    return [flat[at : at + KEY_BYTES] for at in range(0, len(flat), KEY_BYTES)]


def column(content: bytes, kind: str = "<u4") -> list[int]:
    """A column of numbers."""
    found: list[int] = np.frombuffer(content, dtype=kind).tolist()
    return found


def unpacked(packs: Iterable[_core.Pack]) -> dict[int, Asked]:
    """Requests by index of their key; each pack is checked to be a well-formed prefix tree."""
    found: dict[int, Asked] = {}
    for pack in packs:
        nodes = _paths(pack)
        settings = column(pack.req_setting)
        rows = zip(
            column(pack.req_node),
            column(pack.req_cont),
            column(pack.req_key),
            settings,
            strict=True,
        )
        for node, scored, key, setting in rows:
            assert key not in found, "a request stands in two packs"
            path = nodes[node]
            cut = len(path) - scored
            assert cut > 0, "a request without a context"
            asks = pack.kind == "generate"
            assert asks == (scored == 0)
            found[key] = Asked(path[:cut], path[cut:], setting if asks else None)
    return found


def _paths(pack: _core.Pack) -> list[tuple[int, ...]]:
    tokens, offsets = column(pack.tokens), column(pack.node_offsets)
    parents, starts = column(pack.node_parent, "<i4"), column(pack.node_start)
    assert offsets[0] == 0
    assert offsets[-1] == len(tokens)
    assert len(offsets) == len(parents) + 1 == len(starts) + 1
    paths: list[tuple[int, ...]] = []
    heads: set[tuple[int, int]] = set()
    for node, (parent, start) in enumerate(zip(parents, starts, strict=True)):
        own = tuple(tokens[offsets[node] : offsets[node + 1]])
        assert own, "an empty node"
        assert -1 <= parent < node, "a parent behind its child"
        before = paths[parent] if parent >= 0 else ()
        assert start == len(before), "a node at the wrong depth"
        assert (parent, own[0]) not in heads, "two children begin alike"
        heads.add((parent, own[0]))
        paths.append(before + own)
    return paths


def trie_tokens(inputs: Iterable[Sequence[int]]) -> int:
    """Distinct prefixes of the inputs: what a model reads when every prefix is read once."""
    return len({tuple(one[:end]) for one in inputs for end in range(1, len(one) + 1)})


def cell_requests(plan: _core.Plan, cell: int, model: int = 0) -> list[list[Asked]]:
    """The requests of every case of a cell, in order, found by key in fresh packs of the plan."""
    by_key = unpacked(plan.packs(model, 1 << 30, 1 << 30))
    columns = plan.cell(cell)
    offsets, indices = column(columns["request_offsets"]), column(columns["requests"])
    pairs = pairwise(offsets)
    return [[by_key[index] for index in indices[start:end]] for start, end in pairs]


def dataset(path: Path, **changes: Any) -> dict[str, Any]:
    """A dataset of an Ir."""
    plain = {
        "name": path.stem,
        "path": str(path),
        "format": "jsonl",
        "compression": "none",
        "origin": str(path),
        "rows": None,
        "where": None,
        "id": None,
    }
    return {**plain, **changes}


def task(**changes: Any) -> dict[str, Any]:
    """A multiple-choice task of an Ir, over the columns `p` and `c`."""
    plain = {
        "name": "t",
        "dataset": 0,
        "kind": "multiple_choice",
        "description": "",
        "prompt": "{{ p }}",
        "delimiter": None,
        "choices": {"template": "{{ c }}"},
        "target": None,
        "fewshot": None,
        "generate": None,
        "overflow": "error",
        "cluster": None,
        "slices": [],
    }
    return {**plain, **changes}


def ir(
    bundle: Path,
    datasets: Sequence[dict[str, Any]],
    tasks: Sequence[dict[str, Any]],
    **model: Any,
) -> bytes:
    """An Ir of one model on all tasks."""
    fields = {
        "name": "m",
        "model_id": MODEL_ID,
        "engine_id": ENGINE_ID,
        "bundle": str(bundle),
        "max_length": 256,
        "chat": False,
        "system": None,
        "date": None,
    }
    content = {
        "ir": 1,
        "seed": 0,
        "tier": {"name": "full", "cases": None, "fraction": None},
        "models": [{**fields, **model}],
        "datasets": list(datasets),
        "tasks": list(tasks),
        "cells": [{"model": 0, "task": index} for index in range(len(tasks))],
    }
    return json.dumps(content).encode()
