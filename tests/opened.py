"""Which files below a folder are opened while something runs, told by the kernel (Linux inotify).

An audit hook of Python does not see what safetensors and tokenizers open in Rust, nor what a child
process opens; the kernel sees all of it.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

IN_OPEN, IN_ISDIR, IN_Q_OVERFLOW, IN_NONBLOCK = 0x20, 0x40000000, 0x4000, 0o4000
EVENT = struct.Struct("iIII")


@contextmanager
def opened(*folders: Path) -> Iterator[set[Path]]:
    """Fills the set with every file in or below `folders` that was opened, when the block ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    queue = libc.inotify_init1(IN_NONBLOCK)
    assert queue >= 0, os.strerror(ctypes.get_errno())
    found: set[Path] = set()
    try:
        watched = {}
        for folder in {path for top in folders for path in (top, *top.rglob("*/"))}:
            number = libc.inotify_add_watch(queue, os.fsencode(folder), IN_OPEN)
            assert number >= 0, os.strerror(ctypes.get_errno())
            watched[number] = folder
        yield found
        for number, name in _events(queue):
            found.add(watched[number] / name)
    finally:
        os.close(queue)


def _events(queue: int) -> Iterator[tuple[int, str]]:
    """Every file that was opened: the number of its folder, and its name."""
    while True:
        try:
            raw = os.read(queue, 1 << 16)
        except BlockingIOError:
            return
        at = 0
        while at < len(raw):
            number, mask, _, length = EVENT.unpack_from(raw, at)
            assert not mask & IN_Q_OVERFLOW, "more was opened than the kernel remembers"
            name = raw[at + EVENT.size : at + EVENT.size + length].rstrip(b"\0")
            at += EVENT.size + length
            if not mask & IN_ISDIR:
                yield number, os.fsdecode(name)
