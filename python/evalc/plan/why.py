"""The why-log: what the cases of a cell were made of when they were last answered.

Per (model name, task name) the store keeps a head, JSON with the makings of up to 32 eras (an era
is a run whose components differed from those before it), and a column, zlib over `CASE` records
sorted by case:

    case   8 bytes of BLAKE3 of the case's id, which is the row's `id` or its content's hash
    row    8 bytes of the digest of the row's bytes
    keys   sum over the case's requests of a part of their keys, each times 2 * position + 1
    era    index into the head's eras; `PENDING` for a case that was planned but never answered

A case that is asked anew but not answered keeps the era that answered it last. A run that is killed
outright leaves no log of the model it was at: what it did not reach counts as before the run.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evalc import _core
from evalc.plan.planned import Planned
from evalc.plan.provenance import Provenance, digest
from evalc.store import Store
from evalc.store.environment import WHY

SCHEMA = "evalc.why/2"
KEY_BYTES = 32
PENDING = 255
MOST_ERAS = 32
CASE = np.dtype([("case", "<u8"), ("row", "<u8"), ("keys", "<u8"), ("era", "u1")])

Bools = npt.NDArray[np.bool_]
Cases = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Era:
    """Components of a run's requests, and the digest of the file that their rows came from."""

    components: dict[str, str]
    data: str


@dataclass(frozen=True, slots=True)
class Head:
    """What is logged of a cell, without its cases. The last era is the latest run's.

    `cases` counts those of the latest run, `pending` those of them that it left unanswered.
    """

    model: str
    task: str
    definition: str
    eras: tuple[Era, ...]
    cases: int
    pending: int

    def encode(self) -> bytes:
        """Versioned JSON."""
        eras = [{"components": era.components, "data": era.data} for era in self.eras]
        fields = {"schema": SCHEMA, "model": self.model, "task": self.task, "eras": eras}
        counts = {"cases": self.cases, "pending": self.pending}
        return json.dumps({**fields, "definition": self.definition, **counts}).encode()

    @classmethod
    def decode(cls, content: bytes) -> Head | None:
        """The head in `content`; None for another version's, and for what is none."""
        try:
            fields = json.loads(content)
            if fields["schema"] != SCHEMA:
                return None
            eras = tuple(_era(era) for era in fields["eras"])
            model, task, definition = (str(fields[key]) for key in ("model", "task", "definition"))
            cases, pending = (int(fields[key]) for key in ("cases", "pending"))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError):
            return None
        return cls(model, task, definition, eras, cases, pending) if eras else None


def _era(fields: Mapping[str, Any]) -> Era:
    components = {str(name): str(value) for name, value in fields["components"].items()}
    return Era(components, str(fields["data"]))


@dataclass(frozen=True, slots=True)
class CellCases:
    """Cases of a cell as the plan has them, a value a case.

    The columns of `CASE`, and whether every request of the case has a record.
    """

    case: npt.NDArray[np.uint64]
    row: npt.NDArray[np.uint64]
    keys: npt.NDArray[np.uint64]
    answered: Bools

    @classmethod
    def of(cls, planned: Planned, cell: int, hits: bytes) -> CellCases:
        """Mark the cases of a cell; `hits` is a byte per key of the plan."""
        marks = planned.handle.marks(cell, hits)
        numbers = {name: np.frombuffer(marks[name], "<u8") for name in ("case", "row", "keys")}
        return cls(**numbers, answered=np.frombuffer(marks["answered"], np.bool_))


def _name(kind: bytes, model: str, task: str) -> bytes:
    return kind + b":" + digest(model, task).encode()


def _value(store: Store, name: bytes) -> bytes | None:
    return _core.unseal_values(store.sealed(WHY, [name]))[0]


def head(store: Store, model: str, task: str) -> Head | None:
    """What is logged of a cell."""
    found = _value(store, _name(b"head", model, task))
    return Head.decode(found) if found else None


def heads(store: Store) -> list[Head]:
    """Everything that is logged, without cases."""
    sealed = [value for batch in store.scan(WHY, b"head:") for _, value in batch]
    found = [Head.decode(value) for value in _core.unseal_values(list(sealed)) if value]
    return [known for known in found if known is not None]


def cases(store: Store, of: Head | None) -> Cases:
    """The logged cases of a cell, sorted by `case`."""
    found = _value(store, _name(b"cases", of.model, of.task)) if of else None
    if of is None or found is None:
        return np.zeros(0, dtype=CASE)
    try:
        logged: Cases = np.frombuffer(zlib.decompress(found), dtype=CASE)
    except (ValueError, zlib.error):
        return np.zeros(0, dtype=CASE)
    sound: Cases = logged[(logged["era"] < len(of.eras)) | (logged["era"] == PENDING)]
    return sound


