"""Leases: what running commands rest on, so that a collection leaves it alone.

A command that plans and reads answers holds the guard together with others of its kind, and a
collection alone: nothing goes between a plan and what is done with it. A run would keep the guard
for hours. It writes down the keys that it rests on instead, in a file that it keeps locked, and
lets the guard go.

Both are `flock`s on files beside the data file: the kernel drops them when a process dies, however
it dies, and they need no clock. Where the system has none, or the store cannot be written, nothing
is guarded.

    lease    (8 bytes of namespace, u32 count, u32 marks[count], little-endian)*
"""

from __future__ import annotations

import importlib
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from evalc.store.ages import Marks
from evalc.store.environment import Store

GUARD = "lease.guard"
SUFFIX = ".lease"
_CELL = struct.Struct("<8sI")

Held = tuple[bytes, Marks]


def _flock() -> Any | None:
    """The module that locks; None on Windows."""
    with suppress(ImportError):
        return importlib.import_module("fcntl")
    return None


_FCNTL = _flock()


class Lease:
    """The guard, until `hold` puts a lease in its place; neither after `close`."""

    def __init__(self, guard: BinaryIO | None) -> None:
        self._guard = guard
        self._lease: BinaryIO | None = None

    def hold(self, held: Iterable[Held]) -> None:
        """Keep records of these namespaces and marks until `close`, and let collections go on."""
        if self._guard is None or _FCNTL is None:
            return
        folder = Path(self._guard.name).parent
        path = folder / f"{os.getpid()}-{os.urandom(8).hex()}{SUFFIX}"
        # the guard is held, so nobody looks before the lock is there
        try:
            self._lease = path.open("wb")
            _FCNTL.flock(self._lease, _FCNTL.LOCK_EX)
            for namespace, marks in held:
                self._lease.write(_CELL.pack(namespace, len(marks)))
                self._lease.write(marks.astype("<u4").tobytes())
            self._lease.flush()
        except OSError:
            # no room for it: collections wait until this run has ended
            return
        self._guard.close()
        self._guard = None

    def close(self) -> None:
        """Let everything go."""
        if self._lease is not None:
            Path(self._lease.name).unlink(missing_ok=True)
            with suppress(OSError):
                self._lease.close()
        if self._guard is not None:
            self._guard.close()
        self._lease = self._guard = None


@contextmanager
def guarded(store: Store) -> Iterator[Lease]:
    """No collection while the block runs, or until its lease holds something."""
    lease = Lease(_locked(store, alone=False))
    try:
        yield lease
    finally:
        lease.close()


@contextmanager
def collecting(store: Store, waiting: Callable[[], None]) -> Iterator[list[Held] | None]:
    """What running commands hold, with none that plans meanwhile; None where that is not known.

    `waiting` is called before a wait for commands that plan or read.
    """
    guard = _locked(store, alone=True, waiting=waiting)
    try:
        yield _held(store.directory) if guard is not None else []
    finally:
        if guard is not None:
            guard.close()


def _locked(store: Store, alone: bool, waiting: Callable[[], None] | None = None) -> Any | None:
    """The guard's file, locked; None where there can be none."""
    if _FCNTL is None or store.readonly:
        return None
    try:
        file = (store.directory / GUARD).open("ab")
    except OSError:
        return None
    how = _FCNTL.LOCK_EX if alone else _FCNTL.LOCK_SH
    try:
        try:
            _FCNTL.flock(file, how | _FCNTL.LOCK_NB)
        except BlockingIOError:
            if waiting is not None:
                waiting()
            _FCNTL.flock(file, how)
    except OSError:
        # a file system without locks
        file.close()
        return None
    return file


def _held(folder: Path) -> list[Held] | None:
    """What the leases of living processes hold; those of dead ones go."""
    found: list[Held] = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            with path.open("rb") as file:
                if _is_free(file):
                    path.unlink(missing_ok=True)
                    continue
                found += _cells(file.read())
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            return None
    return found


def _is_free(file: BinaryIO) -> bool:
    assert _FCNTL is not None
    try:
        _FCNTL.flock(file, _FCNTL.LOCK_EX | _FCNTL.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _cells(content: bytes) -> Sequence[Held]:
    """Raises ValueError where the content is cut off."""
    found, at = [], 0
    while at < len(content):
        if len(content) - at < _CELL.size:
            raise ValueError("a lease is cut off")
        namespace, count = _CELL.unpack_from(content, at)
        at += _CELL.size
        found.append((namespace, np.frombuffer(content, "<u4", count, at).astype(np.uint32)))
        at += 4 * count
    return found
