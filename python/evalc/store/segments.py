"""Segments: files that carry records, scores and runs from one cache to another.

    header   16 bytes, `evalc segment 1` and a line feed
    block    u32 length, u32 entries, 32 bytes of digest, then `length` bytes of entries
    entry    u8 bucket, u16 length of the name, u32 length of the value, name, value as sealed
    end      u32 0, u32 blocks, 32 bytes of digest over the header and the blocks' digests

Numbers are little-endian, digests BLAKE3-256. A segment is written once and never appended to. In
a folder its name is the BLAKE3 of the whole file, so equal contents are one file. A segment that
is cut short, altered or followed by anything is refused before a single entry of it is used.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from evalc import _core
from evalc.diagnostics import Diagnostic, Faults, Place
from evalc.errors import ExitCode
from evalc.store.environment import (
    CITATIONS,
    DATED,
    KEY_BYTES,
    RECORDED,
    RECORDS,
    RUNS,
    SCORES,
    Pair,
)
from evalc.store.shapes import misshapen, shown_name

SUFFIX = ".evalc"
HEADER = b"evalc segment 1\n"
KINDS = {RECORDS: 1, CITATIONS: 2, RUNS: 3, SCORES: 4, RECORDED: 5}
BUCKETS = {kind: bucket for bucket, kind in KINDS.items()}
DIGEST_HEX = 64
_BLOCK = struct.Struct("<II32s")
_ENTRY = struct.Struct("<BHI")

Batch = tuple[bytes, list[Pair]]


@dataclass(frozen=True, slots=True)
class Written:
    """A segment on disk; `digest` is the BLAKE3 of the file in hex."""

    path: Path
    digest: str
    size: int
    records: int
    runs: int
    scores: int


def write_segment(target: Path, batches: Iterable[Batch]) -> Written:
    """Write a segment to the file `target`, or into the folder `target` under its digest.

    A reader sees all of it or no file. Raises Faults when another file is there already, and
    OSError.
    """
    folder = target if target.is_dir() else target.parent
    handle, name = tempfile.mkstemp(dir=folder, suffix=".part")
    temporary = Path(name)
    counts = dict.fromkeys(KINDS, 0)
    try:
        with os.fdopen(handle, "wb") as stream:
            _write(stream, batches, counts)
            stream.flush()
            os.fsync(stream.fileno())
        digest = _core.hash_files([name])[0]
        size = temporary.stat().st_size
        path = target / f"{digest}{SUFFIX}" if target.is_dir() else target
        _place(temporary, path, digest)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return Written(path, digest, size, counts[RECORDS], counts[RUNS], counts[SCORES])


def _write(stream: BinaryIO, batches: Iterable[Batch], counts: dict[bytes, int]) -> None:
    stream.write(HEADER)
    digests = []
    for bucket, pairs in batches:
        body = b"".join(
            part
            for name, value in pairs
            for part in (_ENTRY.pack(KINDS[bucket], len(name), len(value)), name, value)
        )
        digests.append(_digest(body))
        stream.write(_BLOCK.pack(len(body), len(pairs), digests[-1]))
        stream.write(body)
        counts[bucket] += len(pairs)
    stream.write(_BLOCK.pack(0, len(digests), _closing(digests)))


def _place(temporary: Path, path: Path, digest: str) -> None:
    """Give the file its name, unless a file of that name has other contents."""
    if path.exists():
        if path.is_file() and _core.hash_files([str(path)])[0] == digest:
            temporary.unlink()
            return
        hint = "name another file, or a folder to have it named by its contents"
        message = f"`{path}` exists already and holds something else"
        raise Faults([Diagnostic("file-exists", message, Place(path), hint=hint)])
    mask = os.umask(0)
    os.umask(mask)
    temporary.chmod(0o666 & ~mask)
    temporary.replace(path)


def _digest(body: bytes) -> bytes:
    return bytes.fromhex(_core.digest_fields("evalc.block.v1", [body]))


def _closing(digests: Sequence[bytes]) -> bytes:
    return bytes.fromhex(_core.digest_fields("evalc.segment.v1", [HEADER, *digests]))


def check_segment(path: Path) -> int:
    """Read a segment through once and count its entries. Raises Faults unless it is whole."""
    if path.suffix == SUFFIX and len(path.stem) == DIGEST_HEX:
        with _reading(path):
            found = _core.hash_files([str(path)])[0]
        if found != path.stem:
            raise _bad(path, f"its contents have the digest `{found[:16]}`, not its name")
    return sum(len(pairs) for _, pairs in read_segment(path))


def read_segment(path: Path) -> Iterator[Batch]:
    """Batches of intact sealed pairs, a bucket each. Raises Faults at what is wrong.

    The end of the file is judged last: check a segment before using it.
    """
    with _reading(path), path.open("rb") as stream:
        if stream.read(len(HEADER)) != HEADER:
            raise _bad(path, "it does not start as a segment of version 1 does")
        digests: list[bytes] = []
        while True:
            length, entries, digest = _BLOCK.unpack(_exactly(stream, _BLOCK.size, path))
            if length == 0:
                break
            body = _exactly(stream, length, path)
            if _digest(body) != digest:
                raise _bad(path, f"block {len(digests)} was altered")
            digests.append(digest)
            yield _entries(body, entries, path)
        if entries != len(digests) or digest != _closing(digests):
            raise _bad(path, "its blocks are not those that it was closed with")
        if stream.read(1):
            raise _bad(path, "something follows its end")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _bad(path, f"it cannot be read: {error.strerror or error}") from None


def _exactly(stream: BinaryIO, size: int, path: Path) -> bytes:
    # a length out of a damaged header must not become an allocation
    left = os.fstat(stream.fileno()).st_size - stream.tell()
    content = stream.read(size) if size <= left else b""
    if len(content) != size:
        raise _bad(path, "it is cut short")
    return content


def _entries(body: bytes, count: int, path: Path) -> Batch:
    pairs: list[Pair] = []
    kinds = set()
    at = 0
    while at < len(body):
        if at + _ENTRY.size > len(body):
            raise _bad(path, "an entry is cut short")
        kind, name_length, value_length = _ENTRY.unpack_from(body, at)
        start = at + _ENTRY.size
        middle, at = start + name_length, start + name_length + value_length
        kinds.add(kind)
        pairs.append((body[start:middle], body[middle:at]))
    bucket = BUCKETS.get(next(iter(kinds), 0)) if len(kinds) == 1 else None
    sound = at == len(body) and len(pairs) == count and bucket is not None
    sound = sound and (bucket not in DATED or all(len(name) == KEY_BYTES for name, _ in pairs))
    if not sound or bucket is None:
        raise _bad(path, "an entry is malformed")
    payloads = _core.unseal_values([value for _, value in pairs])
    opened = [(name, p) for (name, _), p in zip(pairs, payloads, strict=True) if p is not None]
    if len(opened) < len(pairs):
        raise _bad(path, "an entry fails its checksum")
    if wrong := misshapen(bucket, opened):
        name, why = wrong[0]
        raise _bad(path, f"`{shown_name(bucket, name)}` cannot be what it says: {why}")
    return bucket, pairs


def _bad(path: Path, why: str) -> Faults:
    message = f"the segment `{path.name}` cannot be used: {why}"
    hint = "export it again, or copy it again; nothing of it was taken"
    return Faults(
        [Diagnostic("bad-segment", message, Place(path), hint=hint)], exit_code=ExitCode.FAILURE
    )