class Ledger:
    """What a run has answered so far; its `commit` stands in for the store's."""

    def __init__(self, planned: Planned, store: Store) -> None:
        self.hits = np.frombuffer(planned.hits, dtype=np.uint8).copy()
        self._keys = np.frombuffer(planned.keys, dtype=f"S{KEY_BYTES}")
        self._store = store

    def commit(self, keys: list[bytes], payloads: list[bytes]) -> None:
        """Commit to the store, then note the keys."""
        self._store.commit(keys, payloads)
        self.hits[np.searchsorted(self._keys, np.array(keys, dtype=f"S{KEY_BYTES}"))] = 1


def record(
    provenance: Provenance, store: Store, hits: npt.NDArray[np.uint8], models: Iterable[str]
) -> None:
    """Log the cells of some models; `hits` says which requests have records now.

    A cell of which the log has nothing new to say costs a look at its head.
    """
    wanted = set(models)
    for cell, (model, _) in enumerate(provenance.planned.selection.cells):
        if model in wanted and not store.readonly:
            _record(provenance, store, hits, cell)


@contextmanager
def logged(provenance: Provenance, store: Store, ledger: Ledger, model: str) -> Iterator[None]:
    """Log a model's cells when the block ends, an interrupted one too."""
    try:
        yield
    except BaseException:
        # what stopped the run is what the user has to hear of
        with suppress(Exception):
            record(provenance, store, ledger.hits, [model])
        raise
    record(provenance, store, ledger.hits, [model])


def _record(provenance: Provenance, store: Store, hits: npt.NDArray[np.uint8], cell: int) -> None:
    model, task = provenance.names(cell)
    counts = provenance.planned.summary["cells"][cell]
    now = Era(provenance.components(cell), provenance.data(cell))
    before = head(store, model, task)
    whole = before is not None and before.pending == 0 and before.cases == counts["cases"]
    if whole and before is not None and before.eras[-1] == now and counts["to_run"] == 0:
        return
    fresh, answered = _fresh(provenance, store, hits, cell)
    eras = before.eras if before else ()
    at = eras.index(now) if now in eras else len(eras)
    eras = eras if now in eras else (*eras, now)
    fresh["era"] = np.where(answered, at, PENDING).astype(np.uint8)
    merged = _merged(cases(store, before), fresh)
    eras, merged = _kept(eras, at, merged)
    done = Head(model, task, provenance.definition(cell), eras, len(fresh), int((~answered).sum()))
    values = [done.encode(), zlib.compress(merged.tobytes(), 1)]
    names = [_name(kind, model, task) for kind in (b"head", b"cases")]
    store.write_sealed(WHY, list(zip(names, _core.seal_values(values), strict=True)))


def _fresh(
    provenance: Provenance, store: Store, hits: npt.NDArray[np.uint8], cell: int
) -> tuple[Cases, Bools]:
    """The cell's cases as the plan has them, era not yet set, and which of them are answered."""
    columns = CellCases.of(provenance.planned, cell, hits.tobytes())
    fresh = np.zeros(len(columns.case), dtype=CASE)
    for name in ("case", "row", "keys"):
        fresh[name] = getattr(columns, name)
    return fresh, columns.answered


def _merged(old: Cases, fresh: Cases) -> Cases:
    """Fresh cases, but where one is unanswered and logged, the logged one; and all others."""
    known = old[old["era"] != PENDING]
    unanswered = fresh["era"] == PENDING
    fresh = fresh[~(unanswered & np.isin(fresh["case"], known["case"]))]
    others = known[~np.isin(known["case"], fresh["case"])]
    merged: Cases = np.concatenate([fresh, others])
    return merged[np.argsort(merged["case"], kind="stable")]


def _kept(eras: tuple[Era, ...], latest: int, merged: Cases) -> tuple[tuple[Era, ...], Cases]:
    """Eras that cases refer to, the latest at the end; the oldest go when there are too many."""
    used = [i for i in np.unique(merged["era"]).tolist() if i not in (PENDING, latest)]
    order = [*used[-(MOST_ERAS - 1) :], latest]
    renumbered = np.full(256, PENDING, dtype=np.uint8)
    renumbered[order] = np.arange(len(order), dtype=np.uint8)
    gone = (merged["era"] != PENDING) & (renumbered[merged["era"]] == PENDING)
    kept = merged[~gone].copy()
    kept["era"] = renumbered[kept["era"]]
    return tuple(eras[i] for i in order), kept
