"""The LMDB environment: opening rules, buckets, transactions.

Rules paid for elsewhere and kept here: data format 1 (`lib_version=0`), a sparse 1 TiB map, no
writable map (a full disk would be SIGBUS), every commit synced, stale readers cleared at open,
one writer. Nothing else opens `lock.mdb`; the Rust core never opens the store.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import lmdb

from evalc import _core
from evalc.diagnostics import Diagnostic, Faults, Place
from evalc.errors import ExitCode
from evalc.store.damage import DAMAGED, HINT, LAST_WORDS, fill_up
from evalc.store.environments import ENVIRONMENTS, Home
from evalc.store.filesystem import network_filesystem, sync_names
from evalc.store.marks import day_entries, today

KEY_BYTES = 32
NAMESPACE_BYTES = 8
PROBED = 1 << 16
"""Keys looked up between two hand-overs to the core."""
MAP_BYTES = 1 << 40
SMALLEST_MAP_BYTES = 1 << 30
RECORDS = b"records.v1"
QUARANTINE = b"quarantine.v1"
RUNS = b"runs.v1"
NOTES = b"notes.v1"
WHY = b"why.v1"
DAYS = b"days.v1"
CITATIONS = b"citations.v1"
SCORES = b"scores.v1"
RECORDED = b"recorded.v1"
BUCKETS = (RECORDS, QUARANTINE, RUNS, NOTES, WHY, DAYS, CITATIONS, SCORES, RECORDED)
DATED = (RECORDS, SCORES)
"""Buckets of 32-byte keys that are known by the day on which they were written."""
REVISION = b"revision"
"""Note that holds another random value after every change of what `REVISED` buckets hold."""
REVISION_BYTES = 16
REVISED = frozenset({RECORDS, WHY})
FULL = ("Input/output error", "No space left", "File too large", "Disk quota exceeded")
"""What LMDB says when a commit finds no room."""
BATCH = 4096
"""Entries that are read, or written in one transaction, at a time."""
BATCH_BYTES = 1 << 23

Pair = tuple[bytes, bytes]


def _fault(code: str, message: str, directory: Path, hint: str) -> Faults:
    found = Diagnostic(code, message, Place(directory), hint=hint)
    return Faults([found], exit_code=ExitCode.FAILURE)


class Store:
    """Records and what is known about runs, in one directory.

    `damaged` counts the values that failed their checksum since this store was opened; each was
    treated as absent and, if the store is writable, moved to the quarantine bucket.
    """

    def __init__(self, directory: Path, home: Home, readonly: bool) -> None:
        self.directory = directory
        self.readonly = readonly
        self.damaged = 0
        self._home, self._env = home, ENVIRONMENTS.at(home)
        self._closed = False
        self._pid = os.getpid()
        with self._watched():
            self._buckets = ENVIRONMENTS.prepared(home, self._prepare)
        if not readonly and self.revision() is None:
            with self._begin(write=True) as txn:
                self._revise(txn, RECORDS)

    @classmethod
    def open(cls, directory: Path) -> Store:
        """Open or create the store in `directory`; read-only where it cannot be written."""
        directory = directory.expanduser().absolute()
        try:
            new = not (directory / "data.mdb").exists()
            made = [folder for folder in (directory, *directory.parents) if not folder.exists()]
            directory.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise _fault(
                "cache-unusable",
                f"the cache directory `{directory}` cannot be made: {why}",
                directory,
                "give a writable directory with `--cache` or EVALC_CACHE",
            ) from None
        if kind := network_filesystem(directory):
            raise _fault(
                "cache-on-network",
                f"the cache directory `{directory}` is on a network file system (`{kind}`)",
                directory,
                "LMDB needs a local disk; give one with `--cache` or EVALC_CACHE",
            )
        readonly = not os.access(directory, os.W_OK)
        home = ENVIRONMENTS.take(directory, readonly, lambda: _open(directory, readonly))
        try:
            if new and not readonly:
                sync_names([directory, *(folder.parent for folder in made)])
            return cls(directory, home, readonly)
        except BaseException:
            ENVIRONMENTS.leave(home)
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the environment if no other store has it; this one is of no use after it."""
        if not self._closed:
            self._closed = True
            ENVIRONMENTS.leave(self._home)

    def _prepare(self) -> dict[bytes, Any]:
        """Mend the file's length and open the buckets; once for all stores of this process."""
        if not self.readonly:
            fill_up(self._env, self.directory / "data.mdb")
        names = [name for name in BUCKETS if self._has(name)]
        return {name: self._env.open_db(name, create=not self.readonly) for name in names}

    def _has(self, name: bytes) -> bool:
        if not self.readonly:
            return True
        with self._env.begin() as txn:
            return txn.get(name) is not None

    def require_writable(self) -> None:
        """Raise Faults where the store is read-only."""
        if self.readonly:
            raise _fault(
                "cache-read-only",
                f"the cache directory `{self.directory}` cannot be written",
                self.directory,
                "change its permissions, or give another with `--cache`",
            )

    @contextmanager
    def _begin(self, write: bool = False) -> Iterator[lmdb.Transaction]:
        if os.getpid() != self._pid:
            raise _fault(
                "cache-forked",
                "the store was opened by another process",
                self.directory,
                "start worker processes with spawn and open the store in each",
            )
        if write:
            self.require_writable()
        with self._watched(), self._transaction(write) as txn:
            yield txn

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Turn what LMDB raises, and what ends the process inside it, into a diagnostic."""
        try:
            with LAST_WORDS.about(self.directory):
                yield
        except (lmdb.DiskError, lmdb.MapFullError) as error:
            raise self._full(error) from None
        except DAMAGED as error:
            message = f"the store in `{self.directory}` is damaged: {error}"
            raise _fault("cache-damaged", message, self.directory, HINT) from None
        except lmdb.Error as error:
            if any(text in str(error) for text in FULL):
                raise self._full(error) from None
            raise _fault(
                "cache-failed",
                f"the store failed: {error}",
                self.directory,
                "free the disk or move the directory away to start a new store",
            ) from None

    def _transaction(self, write: bool) -> lmdb.Transaction:
        try:
            return self._env.begin(write=write)
        except lmdb.MapResizedError:
            # another process has grown the file past our map
            self._env.set_mapsize(0)
            return self._env.begin(write=write)

    def _full(self, error: Exception) -> Faults:
        return _fault(
            "cache-full",
            f"the store cannot be written: {error}",
            self.directory,
            "free disk space and run `evalc exec` again; what is committed stays",
        )

    def hits(self, keys: bytes) -> bytes:
        """One byte per 32-byte key of the sorted buffer `keys`: 1 where an intact record is."""
        records = self._buckets.get(RECORDS)
        if records is None or not keys:
            return bytes(len(keys) // KEY_BYTES)
        found, bad = bytearray(len(keys) // KEY_BYTES), list[bytes]()
        with self._begin() as txn, txn.cursor(db=records) as cursor:
            for namespace, start, end in _namespaces(keys):
                # a model that was never asked costs one look, whatever the number of its requests
                if not cursor.set_range(namespace) or cursor.key()[:NAMESPACE_BYTES] != namespace:
                    continue
                for first in range(start, end, PROBED):
                    last = min(first + PROBED, end)
                    batch = [_key(keys, at) for at in range(first, last)]
                    values: list[Any] = [cursor.get(key) for key in batch]
                    intact = _core.sealed_intact(values)
                    found[first:last] = intact
                    pairs = zip(batch, values, intact, strict=True)
                    bad += [key for key, value, ok in pairs if value is not None and not ok]
        self.distrust(RECORDS, bad)
        return bytes(found)

    def read(self, keys: Sequence[bytes], bucket: bytes = RECORDS) -> list[bytes | None]:
        """Payload of each key of a bucket, or None where there is no intact one."""
        db = self._buckets.get(bucket)
        if db is None:
            return [None] * len(keys)
        with self._begin() as txn:
            values: list[Any] = [txn.get(key, db=db) for key in keys]
        payloads = _core.unseal_values(values)
        pairs = zip(keys, values, payloads, strict=True)
        bad = [key for key, value, payload in pairs if value is not None and payload is None]
        self.distrust(bucket, dict.fromkeys(bad))
        return payloads

    def commit(
        self, keys: Sequence[bytes], payloads: Sequence[bytes], bucket: bytes = RECORDS
    ) -> None:
        """Write records (or scores) in one durable transaction: all of them, or none."""
        if any(len(key) != KEY_BYTES for key in keys):
            raise ValueError("a key has 32 bytes")
        sealed = _core.seal_values(list(payloads))
        self.write_sealed(bucket, sorted(zip(keys, sealed, strict=True)))

    def revision(self) -> bytes | None:
        """What names the content of records and why-log: equal revisions, equal content.

        None where that is not known, in a store that cannot be written and never was by this
        version. A value that went bad on the disk since changes no revision.
        """
        return self.note(REVISION)

    def _revise(self, txn: lmdb.Transaction, bucket: bytes) -> None:
        """Another revision, in the transaction that changes the bucket."""
        if bucket in REVISED:
            fresh = _core.seal_values([os.urandom(REVISION_BYTES)])[0]
            txn.put(REVISION, fresh, db=self._buckets[NOTES])

    def _date(self, txn: lmdb.Transaction, keys: Sequence[bytes]) -> None:
        """Note that keys (sorted) are written today; see `evalc.store.marks`."""
        entries = list(day_entries(keys, today()))
        sealed = _core.seal_values([content for _, content in entries])
        for (name, _), value in zip(entries, sealed, strict=True):
            txn.put(name, value, db=self._buckets[DAYS])

    def distrust(self, bucket: bytes, keys: Iterable[bytes]) -> None:
        """Count values as damaged, and set them aside unless the store is read-only."""
        keys = list(keys)
        self.damaged += len(keys)
        if not self.readonly and keys:
            self.set_aside(bucket, keys)

    def set_aside(self, bucket: bytes, keys: Sequence[bytes]) -> None:
        """Move values into quarantine: records under their key, others under bucket:name."""
        with self._begin(write=True) as txn:
            for key in keys:
                value = txn.pop(key, db=self._buckets[bucket])
                if value is not None:
                    name = key if bucket == RECORDS else bucket + b":" + key
                    txn.put(name, value, db=self._buckets[QUARANTINE])
            self._revise(txn, bucket)

    def scan(self, bucket: bytes, prefix: bytes = b"") -> Iterator[list[Pair]]:
        """Names and sealed values in name order, in batches of bounded size.

        No transaction is open between batches; what is written meanwhile may or may not be seen.
        """
        start: bytes | None = prefix
        while start is not None and bucket in self._buckets:
            batch, start = self._batch(self._buckets[bucket], prefix, start)
            if batch:
                yield batch

    def _batch(self, db: Any, prefix: bytes, start: bytes) -> tuple[list[Pair], bytes | None]:
        """Pairs from `start` on, and where the next batch starts, if there is any."""
        batch: list[Pair] = []
        size = 0
        with self._begin() as txn, txn.cursor(db=db) as cursor:
            if not (cursor.set_range(start) if start else cursor.first()):
                return batch, None
            for entry in cursor:
                key, value = map(bytes, entry)
                if not key.startswith(prefix):
                    break
                batch.append((key, value))
                size += len(value)
                if len(batch) == BATCH or size >= BATCH_BYTES:
                    return batch, batch[-1][0] + b"\0"
        return batch, None

    def following(self, bucket: bytes, start: bytes) -> bytes | None:
        """The first name that is `start` or comes after it, if there is any."""
        db = self._buckets.get(bucket)
        if db is None:
            return None
        with self._begin() as txn, txn.cursor(db=db) as cursor:
            return bytes(cursor.key()) if cursor.set_range(start) else None

    def sealed(self, bucket: bytes, names: Sequence[bytes]) -> list[bytes | None]:
        """Values as they are stored, or None where there is none."""
        db = self._buckets.get(bucket)
        if db is None:
            return [None] * len(names)
        with self._begin() as txn:
            values: list[Any] = [txn.get(name, db=db) for name in names]
        return values

    def write_sealed(self, bucket: bytes, pairs: Sequence[Pair]) -> None:
        """Write values that are sealed already, in one durable transaction."""
        with self._begin(write=True) as txn:
            for name, value in pairs:
                txn.put(name, value, db=self._buckets[bucket])
            if bucket in DATED:
                self._date(txn, sorted(name for name, _ in pairs))
            self._revise(txn, bucket)

    def remove(self, bucket: bytes, names: Sequence[bytes]) -> None:
        """Delete in one durable transaction."""
        with self._begin(write=True) as txn:
            for name in names:
                txn.delete(name, db=self._buckets[bucket])
            self._revise(txn, bucket)

    def write_run(self, name: bytes, manifest: bytes, citations: Sequence[Pair] = ()) -> None:
        """Record a finished run; its presence says that the run is complete.

        `citations` are the sets of keys that the manifest names; they are there as soon as it is.
        """
        value, *sets = _core.seal_values([manifest, *(content for _, content in citations)])
        with self._begin(write=True) as txn:
            for (digest, _), content in zip(citations, sets, strict=True):
                txn.put(digest, content, db=self._buckets[CITATIONS])
            txn.put(name, value, db=self._buckets[RUNS])

    def runs(self) -> list[tuple[bytes, bytes]]:
        """Recorded runs as (name, manifest), in name order."""
        bucket = self._buckets.get(RUNS)
        if bucket is None:
            return []
        with self._begin() as txn, txn.cursor(db=bucket) as cursor:
            pairs = [(bytes(key), bytes(value)) for key, value in cursor]
        opened = _core.unseal_values([value for _, value in pairs])
        return [(name, run) for (name, _), run in zip(pairs, opened, strict=True) if run]

    def note(self, name: bytes) -> bytes | None:
        """A remembered fact (a file digest, a throughput), or None."""
        bucket = self._buckets.get(NOTES)
        if bucket is None:
            return None
        with self._begin() as txn:
            value: Any = txn.get(name, db=bucket)
        return _core.unseal_values([value])[0]

    def remember(self, name: bytes, value: bytes) -> None:
        """Remember a fact; nothing happens where the store is read-only."""
        if not self.readonly:
            self._put(NOTES, name, value)

    def forget(self, name: bytes) -> None:
        """Forget a remembered fact; one that is not known is no error."""
        self.remove(NOTES, [name])

    def _put(self, bucket: bytes, name: bytes, value: bytes) -> None:
        with self._begin(write=True) as txn:
            txn.put(name, _core.seal_values([value])[0], db=self._buckets[bucket])

    def records(self) -> int:
        """Number of records."""
        return self.count(RECORDS)

    def count(self, bucket: bytes) -> int:
        """Number of entries of a bucket."""
        db = self._buckets.get(bucket)
        if db is None:
            return 0
        with self._begin() as txn:
            return int(txn.stat(db)["entries"])


def _key(keys: bytes, index: int) -> bytes:
    return keys[index * KEY_BYTES : (index + 1) * KEY_BYTES]


def _namespaces(keys: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The namespaces of a sorted key buffer, each with its range of key indices."""
    count, start = len(keys) // KEY_BYTES, 0
    while start < count:
        namespace = _key(keys, start)[:NAMESPACE_BYTES]
        end = bisect_right(
            range(count), namespace, lo=start, key=lambda at: _key(keys, at)[:NAMESPACE_BYTES]
        )
        yield namespace, start, end
        start = end


def _open(directory: Path, readonly: bool) -> lmdb.Environment:
    size = MAP_BYTES
    while True:
        try:
            env = lmdb.open(
                str(directory),
                map_size=size,
                max_dbs=16,
                max_readers=512,
                writemap=False,
                sync=True,
                metasync=True,
                readonly=readonly,
                lock=not readonly,
                create=not readonly,
                lib_version=0,
            )
        except lmdb.MemoryError as error:
            # an address-space limit: a smaller map still holds tens of millions of records
            if size <= SMALLEST_MAP_BYTES:
                raise _unreadable(directory, error) from None
            size //= 2
        except UnicodeEncodeError:
            raise _unreadable(directory, "its path is not UTF-8, which LMDB needs") from None
        except (lmdb.Error, OSError) as error:
            if size > SMALLEST_MAP_BYTES and "Cannot allocate memory" in str(error):
                size //= 2
                continue
            raise _unreadable(directory, error) from None
        else:
            if not readonly:
                env.reader_check()
            return env


def _unreadable(directory: Path, error: Exception | str) -> Faults:
    return _fault(
        "cache-unusable",
        f"the store in `{directory}` cannot be opened: {error}",
        directory,
        "check its permissions, or give another directory with `--cache` or EVALC_CACHE",
    )
