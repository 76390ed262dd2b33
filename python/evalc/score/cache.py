"""The score cache: values of expensive scorers in the store, under score keys.

A value costs one look-up; what is not there is computed and written, some at a time, so that a
report that is cut off goes on where it was. Values are JSON texts.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from evalc.diagnostics import Faults
from evalc.store import Store
from evalc.store.environment import SCORES

LOOKED_UP = 256
"""Keys that are made and looked up at once, while what was missing before is computed."""
WRITTEN_VALUES = 8192
WRITTEN_SECONDS = 2.0
"""Values in one transaction, and how long one waits for the others: what a kill loses at most."""


@dataclass(frozen=True, slots=True)
class Scored:
    """The value of the input `at`. `lasting` is False for one that chance or the machine gave:
    it is a value of this report, and is computed again for the next."""

    at: int
    value: bytes
    lasting: bool = True


class Missing(Iterator[int]):
    """Inputs whose value is not kept, each key once, found while others are computed."""

    def __init__(self, count: int, look: Callable[[], Iterable[int]] | None) -> None:
        self._count, self._scanned, self._yielded = count, 0, 0
        self._look = look
        self._found: deque[int] = deque()

    def __next__(self) -> int:
        while not self._found and self._more():
            pass
        if not self._found:
            raise StopIteration
        self._yielded += 1
        return self._found.popleft()

    def __bool__(self) -> bool:
        """Whether there is one more."""
        while not self._found and self._more():
            pass
        return bool(self._found)

    def left(self) -> int:
        """About how many are still to come."""
        missed = self._yielded + len(self._found)
        unseen = (self._count - self._scanned) * missed // max(1, self._scanned)
        return len(self._found) + unseen

    def finish(self) -> None:
        """Look the others up too: what is kept counts, though nothing more is computed."""
        while self._more():
            pass

    def _more(self) -> bool:
        before = self._scanned
        self._scanned = min(self._count, before + LOOKED_UP)
        if self._look is None:
            self._found.extend(range(before, self._scanned))
        elif self._scanned > before:
            self._found.extend(self._look())
        return self._scanned > before


Compute = Callable[[Missing], Iterable[Scored]]
"""Values of these inputs, one at a time and in any order; none for a failure."""


@dataclass(slots=True)
class _Look:
    """Makes the next keys and looks them up; `known` are values by key."""

    store: Store
    coming: Iterator[bytes]
    own: list[bytes] = field(default_factory=list)
    known: dict[bytes, bytes] = field(default_factory=dict)
    asked: set[bytes] = field(default_factory=set)

    def __call__(self) -> list[int]:
        keys = list(islice(self.coming, LOOKED_UP))
        found = []
        for at, (key, value) in enumerate(self._read(keys), len(self.own)):
            if value is not None:
                self.known.setdefault(key, value)
            elif key not in self.asked and key not in self.known:
                self.asked.add(key)
                found.append(at)
        self.own += keys
        return found

    def _read(self, keys: Sequence[bytes]) -> Iterator[tuple[bytes, bytes | None]]:
        return zip(keys, self.store.read(keys, SCORES), strict=True)


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
            for one in compute(Missing(count, None)) if count else ():
                found[one.at] = one.value
            return found
        look = _Look(self._store, iter(keys()))
        missing = Missing(count, look)
        if missing and expect is not None:
            expect()
        try:
            for one in compute(missing) if missing else ():
                look.known[look.own[one.at]] = one.value
                if one.lasting:
                    self._keep(look.own[one.at], one.value)
        finally:
            self._write()
        missing.finish()
        return [look.known.get(key) for key in look.own]

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
