"""What a store holds, counted by namespace; and whether every value of it is intact."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby

from evalc import _core
from evalc.diagnostics import Diagnostic, Faults
from evalc.store.environment import (
    BUCKETS,
    DAYS,
    NOTES,
    QUARANTINE,
    RECORDS,
    Store,
)
from evalc.store.marks import NAMESPACE_BYTES, day_of
from evalc.store.runs import NAMES, recorded_runs
from evalc.store.shapes import unusable

MOST_LISTED = 20


@dataclass(slots=True)
class Namespace:
    """Records of one model and engine; sizes are bytes of keys and values, days are UTC.

    `models` are the names under which it ran, `runs` the recorded runs that rest on it.
    """

    name: bytes
    records: int = 0
    size: int = 0
    models: set[str] = field(default_factory=set)
    runs: int = 0
    first_day: int | None = None
    last_day: int | None = None


def namespaces(store: Store) -> list[Namespace]:
    """Every namespace that has records, in key order."""
    found: dict[bytes, Namespace] = {}
    for batch in store.scan(RECORDS):
        for name, group in groupby(batch, key=lambda pair: pair[0][:NAMESPACE_BYTES]):
            entry = found.setdefault(name, Namespace(name))
            sizes = [len(key) + len(value) for key, value in group]
            entry.records += len(sizes)
            entry.size += sum(sizes)
    for batch in store.scan(DAYS):
        for name, _ in batch:
            known = found.get(name[:NAMESPACE_BYTES])
            if known is not None:
                day = day_of(name)
                known.first_day = min(day, known.first_day or day)
                known.last_day = max(day, known.last_day or day)
    for run in recorded_runs(store):
        for namespace in {cited.namespace for cited in run.cites or ()} & set(found):
            found[namespace].runs += 1
    for namespace, models in names_of(store).items():
        if namespace in found:
            found[namespace].models |= models
    return list(found.values())


def names_of(store: Store) -> dict[bytes, set[str]]:
    """Model names by namespace, from recorded runs and from what `exec` notes when it starts."""
    names: dict[bytes, set[str]] = {}
    for run in recorded_runs(store):
        for cited in run.cites or ():
            names.setdefault(cited.namespace, set()).add(cited.model)
    for batch in store.scan(NOTES, NAMES):
        contents = _core.unseal_values([value for _, value in batch])
        for (note, _), content in zip(batch, contents, strict=True):
            with suppress(ValueError, KeyError, TypeError):
                namespace = bytes.fromhex(note.removeprefix(NAMES).decode())
                model = str(json.loads(content or b"")["model"])
                names.setdefault(namespace, set()).add(model)
    return names


def chosen_namespaces(store: Store, wanted: Sequence[str]) -> list[bytes]:
    """Namespaces by model name or by the first digits of their hex. Raises Faults for others.

    A name stands for every namespace that ran under it: all weights that it ever had.
    """
    names = names_of(store)
    held = held_namespaces(store)
    found: set[bytes] = set()
    faults = []
    for text in wanted:
        hits = {name for name in held if text in names.get(name, ())}
        hits = hits or {name for name in held if text and name.hex().startswith(text.lower())}
        found |= hits
        if not hits:
            known = sorted({model for name in held for model in names.get(name, ())})
            listed = ", ".join(f"`{model}`" for model in known[:MOST_LISTED])
            hint = "see `evalc cache stat`" + (f"; there are {listed}" if listed else "")
            message = f"no records belong to a model or namespace `{text}`"
            faults.append(Diagnostic("unknown-namespace", message, hint=hint))
    if faults:
        raise Faults(faults)
    return sorted(found)


def held_namespaces(store: Store, bucket: bytes = RECORDS) -> list[bytes]:
    """The first bytes of a bucket's keys, in order; found by seeking, one look for each."""
    held: list[bytes] = []
    start = bytes(NAMESPACE_BYTES)
    while (name := store.following(bucket, start)) is not None:
        held.append(name[:NAMESPACE_BYTES])
        after = int.from_bytes(held[-1], "big") + 1
        if after >> (8 * NAMESPACE_BYTES):
            break
        start = after.to_bytes(NAMESPACE_BYTES, "big")
    return held


@dataclass(slots=True)
class Verified:
    """Values looked at and found bad, by bucket name; `listed` are the first bad ones."""

    checked: dict[str, int] = field(default_factory=dict)
    bad: dict[str, int] = field(default_factory=dict)
    listed: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def damaged(self) -> int:
        """Bad values of all buckets."""
        return sum(self.bad.values())


def verify(store: Store) -> Verified:
    """Check checksums and shapes; bad values go into quarantine unless the store is read-only."""
    found = Verified()
    for bucket in BUCKETS:
        if bucket == QUARANTINE:
            continue
        name = bucket.decode().partition(".")[0]
        found.checked[name] = found.bad[name] = 0
        for batch in store.scan(bucket):
            bad = unusable(bucket, batch)
            found.checked[name] += len(batch)
            found.bad[name] += len(bad)
            room = MOST_LISTED - len(found.listed)
            found.listed += [(name, key) for key in bad[:room]]
            if bad and not store.readonly:
                store.set_aside(bucket, bad)
    return found
