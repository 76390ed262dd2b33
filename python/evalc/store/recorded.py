"""Results recorded under a name, such as `main`, to compare later ones with.

A name keeps every result that was recorded under it until the next is: the latest counts. Entries
are named by the name, the time and a digest, so that the union of two caches never disagrees.
"""

from __future__ import annotations

import re
import zlib

from evalc import _core, env
from evalc.store.environment import RECORDED, Store
from evalc.store.shapes import unpacked_result

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What a result may be called."""
TIME_BYTES = 8
LAST_TIME = (1 << 8 * TIME_BYTES) - 1
DIGEST_BYTES = 8


def record_result(store: Store, name: str, document: bytes) -> None:
    """Record a result under a name; what was recorded under it before goes."""
    before = _entries(store, name)
    digest = bytes.fromhex(_core.digest_fields("evalc.recorded.v1", [document]))[:DIGEST_BYTES]
    # later than any before it, whatever the clock says
    last = max((_time(entry) for entry in before), default=0)
    moment = min(max(env.clock_ns(), last + 1), LAST_TIME).to_bytes(TIME_BYTES, "big")
    sealed = _core.seal_values([zlib.compress(document)])[0]
    store.write_sealed(RECORDED, [(_prefix(name) + moment + digest, sealed)])
    if before:
        store.remove(RECORDED, before)


def recorded_result(store: Store, name: str) -> bytes | None:
    """The latest intact result under a name."""
    for entry in sorted(_entries(store, name), reverse=True):
        content = _core.unseal_values(store.sealed(RECORDED, [entry]))[0]
        document = None if content is None else unpacked_result(content)
        if document is not None:
            return document
    return None


def is_recorded(store: Store, name: str) -> bool:
    """Whether anything is recorded under a name, intact or not."""
    return bool(_entries(store, name))


def recorded_names(store: Store) -> list[str]:
    """Every name that a result is recorded under."""
    found = {name.partition(b"\0")[0] for batch in store.scan(RECORDED) for name, _ in batch}
    return sorted(name.decode() for name in found)


def copy_recorded(source: Store, target: Store) -> None:
    """Put every recorded result of a store into another."""
    for batch in source.scan(RECORDED):
        target.write_sealed(RECORDED, [(bytes(name), bytes(sealed)) for name, sealed in batch])


def _prefix(name: str) -> bytes:
    return name.encode() + b"\0"


def _entries(store: Store, name: str) -> list[bytes]:
    return [entry for batch in store.scan(RECORDED, _prefix(name)) for entry, _ in batch]


def _time(entry: bytes) -> int:
    return int.from_bytes(entry[-DIGEST_BYTES - TIME_BYTES : -DIGEST_BYTES], "big")
