"""The score cache: values of expensive scorers in the store, under score keys.

A value costs one look-up; what is not there is computed and written, some at a time, so that a
report that is cut off goes on where it was. Values are JSON texts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

from evalc.diagnostics import Faults
from evalc.store import Store
from evalc.store.environment import SCORES

FIRST_KEYS = 256
"""Looked up before the others are made: they tell whether something is to be computed."""
WRITTEN_VALUES = 1024
WRITTEN_SECONDS = 2.0
"""Values in one transaction, and how long one waits for the others: what a kill loses at most."""


@dataclass(frozen=True, slots=True)
class Scored:
    """The value of the input `at`. `lasting` is False for one that chance or the machine gave:
    it is a value of this report, and is computed again for the next."""

    at: int
    value: bytes
    lasting: bool = True


Compute = Callable[[list[int]], Iterable[Scored]]
"""Values of the inputs with these numbers, one at a time and in any order; none for a failure."""


class ScoreCache:
    """Values kept in `store`; without one, or where it is read-only, nothing is written.

    `unwritten` says why values could not be written, if so: scores are reported all the same.
    """

    def __init__(self, store: Store | None = None) -> None:
        self._store = store
        self._pending: dict[bytes, bytes] = {}
        self._written = time.monotonic()
        self.unwritten: Faults | None = None

    def values(
        self,
        count: int,
        keys: Callable[[], Iterable[bytes]],
        compute: Compute,
        expect: Callable[[], None] | None = None,
    ) -> list[bytes | None]:
        """The value of each of `count` inputs, or None where `compute` has none.

        `keys` gives their score keys, and is asked only where there is a store. Inputs of one key
        are computed once. `expect` is called as soon as it is known that something is missing.
        """
        if self._store is None:
            found: list[bytes | None] = [None] * count
            for one in compute(list(range(count))):
                found[one.at] = one.value
            return found
        coming = iter(keys())
        own = list(islice(coming, FIRST_KEYS))
        kept = self._store.read(own, SCORES)
        if expect is not None and None in kept:
            expect()
        more = list(coming)
        own += more
        kept += self._store.read(more, SCORES) if more else []
        known = {key: value for key, value in zip(own, kept, strict=True) if value is not None}
        first: dict[bytes, int] = {}
        for at, key in enumerate(own):
            if key not in known:
                first.setdefault(key, at)
        try:
            for one in compute(list(first.values())) if first else ():
                known[own[one.at]] = one.value
                if one.lasting:
                    self._keep(own[one.at], one.value)
        finally:
            self._write()
        return [known.get(key) for key in own]

    def _keep(self, key: bytes, value: bytes) -> None:
        self._pending[key] = value
        waited = time.monotonic() - self._written
        if len(self._pending) >= WRITTEN_VALUES or waited >= WRITTEN_SECONDS:
            self._write()

    def _write(self) -> None:
        pending, self._pending = self._pending, {}
        self._written = time.monotonic()
        if self._store is None or self._store.readonly or self.unwritten or not pending:
            return
        try:
            self._store.commit(list(pending), list(pending.values()), SCORES)
        except Faults as faults:
            self.unwritten = faults
