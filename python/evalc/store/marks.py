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

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt

from evalc import _core

NAMESPACE_BYTES = 8
MARK_BYTES = 4
DAY_BYTES = 4
DAY_SECONDS = 86_400

Marks = npt.NDArray[np.uint32]
Days = npt.NDArray[np.int64]


def today() -> int:
    """Days since 1970-01-01 in UTC."""
    return int(time.time() // DAY_SECONDS)


def marks(keys: Iterable[bytes]) -> Marks:
    """The mark of each key, uint32 of shape (n,)."""
    end = NAMESPACE_BYTES + MARK_BYTES
    packed = b"".join(key[NAMESPACE_BYTES:end] for key in keys)
    return unpacked(packed)


def packed(values: Marks) -> bytes:
    """Distinct marks in ascending order, big-endian."""
    return np.unique(values).astype(">u4").tobytes()


def unpacked(content: bytes) -> Marks:
    """Marks out of big-endian bytes, uint32 of shape (n,)."""
    found: Marks = np.frombuffer(content, dtype=">u4").astype(np.uint32)
    return found


def day_entries(keys: Sequence[bytes], day: int) -> Iterator[tuple[bytes, bytes]]:
    """What says that `keys` (sorted) were written on `day`: names and values, one per namespace."""
    for namespace, group in groupby(keys, key=lambda key: key[:NAMESPACE_BYTES]):
        content = packed(marks(group))
        yield day_name(namespace, day, content), content


def day_name(namespace: bytes, day: int, content: bytes) -> bytes:
    """The name of a set of marks: 8 bytes of namespace, 4 of the day, 8 of its digest."""
    digest = _core.digest_fields("evalc.day.v1", [content])
    return namespace + day.to_bytes(DAY_BYTES, "big") + bytes.fromhex(digest)[:8]


def day_of(name: bytes) -> int:
    """The day in a name."""
    return int.from_bytes(name[NAMESPACE_BYTES : NAMESPACE_BYTES + DAY_BYTES], "big")


def citation(namespace: bytes, values: Marks) -> tuple[bytes, bytes]:
    """Name (32 bytes) and content of the set of marks that a cell cites in a namespace."""
    content = packed(values)
    digest = _core.digest_fields("evalc.citation.v1", [namespace, content])
    return bytes.fromhex(digest), content


class Ages:
    """The last day on which each key of a namespace was written, by mark."""

    def __init__(self, entries: Iterable[tuple[int, Marks]]) -> None:
        pairs = list(entries)
        values = np.concatenate([np.zeros(0, np.uint32), *(found for _, found in pairs)])
        days = np.concatenate(
            [np.zeros(0, np.int64), *(np.full(len(found), day, np.int64) for day, found in pairs)]
        )
        # of equal marks the last day comes last
        order = np.lexsort((days, values))
        self._values: Marks = values[order]
        self._days: Days = days[order]

    def of(self, values: Marks) -> Days:
        """The day of each mark; 0 where none is known."""
        places = np.searchsorted(self._values, values, side="right") - 1
        days: Days = np.zeros(len(values), np.int64)
        inside = places >= 0
        known = np.zeros(len(values), np.bool_)
        known[inside] = self._values[places[inside]] == values[inside]
        days[known] = self._days[places[known]]
        return days
