"""Checksums of the files that planning keeps beside the store: one that fails is no file.

A JSON file carries its own as its first key; any other has a file with its digest beside it.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from evalc import _core

SUFFIX = ".sum"
_START, _END = b'{"sum": "', b'", '
_DIGEST_HEX = 64
_TAG = "evalc.sum.v1"


def summed(content: bytes) -> bytes:
    """A JSON object, not empty, with the checksum of its text in front."""
    rest = content[1:]
    return _START + _digest(rest) + _END + rest


def is_summed(path: Path) -> bool:
    """Whether a file is there and is what `summed` gave."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    start = len(_START) + _DIGEST_HEX + len(_END)
    return content[:start] == _START + _digest(content[start:]) + _END


def _digest(content: bytes) -> bytes:
    return _core.digest_fields(_TAG, [content]).encode()


def sum_of(path: Path) -> Path:
    """The file with the checksum of `path`."""
    return path.with_name(path.name + SUFFIX)


def keep_sum(path: Path) -> None:
    """Write the checksum of a file; a failure leaves it without one, and so to be made again."""
    with suppress(OSError):
        sum_of(path).write_text(_core.hash_files([str(path)])[0], encoding="ascii")


def is_whole(path: Path) -> bool:
    """Whether a file is there and its checksum is the one beside it."""
    try:
        kept = sum_of(path).read_bytes()
        return kept == _core.hash_files([str(path)])[0].encode()
    except OSError:
        return False
