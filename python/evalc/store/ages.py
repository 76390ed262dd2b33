"""Sets of marks as columns: the last day of each, and what a run cites.

Apart from `evalc.store.marks` because only collecting and citing need numpy; a plan does not.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from evalc import _core
from evalc.store.marks import marked

Marks = npt.NDArray[np.uint32]
Days = npt.NDArray[np.int64]


def marks(keys: Iterable[bytes]) -> Marks:
    """The mark of each key, uint32 of shape (n,)."""
    return unpacked(b"".join(map(marked, keys)))


def packed(values: Marks) -> bytes:
    """Distinct marks in ascending order, big-endian."""
    return np.unique(values).astype(">u4").tobytes()


def unpacked(content: bytes) -> Marks:
    """Marks out of big-endian bytes, uint32 of shape (n,)."""
    found: Marks = np.frombuffer(content, dtype=">u4").astype(np.uint32)
    return found


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
