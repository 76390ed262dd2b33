"""Frames: what evalc and a child process for hooks send each other.

    magic "evh1"   4 bytes; another magic is another version of the protocol
    kind           1 byte, one of the letters below
    length         u32, little-endian: bytes of the body, at most `LONGEST`
    sum            u32, little-endian: CRC-32 of the body
    body           JSON as UTF-8, for `D` text of rows

To the child: `L` load a hook, `C` calls of it, `D` rows for `prepare`, `P` call it with them, `A`
the answer to what a hook asked. From the child: `H` hello, `L` loaded, `R` returned, `D` rows that
`prepare` gave, `P` their end, `Q` a hook asks evalc.

Used on both sides, and so of the standard library alone. Never unpickled: what a child writes is
bytes until it is checked.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

MAGIC = b"evh1"
KINDS = frozenset(b"LCDPAHRQ")
HEADER = struct.Struct("<4scII")
LONGEST = 1 << 26
VERSION = 1


class BadFrame(Exception):  # noqa: N818
    """What arrived is no frame."""


def frame(kind: bytes, body: bytes) -> bytes:
    """One frame. `body` is at most `LONGEST` bytes."""
    return HEADER.pack(MAGIC, kind, len(body), zlib.crc32(body)) + body


def opened(header: bytes) -> tuple[bytes, int, int]:
    """The kind, length and sum that a header names. Raises `BadFrame`."""
    magic, kind, length, total = HEADER.unpack(header)
    if magic != MAGIC or kind[0] not in KINDS or length > LONGEST:
        raise BadFrame
    return kind, length, total


def checked(body: bytes, total: int) -> bytes:
    """The body, if its sum is the header's. Raises `BadFrame`."""
    if zlib.crc32(body) != total:
        raise BadFrame
    return body


class Inbox:
    """Frames out of bytes as they arrive."""

    def __init__(self) -> None:
        self._held = bytearray()

    def take(self, arrived: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The frames that are complete by now. Raises `BadFrame`."""
        self._held += arrived
        while len(self._held) >= HEADER.size:
            kind, length, total = opened(bytes(self._held[: HEADER.size]))
            end = HEADER.size + length
            if len(self._held) < end:
                return
            body = checked(bytes(self._held[HEADER.size : end]), total)
            del self._held[:end]
            yield kind, body
