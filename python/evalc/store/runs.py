"""Recorded runs, as far as the store itself reads their manifests: when, which models, what cited.

A manifest is JSON. The store reads `models` (`name`, `model_id`, `engine_id`) and `cites`, a list
of `{"model", "task", "namespace": hex16, "requests": n, "keys": hex64}`: the cells of the run, each
with the digest of the set of record keys that it rests on (`evalc.store.marks`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from evalc import _core
from evalc.store.ages import Marks, citation, unpacked
from evalc.store.environment import CITATIONS, Pair, Store
from evalc.store.marks import NAMESPACE_BYTES
from evalc.store.shapes import manifest_fault

NAMES = b"namespace:"
RUN_NAME = "%Y%m%dT%H%M%S"
_DATE = re.compile(rb"(\d{4})(\d{2})(\d{2})T")
EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Cited:
    """A cell of a run: its model, its namespace (8 bytes), the digest (32) of its set of keys."""

    model: str
    namespace: bytes
    keys: bytes


@dataclass(frozen=True, slots=True)
class Run:
    """A recorded run; a manifest that is none is empty.

    `cites` is None where the manifest does not say: then it cites everything.
    """

    name: bytes
    day: int | None
    manifest: Mapping[str, Any]
    cites: tuple[Cited, ...] | None


def recorded_runs(store: Store) -> list[Run]:
    """Every intact run, in name order."""
    return [_run(name, content) for name, content in store.runs()]


def run_name(store: Store, moment: datetime) -> bytes:
    """A name for a run that ended at `moment` by the clock; it comes after every recorded one.

    A clock that was put back would else make an older run the latest.
    """
    name = moment.strftime(f"{RUN_NAME}.%f").encode()
    last = max((known for known, _ in store.runs()), default=b"")
    if name > last:
        return name
    stem, _, count = last.partition(b"~")
    following = int(count) + 1 if count.isdigit() else 1
    return b"%s~%06d" % (stem, following)


def _run(name: bytes, content: bytes) -> Run:
    manifest: dict[str, Any] = {}
    cites = None
    with suppress(ValueError, KeyError, RecursionError):
        loaded = json.loads(content)
        if manifest_fault(loaded) is None:
            manifest = loaded
        cites = tuple(
            Cited(
                str(entry["model"]),
                bytes.fromhex(entry["namespace"]),
                bytes.fromhex(entry["keys"]),
            )
            for entry in manifest["cites"]
        )
    return Run(name, _day(name), manifest, cites)


def _day(name: bytes) -> int | None:
    found = _DATE.match(name)
    try:
        return None if found is None else date(*map(int, found.groups())).toordinal() - EPOCH
    except ValueError:
        return None


def cites(model: str, task: str, namespace: bytes, keys: Marks) -> tuple[dict[str, Any], Pair]:
    """An entry of a manifest's `cites`, and the set of keys to record with it.

    `keys` are the marks of the cell's distinct record keys.
    """
    digest, content = citation(namespace, keys)
    entry = {
        "model": model,
        "task": task,
        "namespace": namespace.hex(),
        "requests": len(keys),
        "keys": digest.hex(),
    }
    return entry, (digest, content)


def cited_marks(store: Store, digest: bytes) -> Marks | None:
    """A cited set of keys, or None where it is lost or damaged."""
    content = _core.unseal_values(store.sealed(CITATIONS, [digest]))[0]
    return None if content is None else unpacked(content)


def remember_name(store: Store, key: bytes, model: str, model_id: str, engine_id: str) -> None:
    """Note which model the namespace of `key` is, for runs that never end."""
    name = NAMES + key[:NAMESPACE_BYTES].hex().encode()
    fields = {"model": model, "model_id": model_id, "engine_id": engine_id}
    content = json.dumps(fields, ensure_ascii=False, sort_keys=True).encode()
    if store.note(name) != content:
        store.remember(name, content)
