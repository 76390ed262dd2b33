"""LMDB environments of this process: one for each directory, whoever opens it, as LMDB demands.

A second environment on the same file would drop the locks of the first when it closes. So stores
that are open at the same time, in one thread or in several, share one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb

Home = tuple[int, str, bool]
"""Process, real path, whether it is only read."""


class _Shared:
    # no dataclass: to make one takes a millisecond of every command
    def __init__(self, env: lmdb.Environment) -> None:
        self.env = env
        self.stores = 0
        self.buckets: dict[bytes, Any] | None = None


class Environments:
    """Environments by their homes, each with the number of stores that have it open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shared: dict[Home, _Shared] = {}

    def take(self, directory: Path, readonly: bool, make: Callable[[], lmdb.Environment]) -> Home:
        """Open a directory once more, by `make` if nobody has it open; `leave` ends it."""
        home = (os.getpid(), os.path.realpath(directory), readonly)
        with self._lock:
            if home not in self._shared:
                self._shared[home] = _Shared(make())
            self._shared[home].stores += 1
        return home

    def at(self, home: Home) -> lmdb.Environment:
        """The environment of a home that was taken."""
        return self._shared[home].env

    def prepared(self, home: Home, make: Callable[[], dict[bytes, Any]]) -> dict[bytes, Any]:
        """The buckets, opened by `make` the first time.

        Opening one begins a transaction that waits for others without letting them go on, if they
        are of this process; so none may have begun.
        """
        with self._lock:
            shared = self._shared[home]
            if shared.buckets is None:
                shared.buckets = make()
            return shared.buckets

    def leave(self, home: Home) -> None:
        """Close the environment if no other store has it open."""
        with self._lock:
            shared = self._shared[home]
            shared.stores -= 1
            if not shared.stores:
                del self._shared[home]
                shared.env.close()


ENVIRONMENTS = Environments()
