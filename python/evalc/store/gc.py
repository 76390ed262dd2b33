"""Collecting what is no longer needed, and never what a recorded run cites or a running one holds.

Age is the last day (UTC) on which a record was written here; `evalc.store.marks` says how both are
known. Records go oldest first, in key order within a day. The file keeps its size: LMDB uses the
freed pages for what is written next.

Scores can always be computed again, and no run cites them. They go by their own age, when the
policy names no models and no size; a score whose records are gone is never looked up, and ages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evalc import _core
from evalc.store.ages import Ages, Days, Marks, marks, packed, unpacked
from evalc.store.environment import CITATIONS, DAYS, QUARANTINE, RECORDS, RUNS, SCORES, Store
from evalc.store.leases import Held
from evalc.store.marks import day_name, day_of
from evalc.store.runs import Run, cited_marks, recorded_runs
from evalc.store.statistics import held_namespaces

END_OF_TIME = 1 << 40
Bools = npt.NDArray[np.bool_]
Sizes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Policy:
    """What may go: records of `namespaces` (None: all) that were last written on `day` or before.

    With `keep_bytes` only as many go, oldest first, as bring keys and values of all records down
    to that many bytes. Runs recorded on `forget_day` or before are forgotten first, and cite
    nothing any more. Scores last written on `score_day` or before go too.
    """

    day: int
    namespaces: frozenset[bytes] | None = None
    keep_bytes: int | None = None
    forget_day: int | None = None
    score_day: int | None = None
    quarantine: bool = False


@dataclass(slots=True)
class Collected:
    """What went, or would go, and what is left; sizes are bytes of keys and values.

    `cited` counts records that the policy lets go and a recorded run keeps.
    """

    records: int = 0
    size: int = 0
    cited: int = 0
    runs: int = 0
    scores: int = 0
    quarantined: int = 0
    left: int = 0
    left_size: int = 0


@dataclass(frozen=True, slots=True)
class _Batch:
    """Records of one namespace as columns of shape (n,)."""

    keys: list[bytes]
    marks: Marks
    sizes: Sizes
    days: Days
    eligible: Bools
    cited: Bools

    @property
    def free(self) -> Bools:
        return self.eligible & ~self.cited


@dataclass(slots=True)
class _Quota:
    """Free records older than `limit` go; of that day, as many as take `excess` bytes."""

    limit: int
    excess: int

    def chosen(self, batch: _Batch) -> Bools:
        """Which records of a batch go; takes their part off the excess."""
        chosen = batch.free & (batch.days < self.limit)
        border = np.flatnonzero(batch.free & (batch.days == self.limit))
        before = np.cumsum(batch.sizes[border]) - batch.sizes[border]
        taken = border[before < self.excess]
        chosen[taken] = True
        self.excess -= int(batch.sizes[taken].sum())
        return chosen


def collect(
    store: Store, policy: Policy, dry: bool = False, held: Sequence[Held] | None = ()
) -> Collected:
    """Remove what the policy lets go; with `dry` only count it.

    `held` is what running commands rest on (`evalc.store.leases`); None where that is not known,
    and every record may be of that. A batch is one durable transaction, so an interrupted
    collection leaves a sound store.
    """
    runs = recorded_runs(store)
    kept = [run for run in runs if not _forgotten(run, policy)]
    found = Collected(runs=len(runs) - len(kept))
    if not dry:
        _forget(store, runs, kept)
    view = _View(store, policy, kept, held)
    quota = _quota(view)
    for namespace in held_namespaces(store):
        survivors = _collect(view, namespace, quota, found, dry)
        if survivors is not None and not dry:
            _redate(store, namespace, survivors, policy.day)
    if policy.score_day is not None:
        found.scores = _collect_scores(store, policy.score_day, dry)
    found.quarantined = store.count(QUARANTINE) if policy.quarantine else 0
    if found.quarantined and not dry:
        for pairs in store.scan(QUARANTINE):
            store.remove(QUARANTINE, [name for name, _ in pairs])
    return found


def _forgotten(run: Run, policy: Policy) -> bool:
    return policy.forget_day is not None and run.day is not None and run.day <= policy.forget_day


def _forget(store: Store, runs: Sequence[Run], kept: Sequence[Run]) -> None:
    """Remove runs, then the sets of keys that only they name."""
    gone = [run for run in runs if run not in kept]
    if not gone:
        return
    store.remove(RUNS, [run.name for run in gone])
    still = {cited.keys for run in kept for cited in run.cites or ()}
    lost = {cited.keys for run in gone for cited in run.cites or ()} - still
    store.remove(CITATIONS, sorted(lost))


@dataclass(frozen=True, slots=True)
class _View:
    """Records seen with a policy and the runs that stay."""

    store: Store
    policy: Policy
    kept: Sequence[Run]
    held: Sequence[Held] | None

    def batches(self, namespace: bytes) -> Iterator[_Batch]:
        """Records of a namespace, in key order."""
        cited = _cited(self, namespace)
        ages = Ages(_days(self.store, namespace))
        chosen = self.policy.namespaces
        inside = chosen is None or namespace in chosen
        for pairs in self.store.scan(RECORDS, namespace):
            keys = [key for key, _ in pairs]
            own = marks(keys)
            days = ages.of(own)
            yield _Batch(
                keys=keys,
                marks=own,
                sizes=np.array([len(key) + len(value) for key, value in pairs], np.int64),
                days=days,
                eligible=(days <= self.policy.day) & inside,
                cited=np.ones(len(keys), np.bool_) if cited is None else np.isin(own, cited),
            )


def _quota(view: _View) -> _Quota:
    """How far in time the removal goes: to the end, or until the records fit."""
    if view.policy.keep_bytes is None:
        return _Quota(END_OF_TIME, 0)
    total = 0
    free: Counter[int] = Counter()
    for namespace in held_namespaces(view.store):
        for batch in view.batches(namespace):
            total += int(batch.sizes.sum())
            for day in np.unique(batch.days[batch.free]):
                free[int(day)] += int(batch.sizes[batch.free & (batch.days == day)].sum())
    excess = total - view.policy.keep_bytes
    for day in sorted(free):
        if free[day] >= excess:
            return _Quota(day, max(0, excess))
        excess -= free[day]
    return _Quota(END_OF_TIME, 0)


def _collect(
    view: _View, namespace: bytes, quota: _Quota, found: Collected, dry: bool
) -> Marks | None:
    """Remove from one namespace; marks of what stays, or None where nothing went."""
    survivors: list[Marks] = []
    removed = 0
    for batch in view.batches(namespace):
        chosen = quota.chosen(batch)
        names = [batch.keys[index] for index in np.flatnonzero(chosen)]
        if names and not dry:
            view.store.remove(RECORDS, names)
        removed += len(names)
        survivors.append(batch.marks[~chosen])
        found.size += int(batch.sizes[chosen].sum())
        found.left += len(batch.keys) - len(names)
        found.left_size += int(batch.sizes[~chosen].sum())
        found.cited += int((batch.eligible & batch.cited).sum())
    found.records += removed
    return np.concatenate(survivors) if removed else None


def _cited(view: _View, namespace: bytes) -> Marks | None:
    """Marks that recorded runs cite in a namespace, or running ones hold; None: any may be."""
    if view.held is None:
        return None
    digests: set[bytes] = set()
    for run in view.kept:
        if run.cites is None:
            return None
        digests |= {cited.keys for cited in run.cites if cited.namespace == namespace}
    sets = [cited_marks(view.store, digest) for digest in sorted(digests)]
    known = [found for found in sets if found is not None]
    if len(known) < len(sets):
        # a set that is lost may have named any record
        return None
    known += [own for name, own in view.held if name == namespace]
    return np.unique(np.concatenate([np.zeros(0, np.uint32), *known]))


def _days(store: Store, namespace: bytes) -> Iterator[tuple[int, Marks]]:
    for pairs in store.scan(DAYS, namespace):
        contents = _core.unseal_values([value for _, value in pairs])
        for (name, _), content in zip(pairs, contents, strict=True):
            if content is not None:
                yield day_of(name), unpacked(content)


def _collect_scores(store: Store, last: int, dry: bool) -> int:
    """Remove the scores that were last written on the day `last` or before; how many they are."""
    gone = 0
    for scorer in held_namespaces(store, SCORES):
        ages = Ages(_days(store, scorer))
        survivors: list[Marks] = []
        for pairs in store.scan(SCORES, scorer):
            keys = [key for key, _ in pairs]
            own = marks(keys)
            chosen = ages.of(own) <= last
            if chosen.any() and not dry:
                store.remove(SCORES, [keys[index] for index in np.flatnonzero(chosen)])
            gone += int(chosen.sum())
            survivors.append(own[~chosen])
        if not dry:
            _redate(store, scorer, np.concatenate(survivors), last)
    return gone


def _redate(store: Store, namespace: bytes, survivors: Marks, last: int) -> None:
    """Drop the marks of what was removed from the days up to `last`."""
    for pairs in store.scan(DAYS, namespace):
        contents = _core.unseal_values([value for _, value in pairs])
        new = {}
        old = []
        for (name, _), content in zip(pairs, contents, strict=True):
            # later days may hold what another process has written since
            if content is None or day_of(name) > last:
                continue
            before = unpacked(content)
            left = packed(before[np.isin(before, survivors)])
            if left != content:
                old.append(name)
                if left:
                    new[day_name(namespace, day_of(name), left)] = left
        if old:
            values = _core.seal_values(list(new.values()))
            store.write_sealed(DAYS, list(zip(new, values, strict=True)))
            store.remove(DAYS, old)
