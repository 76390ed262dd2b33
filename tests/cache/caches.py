"""Caches with made-up records, and what is in them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import lmdb

from evalc import _core
from evalc.store import Store
from evalc.store.environment import CITATIONS, RECORDS, RUNS, SCORES
from evalc.store.records import Likelihood

Values = dict[tuple[bytes, bytes], bytes]


def key(number: int, namespace: int = 1) -> bytes:
    """A record key: 8 bytes of namespace, 24 of a digest."""
    digest = bytes.fromhex(_core.digest_fields("test", [number.to_bytes(8, "big")]))
    return namespace.to_bytes(8, "big") + digest[:24]


def payload(number: int, change: float = 0.0) -> bytes:
    """The payload of the record `number`."""
    return Likelihood(-float(number) - change, number % 2 == 0, 3).encode()


@contextlib.contextmanager
def opened(cache: Path) -> Iterator[Store]:
    """The store of a cache directory."""
    with Store.open(cache / "store") as store:
        yield store


def fill(cache: Path, numbers: Iterator[int] | range, namespace: int = 1) -> None:
    """Commit records."""
    own = list(numbers)
    with opened(cache) as store:
        store.commit([key(n, namespace) for n in own], [payload(n) for n in own])


def content(cache: Path) -> Values:
    """Everything that travels, by bucket and name, as sealed."""
    with opened(cache) as store:
        return {
            (bucket, name): value
            for bucket in (RECORDS, SCORES, CITATIONS, RUNS)
            for batch in store.scan(bucket)
            for name, value in batch
        }


def edit(cache: Path, bucket: bytes, changes: Mapping[bytes, bytes]) -> None:
    """Replace raw values behind the store's back."""
    with lmdb.open(str(cache / "store"), max_dbs=16, lib_version=0) as env:
        db = env.open_db(bucket)
        with env.begin(write=True, db=db) as txn:
            for name, value in changes.items():
                txn.put(name, value)
