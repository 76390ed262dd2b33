"""The union of what two caches know: nothing is overwritten, and no disagreement is silent."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from evalc import _core
from evalc.store.environment import CITATIONS, RECORDED, RECORDS, RUNS, SCORES, Pair, Store
from evalc.store.records import malformed, said
from evalc.store.runs import Run, recorded_runs
from evalc.store.shapes import unusable

MOST_EXAMPLES = 20


@dataclass(frozen=True, slots=True)
class Conflict:
    """One name with two values: the payload that is kept, and the one that was refused."""

    bucket: bytes
    name: bytes
    kept: bytes
    refused: bytes


@dataclass(slots=True)
class Union:
    """What a store took in. `known` counts what it had already; `examples` are bounded."""

    records: int = 0
    scores: int = 0
    runs: int = 0
    known: int = 0
    conflicts: int = 0
    examples: list[Conflict] = field(default_factory=list)

    def take(self, store: Store, bucket: bytes, pairs: Sequence[Pair]) -> None:
        """Add intact sealed values in one durable transaction, or none if all are known.

        A value that fails its checksum in `store` is replaced, and goes into quarantine.
        """
        own = store.sealed(bucket, [name for name, _ in pairs])
        new = [pair for pair, value in zip(pairs, own, strict=True) if value is None]
        differing = [
            (pair, value)
            for pair, value in zip(pairs, own, strict=True)
            if value is not None and value != pair[1]
        ]
        kept = _core.unseal_values([value for _, value in differing])
        refused = _core.unseal_values([value for (_, value), _ in differing])
        broken = []
        for ((name, value), _), mine, other in zip(differing, kept, refused, strict=True):
            if mine is None:
                broken.append(name)
                new.append((name, value))
            elif other is not None and not _agree(bucket, mine, other):
                self._refuse(Conflict(bucket, name, mine, other))
        if broken:
            store.set_aside(bucket, broken)
        if new:
            store.write_sealed(bucket, sorted(new))
        self.records += len(new) if bucket == RECORDS else 0
        self.scores += len(new) if bucket == SCORES else 0
        self.runs += len(new) if bucket == RUNS else 0
        self.known += len(pairs) - len(new)

    def _refuse(self, conflict: Conflict) -> None:
        self.conflicts += 1
        self.known -= 1
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append(conflict)


def _agree(bucket: bytes, mine: bytes, other: bytes) -> bool:
    """Whether two values are the same answer. What is known beside an answer may differ."""
    if mine == other:
        return True
    # a value of this store that nobody can read contradicts nothing it can say
    return bucket == RECORDS and not malformed(mine) and said(mine) == said(other)


class Contents:
    """What travels from a store: records, scores, the sets of keys that runs cite, and runs.

    With `namespaces`, records of those only, and the runs that rest on nothing else; neither
    scores, which do not know what they were computed from and can be computed again, nor recorded
    results. Iterating yields a bucket and a batch of sealed pairs that are intact, runs last: a
    reader that stops anywhere never has a run without its records. `damaged` counts values left
    out because they fail their checksum.
    """

    def __init__(self, store: Store, namespaces: Collection[bytes] | None = None) -> None:
        self.damaged = 0
        self._store = store
        self._namespaces = None if namespaces is None else sorted(namespaces)

    def __iter__(self) -> Iterator[tuple[bytes, list[Pair]]]:
        # runs are chosen first: whatever is written meanwhile, the records of these are there
        runs = [run for run in recorded_runs(self._store) if self._travels(run)]
        digests = sorted({cited.keys for run in runs for cited in run.cites or ()})
        for prefix in [b""] if self._namespaces is None else self._namespaces:
            for batch in self._store.scan(RECORDS, prefix):
                yield from self._intact(RECORDS, batch)
        for batch in self._store.scan(SCORES) if self._namespaces is None else ():
            yield from self._intact(SCORES, batch)
        for batch in self._store.scan(RECORDED) if self._namespaces is None else ():
            yield from self._intact(RECORDED, batch)
        for digest in digests:
            yield from self._intact(CITATIONS, self._pairs(CITATIONS, [digest]))
        yield from self._intact(RUNS, self._pairs(RUNS, [run.name for run in runs]))

    def _travels(self, run: Run) -> bool:
        if self._namespaces is None:
            return True
        return run.cites is not None and {c.namespace for c in run.cites} <= set(self._namespaces)

    def _pairs(self, bucket: bytes, names: Sequence[bytes]) -> list[Pair]:
        values = self._store.sealed(bucket, names)
        return [(n, value) for n, value in zip(names, values, strict=True) if value is not None]

    def _intact(self, bucket: bytes, batch: Sequence[Pair]) -> Iterator[tuple[bytes, list[Pair]]]:
        bad = set(unusable(bucket, batch))
        kept = [pair for pair in batch if pair[0] not in bad]
        self.damaged += len(batch) - len(kept)
        if kept:
            yield bucket, kept
