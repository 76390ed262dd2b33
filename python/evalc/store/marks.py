"""Marks: four bytes that stand for a record key where a set of keys has to be small.

A record carries no time and does not know who cites it; both are kept beside the records as sets
of marks, four bytes a key instead of a change of the record format:

    days       namespace + day + digest -> the keys of one commit; written with the commit itself
    citations  digest -> the keys that one cell of a recorded run rests on; the run names the digest

Scores are dated in the same way; the first bytes of their keys stand for the scorer.

Cells of later runs that ask the same have the same digest, and so share the set. Two keys of one
namespace may have one mark (1 in 4 billion per pair): a record then counts as younger, or as cited
although it is not. Both errors keep a record that could have gone, and never the reverse.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from evalc import _core, env

NAMESPACE_BYTES = 8
MARK_BYTES = 4
DAY_BYTES = 4
DAY_SECONDS = 86_400


def today() -> int:
    """Days since 1970-01-01 in UTC."""
    return env.clock_ns() // (DAY_SECONDS * 10**9)


def marked(key: bytes) -> bytes:
    """The mark of a key, 4 bytes."""
    return key[NAMESPACE_BYTES : NAMESPACE_BYTES + MARK_BYTES]


def day_entries(keys: Sequence[bytes], day: int) -> Iterator[tuple[bytes, bytes]]:
    """What says that `keys` (sorted) were written on `day`: names and values, one per namespace."""
    for namespace, group in groupby(keys, key=lambda key: key[:NAMESPACE_BYTES]):
        # of equal length, so their order is that of the numbers
        content = b"".join(sorted(set(map(marked, group))))
        yield day_name(namespace, day, content), content


def day_name(namespace: bytes, day: int, content: bytes) -> bytes:
    """The name of a set of marks: 8 bytes of namespace, 4 of the day, 8 of its digest."""
    digest = _core.digest_fields("evalc.day.v1", [content])
    return namespace + day.to_bytes(DAY_BYTES, "big") + bytes.fromhex(digest)[:8]


def day_of(name: bytes) -> int:
    """The day in a name."""
    return int.from_bytes(name[NAMESPACE_BYTES : NAMESPACE_BYTES + DAY_BYTES], "big")
