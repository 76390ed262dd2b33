"""Digests of file contents, remembered between runs by what the file system says of a file.

A file in a Hugging Face cache is a link to a blob named by its SHA-256, which would spare reading
it. The name is not used: a blob that was damaged or written over would keep the identity of what it
once was, and the same weights in a plain directory would be another model. Reading costs 0.2 s for
a file of 538 MB (two cores, warm), and only the first time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evalc import _core, env
from evalc.store import Store

RACY_NS = 100_000_000
DIGEST = re.compile(rb"[0-9a-f]{64}")
"""A file changed less than this ago may change again within one tick of the file system's clock."""


@dataclass(frozen=True, slots=True)
class Digests:
    """BLAKE3 digests in hex, of 64 characters.

    A file whose path, size, times, device and inode are those of an earlier look is not read again;
    `store` remembers. `rehash` reads every file, and corrects what the store remembers.
    """

    store: Store | None
    rehash: bool = False

    def of(self, files: Sequence[Path]) -> list[str]:
        """One digest per file, in order; what has to be read is read on all cores."""
        stamps = [_stamp(file) for file in files]
        known = [self._known(stamp) for stamp in stamps]
        missing = [str(file) for file, found in zip(files, known, strict=True) if found is None]
        now = env.clock_ns()
        fresh = iter(_core.hash_files(missing))
        digests = []
        for file, stamp, found in zip(files, stamps, known, strict=True):
            digest = found or next(fresh)
            if found is None:
                self._remember(file, stamp, digest, now)
            digests.append(digest)
        return digests

    def _known(self, stamp: bytes) -> str | None:
        found = self.store.note(stamp) if self.store and not self.rehash else None
        noted = found is not None and DIGEST.fullmatch(found) is not None
        return found.decode() if found is not None and noted else None

    def _remember(self, file: Path, stamp: bytes, digest: str, now: int) -> None:
        state = file.stat()
        settled = now - max(state.st_mtime_ns, state.st_ctime_ns) >= RACY_NS
        if self.store is not None and settled and _stamp(file) == stamp:
            self.store.remember(stamp, digest.encode())


def _stamp(file: Path) -> bytes:
    """A note's name: a digest of path, size, modification and change time, device and inode."""
    real = file.resolve()
    state = real.stat()
    numbers = (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_dev, state.st_ino)
    fields = [str(real).encode(), *(str(number).encode() for number in numbers)]
    return b"file:" + _core.digest_fields("evalc.stamp.v1", fields).encode()
